from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from graphreid.models.backbones import BNNeck, InstanceBatchNorm, backbone, load_weights, width_of

TINY: dict[str, Any] = {"channels": (8, 8, 16, 16), "height": 32, "width": 32}


def features(model: nn.Module, size: int = 32) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.randn(2, 3, size, size))


@pytest.mark.parametrize(("stride", "side"), [(1, 4), (2, 2)])
@pytest.mark.parametrize("name", ["resnet10t", "resnet26"])
def test_last_stride(name: str, stride: int, side: int):
    model: Any = backbone(name, last_stride=stride, height=64, width=64, channels=(8, 8, 8, 16))
    maps = model.forward_features(torch.randn(1, 3, 64, 64))
    assert maps.shape[2:] == (side, side)
    assert all(
        module.dilation == (1, 1) for module in model.modules() if isinstance(module, nn.Conv2d)
    )
    assert features(model, 64).shape == (2, width_of(model))


def test_last_stride_keeps_the_names_of_the_weights():
    one, two = (backbone("resnet26", last_stride=stride, **TINY) for stride in (1, 2))
    assert set(one.state_dict()) == set(two.state_dict())


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_other_families(name: str):
    model = backbone(name, height=64, width=32, last_stride=1)
    with torch.inference_mode():
        assert model.eval()(torch.randn(2, 3, 64, 32)).shape == (2, width_of(model))


def test_pooling():
    torch.manual_seed(0)
    model: Any = backbone("resnet10t", pooling="max", **TINY)
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(x), model.forward_features(x).amax((2, 3)))


def test_unknown_backbones_and_poolings():
    with pytest.raises(ValueError, match=r"'resnet5O' is no model of timm; near: resnet50"):
        backbone("resnet5O", height=32, width=32)
    with pytest.raises(ValueError, match="cannot be built"):
        backbone("resnet10t", pooling="nonsense", height=32, width=32)
    with pytest.raises(ValueError, match="cannot be built"):
        backbone("mobilenetv3_small_050", **TINY)
    with pytest.raises(ValueError, match="write last_stride=2"):
        backbone("resnetblur18", height=32, width=32)


def test_ibn_has_the_published_names_and_is_half_instance_norm():
    model: Any = backbone("resnet26_ibn_a", **TINY)
    names = model.state_dict()
    assert {"layer1.0.bn1.IN.weight", "layer3.1.bn1.BN.running_mean", "layer4.0.bn1.weight"} <= set(
        names
    )
    assert features(model).shape == (2, width_of(model))
    mixed = InstanceBatchNorm(6).eval()
    x = torch.randn(2, 6, 5, 5)
    out = mixed(x)
    assert out[:, :3].mean((2, 3)).abs().max() < 1e-6
    torch.testing.assert_close(out[:, 3:], x[:, 3:] / (1 + mixed.BN.eps) ** 0.5)
    with pytest.raises(ValueError, match="only ResNets"):
        backbone("mobilenetv3_small_050_ibn_a", height=32, width=32)


def test_neck_and_classifier_have_no_bias():
    network = BNNeck(backbone("resnet10t", **TINY), 5)
    pooled, normed = network.train()(torch.rand(6, 3, 32, 32))
    assert pooled.shape == normed.shape == (6, 16)
    assert not network.neck.bias.requires_grad
    assert (network.neck.bias == 0).all()
    assert network.classifier.bias is None
    torch.testing.assert_close(normed.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    assert "mean" not in network.state_dict()


def test_features_are_float32_under_autocast():
    network = BNNeck(backbone("resnet10t", **TINY), 5).train()
    with torch.autocast("cpu", torch.bfloat16):
        pooled, normed = network(torch.rand(6, 3, 32, 32))
    assert pooled.dtype == normed.dtype == torch.float32


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    model = backbone("resnet10t", **TINY)
    return {
        name: torch.randn_like(value) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }


def fresh() -> nn.Module:
    return backbone("resnet10t", **TINY)


@pytest.mark.parametrize("form", ["safetensors", "bare", "nested", "parallel"])
def test_weights_from_files(tmp_path: Path, state: dict[str, torch.Tensor], form: str):
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    full = {**state, "fc.weight": torch.zeros(3, 16)}
    if form == "safetensors":
        save_file(full, file)
    elif form == "bare":
        torch.save(full, file)
    else:
        torch.save(
            {
                "state_dict": {
                    f"module.{name}" if form == "parallel" else name: full[name] for name in full
                }
            },
            file,
        )
    model = fresh()
    matched = load_weights(model, file)
    assert len(matched.loaded) == len(state)
    assert not matched.missing
    assert not matched.unused
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])


def test_a_partial_match_is_an_error_unless_allowed(tmp_path: Path, state: dict[str, torch.Tensor]):
    file = tmp_path / "w.pth"
    changed = {name: value for name, value in state.items() if name != "conv1.0.weight"}
    changed["layer4.0.conv1.weight"] = torch.zeros(1)
    changed["other"] = torch.zeros(1)
    torch.save(changed, file)
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=r"2 missing \(conv1.0.weight, layer4.0.conv1.weight\), 2 unused .*--allow-partial",
    ):
        load_weights(model, file)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    matched = load_weights(model, file, allow_partial=True)
    assert set(matched.missing) == {"conv1.0.weight", "layer4.0.conv1.weight"}
    assert torch.equal(model.state_dict()["conv1.0.weight"], before["conv1.0.weight"])
    assert torch.equal(model.state_dict()["layer3.0.conv1.weight"], state["layer3.0.conv1.weight"])


def test_files_that_are_no_weights(tmp_path: Path):
    with pytest.raises(ValueError, match="no such file"):
        load_weights(fresh(), tmp_path / "none.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "pickled.pth")
    with pytest.raises(ValueError, match=r"holds pickled objects.*state_dict"):
        load_weights(fresh(), tmp_path / "pickled.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(ValueError, match="text"):
            load_weights(fresh(), tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="no state dict"):
        load_weights(fresh(), tmp_path / "list.pth")
