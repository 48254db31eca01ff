import dataclasses
from typing import Any

import pytest
import torch

from graphreid.models.checkpoints.architectures import (
    Architecture,
    EmbeddingHead,
    NonLocal,
    Pooling,
    ToolkitNetwork,
    global_pooling,
)
from tests.references import layouts as plain

MAPS = torch.rand(2, 5, 4, 3, generator=torch.Generator().manual_seed(0)) - 0.2


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        ("avg", MAPS.mean((2, 3))),
        ("max", MAPS.flatten(2).max(2).values),
        ("avg+max", MAPS.mean((2, 3)) + MAPS.flatten(2).max(2).values),
        ("gem", (MAPS.double().clamp(min=1e-6) ** 2.5).mean((2, 3)).pow(1 / 2.5).float()),
    ],
)
def test_pooling(pooling: Pooling, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(global_pooling(MAPS, pooling, 2.5), wanted)


@pytest.mark.parametrize("inner", [1, 3])
def test_non_local_is_the_published_sum_over_places(inner: int) -> None:
    torch.manual_seed(0)
    block = NonLocal(5, inner).eval()
    torch.nn.init.normal_(block.W[1].weight)  # type: ignore[arg-type]  # the stubs don't know what is in a Sequential
    wanted = plain.non_local(
        {f"at.{name}": value.double() for name, value in block.state_dict().items()},
        "at.",
        MAPS.double(),
    )
    with torch.inference_mode():
        torch.testing.assert_close(block(MAPS).double(), wanted, atol=1e-6, rtol=1e-5)
        assert (block(MAPS) - MAPS).abs().max() > 1e-3


def test_the_steps_of_a_neck() -> None:
    anatomy = Architecture(head=("linear", "norm", "relu"), head_width=3)
    neck = EmbeddingHead(5, anatomy)
    assert [type(step).__name__ for step in neck] == ["Linear", "BatchNorm1d", "ReLU"]
    assert neck.num_features == 3
    assert EmbeddingHead(5, Architecture(head=("projection",), head_width=4))[0].bias is None
    empty = EmbeddingHead(5, dataclasses.replace(anatomy, feature="before"))
    assert (len(empty), empty.num_features) == (0, 5)


def test_pixels_on_either_scale_are_the_same() -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {"backbone": "resnet18", "channels": (8, 8, 8, 8), "head": ()}
    one = ToolkitNetwork(Architecture(**small)).eval()
    bytes_: dict[str, Any] = {
        "pixel_scale": 255,
        "pixel_mean": (123.675, 116.28, 103.53),
        "pixel_std": (58.395, 57.12, 57.375),
    }
    other = ToolkitNetwork(Architecture(**small, **bytes_)).eval()
    other.load_state_dict(one.state_dict())
    pixels = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(one(pixels)[1], other(pixels)[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": ("linear",)}, "needs a head_width"),
        ({"head": ("softmax",)}, "a layer is linear, projection, norm or relu"),
        ({"height": 0}, "both must be positive"),
        ({"pixel_std": (1.0, 0.0, 1.0)}, "three of each, std positive"),
        ({"backbone": "resnet50d"}, "only ResNets with the stem of the first ones"),
        ({"backbone": "mobilenetv3_small_050"}, "only ResNets"),
        ({"backbone": "osnet", "channels": (16, 32, 96, 128)}, "at least 64"),
    ],
)
def test_what_can_not_be_built(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ToolkitNetwork(Architecture(**change))
