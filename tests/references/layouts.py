"""The published networks in evaluation, written from their definitions as plain functions of a
state dict, in float64.

Names are the checkpoints' own. Pixels are RGB in [0, 1], [b, 3, h, w].
"""

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)


def bot(state: State, pixels: Tensor, *, stem_relu: bool = False, last_stride: int = 1) -> Tensor:
    s = doubles(state)
    pooled = resnet(
        s, "base.", (pixels.double() - MEAN) / STD, stem_relu=stem_relu, last_stride=last_stride
    ).mean((2, 3))
    return norm(s, "bottleneck.", pooled) if "bottleneck.weight" in s else pooled


def torchreid(state: State, pixels: Tensor, *, last_stride: int = 2) -> Tensor:
    s = doubles(state)
    return reduced(
        s, resnet(s, "", (pixels.double() - MEAN) / STD, last_stride=last_stride).mean((2, 3))
    )


def layumi(state: State, pixels: Tensor) -> Tensor:
    s = doubles(state)
    pooled = resnet(s, "model.", (pixels.double() - MEAN) / STD, last_stride=2).mean((2, 3))
    block = "classifier.add_block."
    return norm(
        s, f"{block}1.", functional.linear(pooled, s[f"{block}0.weight"], s[f"{block}0.bias"])
    )


def fast_reid(
    state: State, pixels: Tensor, *, gem: float | None = None, last_stride: int = 1
) -> Tensor:
    s = doubles(state)
    mean, std = s.get("pixel_mean", 255 * MEAN), s.get("pixel_std", 255 * STD)
    images = (pixels.double() * 255 - mean) / std
    maps = resnet(s, "backbone.", images, stem_pool="ceil", last_stride=last_stride)
    power = float(s["heads.pool_layer.p"]) if "heads.pool_layer.p" in s else gem
    if power is None:
        pooled = maps.mean((2, 3), keepdim=True)
    else:
        pooled = (maps.clamp(min=1e-6) ** power).mean((2, 3), keepdim=True) ** (1 / power)
    if "heads.bnneck.weight" in s:
        return norm(s, "heads.bnneck.", pooled)[..., 0, 0]
    place = 0
    if s["heads.bottleneck.0.weight"].ndim == 4:
        pooled, place = functional.conv2d(pooled, s["heads.bottleneck.0.weight"]), 1
    return norm(s, f"heads.bottleneck.{place}.", pooled)[..., 0, 0]


def osnet(state: State, pixels: Tensor) -> Tensor:
    s = doubles(state)
    x = (pixels.double() - MEAN) / STD
    x = torch.relu(
        norm(s, "conv1.bn.", functional.conv2d(x, s["conv1.conv.weight"], stride=2, padding=3))
    )
    x = functional.max_pool2d(x, 3, 2, 1)
    searched = "conv2.0.conv2.0.layers.0.conv1.weight" in s
    for stage in ("conv2", "conv3", "conv4"):
        for block in (0, 1):
            x = omni_block(s, f"{stage}.{block}.", x, searched=searched)
        if stage != "conv4":
            shrink = f"pool{stage[-1]}.0." if searched else f"{stage}.2.0."
            x = functional.avg_pool2d(unit(s, shrink, x), 2)
    return reduced(s, unit(s, "conv5.", x).mean((2, 3)))


def omni_block(s: State, at: str, x: Tensor, *, searched: bool) -> Tensor:
    squeezed = unit(s, f"{at}conv1.", x)
    mixed = torch.zeros_like(squeezed)
    for depth in range(1, 5):
        y = squeezed
        for layer in range(depth):
            letter = "abcd"[depth - 1]
            name = f"conv2{letter}." if depth == 1 else f"conv2{letter}.{layer}."
            name = f"conv2.{depth - 1}.layers.{layer}." if searched else name
            y = functional.conv2d(y, s[f"{at}{name}conv1.weight"])
            y = functional.conv2d(y, s[f"{at}{name}conv2.weight"], padding=1, groups=y.shape[1])
            y = torch.relu(norm(s, f"{at}{name}bn.", y))
        gate = functional.conv2d(
            y.mean((2, 3), keepdim=True), s[f"{at}gate.fc1.weight"], s[f"{at}gate.fc1.bias"]
        )
        gate = functional.conv2d(
            torch.relu(gate), s[f"{at}gate.fc2.weight"], s[f"{at}gate.fc2.bias"]
        )
        mixed = mixed + y * torch.sigmoid(gate)
    out = functional.conv2d(mixed, s[f"{at}conv3.conv.weight"])
    if f"{at}conv3.bn.weight" in s:
        out = norm(s, f"{at}conv3.bn.", out)
    if searched and f"{at}IN.weight" in s:
        out = norm(s, f"{at}IN.", out)
    if f"{at}downsample.conv.weight" in s:
        x = norm(s, f"{at}downsample.bn.", functional.conv2d(x, s[f"{at}downsample.conv.weight"]))
    out = out + x
    if not searched and f"{at}IN.weight" in s:
        out = norm(s, f"{at}IN.", out)
    return torch.relu(out)


def unit(s: State, at: str, x: Tensor) -> Tensor:
    return torch.relu(norm(s, f"{at}bn.", functional.conv2d(x, s[f"{at}conv.weight"])))


def reduced(s: State, pooled: Tensor) -> Tensor:
    """torchreid's fc, where there is one."""
    if "fc.0.weight" not in s:
        return pooled
    return torch.relu(norm(s, "fc.1.", functional.linear(pooled, s["fc.0.weight"], s["fc.0.bias"])))


def resnet(
    s: State,
    at: str,
    x: Tensor,
    *,
    stem_relu: bool = True,
    stem_pool: str = "padded",
    last_stride: int = 1,
) -> Tensor:
    x = norm(s, f"{at}bn1.", functional.conv2d(x, s[f"{at}conv1.weight"], stride=2, padding=3))
    x = torch.relu(x) if stem_relu else x
    if (
        stem_pool == "ceil"
    ):  # without padding, sizes rounded up: windows reach over the right and lower edge
        x = functional.pad(x, (0, (x.shape[3] - 3) % 2, 0, (x.shape[2] - 3) % 2), value=-torch.inf)
        x = functional.max_pool2d(x, 3, 2)
    else:
        x = functional.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        count = 1 + max(
            int(name[len(at) :].split(".")[1])
            for name in s
            if name.startswith(f"{at}layer{stage}.")
        )
        mixers = len(
            {
                name.split(".")[-3 if ".W." not in name else -4]
                for name in s
                if name.startswith(f"{at}NL_{stage}.")
            }
        )
        for block in range(count):
            stride = (1, 2, 2, last_stride)[stage - 1] if block == 0 else 1
            x = residual(s, f"{at}layer{stage}.{block}.", x, stride)
            if block >= count - mixers:
                x = non_local(s, f"{at}NL_{stage}.{block - count + mixers}.", x)
    return x


def residual(s: State, at: str, x: Tensor, stride: int) -> Tensor:
    second = s[f"{at}conv2.weight"]
    if f"{at}conv3.weight" in s:
        y = torch.relu(norm(s, f"{at}bn1.", functional.conv2d(x, s[f"{at}conv1.weight"])))
        y = functional.conv2d(
            y, second, stride=stride, padding=1, groups=y.shape[1] // second.shape[1]
        )
        y = torch.relu(norm(s, f"{at}bn2.", y))
        y = norm(s, f"{at}bn3.", functional.conv2d(y, s[f"{at}conv3.weight"]))
    else:
        y = functional.conv2d(x, s[f"{at}conv1.weight"], stride=stride, padding=1)
        y = norm(
            s,
            f"{at}bn2.",
            functional.conv2d(torch.relu(norm(s, f"{at}bn1.", y)), second, padding=1),
        )
    if f"{at}downsample.0.weight" in s:
        x = norm(
            s,
            f"{at}downsample.1.",
            functional.conv2d(x, s[f"{at}downsample.0.weight"], stride=stride),
        )
    return torch.relu(y + x)


def non_local(s: State, at: str, x: Tensor) -> Tensor:
    """Wang et al. 2018, dot product, divided by the number of places; [places, places] is made."""
    theta, phi, g = (
        functional.conv2d(x, s[f"{at}{part}.weight"], s[f"{at}{part}.bias"]).flatten(2)
        for part in ("theta", "phi", "g")
    )
    weight = torch.einsum("bim,bin->bmn", theta, phi) / theta.shape[2]
    mixed = torch.einsum("bmn,bin->bim", weight, g).reshape(x.shape[0], -1, *x.shape[2:])
    return x + norm(
        s, f"{at}W.1.", functional.conv2d(mixed, s[f"{at}W.0.weight"], s[f"{at}W.0.bias"])
    )


def norm(s: State, at: str, x: Tensor) -> Tensor:
    """Batch norm by its running statistics, instance norm where there are none, or IBN-a's
    halves.
    """
    if f"{at}IN.weight" in s:
        half = x.shape[1] // 2
        return torch.cat([norm(s, f"{at}IN.", x[:, :half]), norm(s, f"{at}BN.", x[:, half:])], 1)
    shape = (1, -1, *[1] * (x.ndim - 2))
    if f"{at}running_mean" in s:
        mean, variance = s[f"{at}running_mean"].view(shape), s[f"{at}running_var"].view(shape)
    else:
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-5).sqrt() * s[f"{at}weight"].view(shape) + s[
        f"{at}bias"
    ].view(shape)


def doubles(state: State) -> State:
    return {name.removeprefix("module."): value.double() for name, value in state.items()}
