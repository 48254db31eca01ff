"""State dicts with the names and shapes of published checkpoints and random weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]

FIFTY = (3, 4, 6, 3)
THIN = (8, 12, 16, 20)
"""Widths of stages that differ, so that each has its downsampling."""
CLASSES = 5


def resnet(
    at: str = "",
    blocks: Sequence[int] = FIFTY,
    widths: Sequence[int] = THIN,
    *,
    basic: bool = False,
    ibn: bool = False,
    groups: int = 1,
    group_width: int = 0,
) -> State:
    """torchvision's names below `at`."""
    state = conv(f"{at}conv1", 64, 3, 7) | norm(
        f"{at}bn1", 64, shift=-1
    )  # so that a ReLU has something to do
    inputs, expansion = 64, 1 if basic else 4
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        inner = groups * group_width * 2 ** (stage - 1) if group_width else width
        for block in range(count):
            name = f"{at}layer{stage}.{block}."
            mixed = ibn and stage < 4
            state |= conv(f"{name}conv1", inner, inputs, 3 if basic else 1)
            if mixed:
                state |= norm(f"{name}bn1.IN", inner // 2, instance=True) | norm(
                    f"{name}bn1.BN", inner - inner // 2
                )
            else:
                state |= norm(f"{name}bn1", inner)
            state |= conv(f"{name}conv2", inner, inner // groups, 3)
            state |= norm(
                f"{name}bn2", inner, scale=0.3 if basic else 1
            )  # a residual that doesn't grow with depth
            if not basic:
                state |= conv(f"{name}conv3", 4 * width, inner, 1) | norm(
                    f"{name}bn3", 4 * width, scale=0.3
                )
            if block == 0 and (stage > 1 or inputs != expansion * width):
                state |= conv(f"{name}downsample.0", expansion * width, inputs, 1)
                state |= norm(f"{name}downsample.1", expansion * width)
            inputs = expansion * width
    return state


def bot(*, neck: bool = True, ibn: bool = False, widths: Sequence[int] = THIN) -> State:
    state = resnet("base.", widths=widths, ibn=ibn)
    if not neck:
        return state | linear("classifier", CLASSES, 4 * widths[-1])
    return (
        state
        | norm("bottleneck", 4 * widths[-1])
        | linear("classifier", CLASSES, 4 * widths[-1], bias=False)
    )


def torchreid(
    *, fc: int | None = None, blocks: Sequence[int] = FIFTY, basic: bool = False, ibn: bool = False
) -> State:
    state, width = resnet(blocks=blocks, basic=basic, ibn=ibn), THIN[-1] * (1 if basic else 4)
    if fc:
        state |= linear("fc.0", fc, width) | norm("fc.1", fc)
    return state | linear("classifier", CLASSES, fc or width)


def layumi() -> State:
    state = resnet("model.") | linear("model.fc", 10, 80)
    block = linear("classifier.add_block.0", 12, 80) | norm("classifier.add_block.1", 12)
    return state | block | linear("classifier.classifier.0", CLASSES, 12)


def fast_reid(
    generation: str = "1.2",
    *,
    ibn: bool = False,
    mixers: Sequence[int] = (0, 0, 0, 0),
    power: float | None = None,
    reduction: int | None = None,
    widths: Sequence[int] = THIN,
) -> State:
    state, width = resnet("backbone.", widths=widths, ibn=ibn), 4 * widths[-1]
    for stage, count in enumerate(mixers, start=1):
        for place in range(count):
            state |= non_local(f"backbone.NL_{stage}.{place}", 4 * widths[stage - 1])
    if power is not None:
        state["heads.pool_layer.p"] = torch.tensor([power])
    if generation == "0.x":
        mean = {
            "pixel_mean": torch.tensor([120.0, 110, 100]),
            "pixel_std": torch.tensor([60.0, 55, 50]),
        }
        state |= {name: value.view(1, 3, 1, 1) for name, value in mean.items()}
        return (
            state
            | norm("heads.bnneck", width)
            | linear("heads.classifier", CLASSES, width, bias=False)
        )
    if reduction:
        state |= conv("heads.bottleneck.0", reduction, width, 1) | norm(
            "heads.bottleneck.1", reduction
        )
    else:
        state |= norm("heads.bottleneck.0", width)
    name = "heads.classifier" if generation == "1.0" else "heads"
    return state | linear(name, CLASSES, reduction or width, bias=False)


def osnet(
    kind: str = "osnet", widths: Sequence[int] = (16, 64, 96, 128), feature: int = 32
) -> State:
    """osnet_x0_25's widths, which are the smallest that were published."""
    searched, instance = kind == "osnet_ain", kind != "osnet"
    inside = {"conv2.0", "conv2.1", "conv3.1", "conv4.0"} if searched else set[str]()
    state = conv("conv1.conv", widths[0], 3, 7) | norm("conv1.bn", widths[0], instance=instance)
    for stage in (2, 3, 4):
        inputs, width = widths[stage - 2], widths[stage - 1]
        for block, entering in enumerate((inputs, width)):
            name = f"conv{stage}.{block}"
            state |= omni_block(name, entering, width, searched=searched, batch=name not in inside)
            if name in inside or (kind == "osnet_ibn" and stage == 2):
                state |= norm(f"{name}.IN", width, instance=True)
        if stage < 4:
            shrink = f"pool{stage}.0" if searched else f"conv{stage}.2.0"
            state |= conv(f"{shrink}.conv", width, width, 1) | norm(f"{shrink}.bn", width)
    state |= conv("conv5.conv", widths[3], widths[3], 1) | norm("conv5.bn", widths[3])
    return (
        state
        | linear("fc.0", feature, widths[3])
        | norm("fc.1", feature)
        | linear("classifier", CLASSES, feature)
    )


def omni_block(at: str, inputs: int, width: int, *, searched: bool, batch: bool) -> State:
    inner = width // 4
    state = conv(f"{at}.conv1.conv", inner, inputs, 1) | norm(f"{at}.conv1.bn", inner)
    for depth in range(1, 5):
        for layer in range(depth):
            letter = "abcd"[depth - 1]
            name = (
                f"conv2.{depth - 1}.layers.{layer}"
                if searched
                else f"conv2{letter}" + (f".{layer}" if depth > 1 else "")
            )
            state |= conv(f"{at}.{name}.conv1", inner, inner, 1) | conv(
                f"{at}.{name}.conv2", inner, 1, 3
            )
            state |= norm(f"{at}.{name}.bn", inner)
    for number, (out, into) in enumerate(((inner // 16, inner), (inner, inner // 16)), start=1):
        state |= conv(f"{at}.gate.fc{number}", out, into, 1) | {
            f"{at}.gate.fc{number}.bias": torch.randn(out)
        }
    state |= conv(f"{at}.conv3.conv", width, inner, 1)
    if batch:
        state |= norm(f"{at}.conv3.bn", width)
    if inputs != width:
        state |= conv(f"{at}.downsample.conv", width, inputs, 1) | norm(
            f"{at}.downsample.bn", width
        )
    return state


def non_local(at: str, width: int) -> State:
    state = (
        conv(f"{at}.W.0", width, 1, 1)
        | {f"{at}.W.0.bias": torch.randn(width)}
        | norm(f"{at}.W.1", width)
    )
    for part in ("g", "theta", "phi"):
        # small, since the block takes a product of three
        state |= {
            f"{at}.{part}.weight": torch.randn(1, width, 1, 1) / width,
            f"{at}.{part}.bias": torch.randn(1) / 2,
        }
    return state


def conv(name: str, outputs: int, inputs: int, size: int) -> State:
    return {
        f"{name}.weight": torch.randn(outputs, inputs, size, size)
        * (2 / (inputs * size * size)) ** 0.5
    }


def linear(name: str, outputs: int, inputs: int, *, bias: bool = True) -> State:
    weight = {f"{name}.weight": torch.randn(outputs, inputs) / inputs**0.5}
    return weight | ({f"{name}.bias": torch.randn(outputs)} if bias else {})


def norm(
    name: str, width: int, *, instance: bool = False, scale: float = 1, shift: float = 0
) -> State:
    state = {
        f"{name}.weight": scale * (0.5 + torch.rand(width)),
        f"{name}.bias": shift + 0.2 * torch.randn(width),
    }
    if instance:
        return state
    running = {"running_mean": 0.2 * torch.randn(width), "running_var": 0.5 + torch.rand(width)}
    return (
        state
        | {f"{name}.{key}": value for key, value in running.items()}
        | {f"{name}.num_batches_tracked": torch.tensor(7)}
    )
