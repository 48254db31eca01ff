from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from graphreid.models.checkpoints.architectures import ToolkitNetwork
from graphreid.models.checkpoints.loading import load_matching, parse_checkpoint
from tests.models.checkpoints import states
from tests.references import layouts as plain

Made = Callable[[], states.State]
Forward = Callable[[states.State, Tensor], Tensor]

CASES: dict[str, tuple[str, Made, Forward]] = {
    "bot": ("bot", states.bot, plain.bot),
    "bot, IBN": ("bot", lambda: states.bot(ibn=True), lambda s, x: plain.bot(s, x, stem_relu=True)),
    "bot, no neck": ("bot", lambda: states.bot(neck=False), plain.bot),
    "torchreid": ("torchreid", states.torchreid, plain.torchreid),
    "torchreid, fc": (
        "torchreid",
        lambda: states.torchreid(fc=12),
        lambda s, x: plain.torchreid(s, x, last_stride=1),
    ),
    "torchreid, 18": (
        "torchreid",
        lambda: states.torchreid(blocks=(2, 2, 2, 2), basic=True),
        plain.torchreid,
    ),
    "torchreid, IBN": ("torchreid", lambda: states.torchreid(ibn=True), plain.torchreid),
    "osnet": ("torchreid", states.osnet, plain.osnet),
    "osnet_ibn": ("torchreid", lambda: states.osnet("osnet_ibn"), plain.osnet),
    "osnet_ain": ("torchreid", lambda: states.osnet("osnet_ain"), plain.osnet),
    "fast-reid 1.2": ("fast-reid", states.fast_reid, plain.fast_reid),
    "fast-reid 1.2, IBN": ("fast-reid", lambda: states.fast_reid(ibn=True), plain.fast_reid),
    "fast-reid 1.0": ("fast-reid", lambda: states.fast_reid("1.0", power=2.6), plain.fast_reid),
    "fast-reid 0.x": ("fast-reid", lambda: states.fast_reid("0.x", power=3.1), plain.fast_reid),
    "fast-reid SBS": (
        "fast-reid",
        lambda: states.fast_reid(mixers=(0, 2, 3, 0), power=2.2),
        plain.fast_reid,
    ),
    "fast-reid AGW": (
        "fast-reid",
        lambda: states.fast_reid(mixers=(0, 2, 3, 0)),
        lambda s, x: plain.fast_reid(s, x, gem=3),
    ),
    "fast-reid, 16 wide": ("fast-reid", lambda: states.fast_reid(reduction=16), plain.fast_reid),
    "layumi": ("layumi", states.layumi, plain.layumi),
}
TITLES = {
    "bot": "bot, resnet50",
    "bot, IBN": "bot, resnet50_ibn_a",
    "torchreid, fc": "torchreid, resnet50_fc12",
    "torchreid, 18": "torchreid, resnet18",
    "osnet_ain": "torchreid, osnet_ain of 128 channels",
    "fast-reid 1.2, IBN": "fast-reid 1.2 or later, resnet50_ibn_a",
    "fast-reid 1.0": "fast-reid 1.0, resnet50",
    "fast-reid 0.x": "fast-reid 0.x, resnet50",
    "fast-reid SBS": "fast-reid 1.2 or later, resnet50 with 5 non-local blocks",
}


def imported(
    layout: str, state: states.State, changes: Mapping[str, Any] | None = None
) -> ToolkitNetwork:
    reading = parse_checkpoint(layout, state, changes)
    network = ToolkitNetwork(reading.anatomy)
    matched = load_matching(network, reading, state)
    dropped = [
        name for name in state if name.removeprefix("module.").startswith(reading.ignored_prefixes)
    ]
    assert len(matched.loaded) + len(dropped) == len(state)
    return network.eval()


def vectors(network: ToolkitNetwork, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(pixels)[1].double()


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest entry."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("case", CASES)
def test_the_forward_pass_is_that_of_the_published_definition(case: str) -> None:
    torch.manual_seed(len(case))
    layout, made, forward = CASES[case]
    state, pixels = made(), torch.rand(2, 3, 66, 34)
    network = imported(layout, state)
    wanted = forward(state, pixels)
    assert vectors(network, pixels).shape == wanted.shape
    assert apart(vectors(network, pixels), wanted) < 2e-4
    assert network.neck.num_features == wanted.shape[1]
    if case in TITLES:
        assert parse_checkpoint(layout, state).title == TITLES[case]


def test_a_full_resnet_50_with_ibn() -> None:
    torch.manual_seed(0)
    state, pixels = states.fast_reid(ibn=True, widths=(64, 128, 256, 512)), torch.rand(1, 3, 64, 32)
    reading = parse_checkpoint("fast-reid", state)
    assert (reading.anatomy.backbone, reading.anatomy.channels) == ("resnet50_ibn_a", None)
    assert (
        apart(vectors(imported("fast-reid", state), pixels), plain.fast_reid(state, pixels)) < 2e-4
    )


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("bot", {"stem_relu": True}),
        ("bot", {"last_stride": 2}),
        ("bot, IBN", {"stem_relu": False}),
        ("torchreid", {"last_stride": 1}),
        ("fast-reid 1.2", {"stem_pool": "padded"}),
        ("fast-reid 1.2", {"pixel_scale": 1}),
        ("fast-reid 1.2", {"pooling": "gem"}),
        ("fast-reid 0.x", {"pixel_mean": (123.675, 116.28, 103.53)}),
        ("fast-reid AGW", {"pooling": "avg"}),
        ("fast-reid AGW", {"gem_power": 2.0}),
    ],
)
def test_each_trap_matters(case: str, change: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layout, made, forward = CASES[case]
    state, pixels = made(), torch.rand(2, 3, 66, 34)
    assert apart(vectors(imported(layout, state, change), pixels), forward(state, pixels)) > 1e-2


def test_changes_are_what_the_published_code_would_do() -> None:
    torch.manual_seed(0)
    state, pixels = states.bot(), torch.rand(2, 3, 66, 34)
    network = imported("bot", state, {"stem_relu": True, "last_stride": 2})
    assert (
        apart(vectors(network, pixels), plain.bot(state, pixels, stem_relu=True, last_stride=2))
        < 2e-4
    )
    state = states.fast_reid()
    network = imported("fast-reid", state, {"pooling": "gem"})
    assert apart(vectors(network, pixels), plain.fast_reid(state, pixels, gem=3)) < 2e-4


@pytest.mark.parametrize(
    "case", ["bot", "fast-reid 0.x", "fast-reid, 16 wide", "layumi", "torchreid, fc"]
)
def test_before_the_head_it_is_the_pooled_vector(case: str) -> None:
    torch.manual_seed(0)
    layout, made, _ = CASES[case]
    state, pixels = made(), torch.rand(2, 3, 66, 34)
    network = imported(layout, state, {"feature": "before"})
    assert network.neck.num_features == 80
    with torch.inference_mode():
        assert torch.equal(network(pixels)[0], network(pixels)[1])
        torch.testing.assert_close(network(pixels)[0], imported(layout, state)(pixels)[0])


@pytest.mark.parametrize(
    ("case", "keys"),
    [
        ("bot", {"stem_relu", "last_stride", "height"}),
        ("torchreid", {"last_stride", "height"}),
        ("osnet", {"height"}),
        ("fast-reid 1.2", {"pooling", "last_stride", "height"}),
        ("fast-reid SBS", {"last_stride", "height"}),
        ("fast-reid 0.x", {"stem_pool", "last_stride", "height"}),
        ("layumi", {"feature", "last_stride", "height"}),
    ],
)
def test_what_the_file_does_not_say_is_said_to_be_assumed(case: str, keys: set[str]) -> None:
    layout, made, _ = CASES[case]
    reading = parse_checkpoint(layout, made())
    assert set(reading.assumed) == keys
    assert set(parse_checkpoint(layout, made(), {"height": 384, "width": 128}).assumed) == keys - {
        "height"
    }


def test_groups_tell_a_resnext() -> None:
    state = states.resnet(widths=(64, 128, 256, 512), groups=32, group_width=4)
    anatomy = parse_checkpoint("torchreid", state | states.linear("classifier", 5, 2048)).anatomy
    assert (anatomy.backbone, anatomy.channels) == ("resnext50_32x4d", None)
    own = ToolkitNetwork(anatomy).state_dict()
    assert all(own[f"backbone.body.{name}"].shape == value.shape for name, value in state.items())


@pytest.mark.parametrize(
    ("layout", "state", "message"),
    [
        ("fast-reid", {"backbone.conv1.weight": 1, "b1.0.conv1.weight": 1}, "several branches"),
        ("fast-reid", {"backbone.cls_token": 1}, "it is a transformer"),
        ("fast-reid", {"backbone.conv1.0.weight": 1}, "of no ResNet and no OSNet"),
        ("bot", {"base.conv1.weight": 1, "base.layer1.0.conv1.weight": 1}, "of no ResNet"),
        ("torchreid", {"conv1.conv.weight": 1}, r"it lacks conv2\.1\.conv3\.conv\.weight"),
    ],
)
def test_networks_that_are_not_read(layout: str, state: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_checkpoint(layout, {name: torch.zeros(size) for name, size in state.items()})


def test_heads_and_blocks_that_are_not_read() -> None:
    with pytest.raises(ValueError, match="reduction head"):
        parse_checkpoint(
            "fast-reid", states.fast_reid("0.x") | states.conv("heads.bottleneck.0", 8, 80, 1)
        )
    with pytest.raises(ValueError, match="pooling with a power a channel"):
        parse_checkpoint("fast-reid", states.fast_reid() | {"heads.pool_layer.p": torch.ones(4)})
    with pytest.raises(ValueError, match="squeeze-and-excitation"):
        parse_checkpoint(
            "fast-reid", states.fast_reid() | {"backbone.layer1.0.se.fc.0.weight": torch.zeros(1)}
        )
    with pytest.raises(ValueError, match="torchvision's, it seems"):
        parse_checkpoint("torchreid", states.resnet() | states.linear("fc", 1000, 80))
    with pytest.raises(
        ValueError, match=r"\(1, 1, 1, 1\) blocks of kind bottleneck, which is none of resnet18"
    ):
        parse_checkpoint("bot", states.resnet("base.", blocks=(1, 1, 1, 1)))
    state = states.bot()
    del state["base.layer3.0.conv3.weight"]
    with pytest.raises(ValueError, match=r"lacks layer3\.0\.conv3\.weight"):
        parse_checkpoint("bot", state)
