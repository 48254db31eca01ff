import pytest
import torch

from graphreid.models.checkpoints.osnet import KINDS, OSNet


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_a_sixteenth_of_the_image(kind: str) -> None:
    network = OSNet(kind, (16, 64, 96, 128)).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 64, 32)).shape == (2, network.width, 4, 2)


def test_the_published_size() -> None:
    # Zhou et al. 2019, Table 1: 2.2 million parameters at width 1.0, with the 512-wide linear map
    # behind the pooling
    own = sum(weight.numel() for weight in OSNet().parameters())
    assert round((own + 512 * 512 + 512 + 2 * 512) / 1e5) == 22


def test_widths_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="OSNet takes four, and at least 64"):
        OSNet("osnet", (64, 256, 384))
