import pytest
import torch

from graphreid.models.backbones import WeightMatch
from graphreid.models.checkpoints.architectures import ToolkitNetwork
from graphreid.models.checkpoints.loading import load_matching, parse_checkpoint
from tests.models.checkpoints import states

MADE = {
    "bot": states.bot,
    "torchreid": states.torchreid,
    "fast-reid": states.fast_reid,
    "layumi": states.layumi,
}


def put(
    layout: str, state: states.State, *, allow_partial: bool = False
) -> tuple[ToolkitNetwork, WeightMatch]:
    reading = parse_checkpoint(layout, state)
    network = ToolkitNetwork(reading.anatomy)
    return network, load_matching(network, reading, state, allow_partial=allow_partial)


@pytest.mark.parametrize("layout", MADE)
def test_each_weight_is_in_its_place(layout: str) -> None:
    state = MADE[layout]()
    network, matched = put(layout, state)
    own, reading = network.state_dict(), parse_checkpoint(layout, state)
    assert not matched.missing
    assert not matched.unused
    for name in matched.loaded:
        target = reading.network_name(name)
        assert target is not None
        assert torch.equal(own[target], state[name])
        assert reading.file_name(target) == name
    assert len(matched.loaded) == len(own)


def test_module_before_the_names_is_passed_over() -> None:
    state = states.torchreid()
    network, matched = put("torchreid", {f"module.{name}": value for name, value in state.items()})
    assert not matched.missing
    assert torch.equal(network.state_dict()["backbone.body.conv1.weight"], state["conv1.weight"])


def test_half_precision_becomes_single() -> None:
    network, _ = put(
        "bot", {name: value.half() if value.ndim else value for name, value in states.bot().items()}
    )
    assert all(
        value.dtype in (torch.float32, torch.int64) for value in network.state_dict().values()
    )


@pytest.mark.parametrize("layout", MADE)
@pytest.mark.parametrize("other", MADE)
def test_another_layout_is_named(layout: str, other: str) -> None:
    if layout != other:
        with pytest.raises(
            ValueError, match=f"are not those of {layout} but of {other}: choose --layout {other}"
        ):
            parse_checkpoint(layout, MADE[other]())


def test_names_of_no_layout() -> None:
    vit = {"base.cls_token": torch.zeros(1), "base.patch_embed.proj.weight": torch.zeros(1)}
    with pytest.raises(
        ValueError, match=r"base.cls_token, are not those of bot \(it is a transformer"
    ):
        parse_checkpoint("bot", vit)
    with pytest.raises(ValueError, match=r"not those of torchreid .*of no ResNet and no OSNet"):
        parse_checkpoint("torchreid", {"features.0.weight": torch.zeros(1)})
    with pytest.raises(
        ValueError,
        match="layout 'best' is not known: choose one of bot, torchreid, fast-reid, layumi",
    ):
        parse_checkpoint("best", vit)


def test_an_osnet_has_no_choice_of_stem_and_stride() -> None:
    with pytest.raises(ValueError, match="has no choice of stem_relu"):
        parse_checkpoint("torchreid", states.osnet(), {"stem_relu": False})


def test_a_partial_match_is_an_error_unless_allowed() -> None:
    state = states.bot()
    del state["base.layer2.1.conv2.weight"], state["base.bn1.running_mean"]
    state["base.layer4.2.bn3.weight"] = torch.ones(3)
    state["base.attention.weight"] = torch.ones(3)
    reading = parse_checkpoint("bot", state)
    network, told = ToolkitNetwork(reading.anatomy), list[WeightMatch]()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"3 missing \(base\..*, 2 unused \(base\..*--allow-partial"
    ):
        load_matching(network, reading, state, on_match=told.append)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert set(told[0].missing) == {
        "base.bn1.running_mean",
        "base.layer2.1.conv2.weight",
        "base.layer4.2.bn3.weight",
    }
    assert set(told[0].unused) == {
        "base.layer4.2.bn3.weight of shape 3 for 80",
        "base.attention.weight",
    }
    assert load_matching(network, reading, state, allow_partial=True) == told[0]
    own = network.state_dict()
    assert torch.equal(own["backbone.body.conv1.weight"], state["base.conv1.weight"])
    assert torch.equal(
        own["backbone.body.bn1.running_mean"], before["backbone.body.bn1.running_mean"]
    )


@pytest.mark.parametrize(
    ("layout", "state", "missing"),
    [
        ("bot", states.resnet("base."), "bottleneck."),
        ("fast-reid", states.resnet("backbone."), "heads.bottleneck."),
    ],
)
def test_a_backbone_alone_lacks_its_neck(layout: str, state: states.State, missing: str) -> None:
    with pytest.raises(ValueError, match=rf"missing \({missing}"):
        put(layout, state)


def test_counters_of_batches_may_be_missing() -> None:
    state = {
        name: value
        for name, value in states.fast_reid().items()
        if not name.endswith("num_batches_tracked")
    }
    _, matched = put("fast-reid", state)
    assert not matched.missing
