"""Backbones from timm, and the BNNeck head of the bag-of-tricks baseline (Luo et al. 2019)."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from graphreid.models.checkpoints.tensors import read_state
from graphreid.models.torchvision_compat import patch_torchvision

Module = TypeVar("Module", bound=nn.Module)

IBN = "_ibn_a"
"""Suffix of a ResNet's name for IBN-a instance normalisation, as in resnet50_ibn_a."""

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1] on ImageNet, which published backbones expect."""


def backbone(
    name: str,
    *,
    height: int,
    width: int,
    last_stride: int = 1,
    pooling: str = "avg",
    channels: tuple[int, ...] | None = None,
) -> nn.Module:
    """Build a backbone without classifier, with random weights.

    It maps normalised images [b, 3, height, width] to pooled features [b, d].

    Args:
        name: a model of timm; or one of its ResNets with the suffix `IBN` (IBN-Net-a, Pan et al.
            2018, which timm lacks).
        height: of the images, in pixels.
        width: of the images, in pixels.
        last_stride: stride of a ResNet's last stage, 1 or 2; other families keep their own.
        pooling: timm's name; "avg" is global average pooling, which all models have.
        channels: widths of a ResNet's four stages; None for its own.

    Raises:
        ValueError: timm has no such model, or can't build it with these options.
    """
    patch_torchvision()
    import timm  # noqa: PLC0415  # takes seconds

    base = name.removesuffix(IBN)
    if not timm.is_model(base):
        near = difflib.get_close_matches(base, timm.list_models(), n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise ValueError(f"backbone {name!r} is no model of timm{hint}")
    options: dict[str, Any] = {} if channels is None else {"channels": channels}
    try:
        model: Any = timm.create_model(
            base, pretrained=False, num_classes=0, global_pool=pooling, **options
        )
    except (TypeError, AssertionError, ValueError, KeyError) as error:
        raise ValueError(
            f"backbone {name!r} cannot be built with pooling {pooling!r} and {options}: {error}"
        ) from None
    if hasattr(model, "set_input_size"):  # transformers, which are built for one size
        model.set_input_size(img_size=(height, width))
    if last_stride == 1 and hasattr(model, "layer4"):
        _unstride(model.layer4, name)
    if name != base:
        _mix_instance_norm(model, name)
    return model


def channels_last(module: Module) -> Module:
    """The module with its weights in channels-last memory format, a quarter faster on a CPU."""
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stubs lack it


def width_of(model: Any) -> int:
    """Dimensions of a backbone's feature."""
    return int(getattr(model, "head_hidden_size", None) or model.num_features)


def _unstride(stage: nn.Module, name: str) -> None:
    """Set the stride of a ResNet's last stage to 1, without dilation, so that weights still fit."""
    for parent in list(stage.modules()):
        for child_name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                child.stride = (1, 1)
            elif isinstance(child, nn.AvgPool2d) and child.stride in (2, (2, 2)):
                setattr(parent, child_name, nn.Identity())
            elif getattr(child, "stride", 1) not in (1, (1, 1)) and not list(child.children()):
                raise ValueError(
                    f"backbone {name!r} strides by {type(child).__name__}: write last_stride=2"
                )


class InstanceBatchNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the rest
    (IBN-a).

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = width // 2
        self.IN = nn.InstanceNorm2d(self.first, affine=True)  # the published checkpoints' names
        self.BN = nn.BatchNorm2d(width - self.first)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same shape, normalised."""
        first, rest = x.split([self.first, x.shape[1] - self.first], 1)
        return torch.cat([self.IN(first.contiguous()), self.BN(rest.contiguous())], 1)


def _mix_instance_norm(model: nn.Module, name: str) -> None:
    """IBN-a: the first normalisation of each block in the first three stages."""
    for stage in ("layer1", "layer2", "layer3"):
        for block in getattr(model, stage, ()):
            old = getattr(block, "bn1", None)
            if not isinstance(old, nn.BatchNorm2d):
                raise ValueError(
                    f"backbone {name!r}: only ResNets made of batch-normalised blocks take {IBN}"
                )
            mixed = InstanceBatchNorm(old.num_features)
            activation = getattr(old, "act", None)  # timm may keep it inside the normalisation
            block.bn1 = mixed if activation is None else nn.Sequential(mixed, activation)
    if not hasattr(model, "layer1"):
        raise ValueError(f"backbone {name!r}: only ResNets take {IBN}")


class BNNeck(nn.Module):
    """A backbone with the bag-of-tricks head (Luo et al. 2019, section 3.5).

    backbone -> f_t -> batch norm without bias -> f_i -> classifier without bias. Triplet and center
    loss use f_t; the identity loss and retrieval use f_i.

    Args:
        model: a `backbone`.
        classes: number of training identities.
        pooled: retrieval uses f_t: outside training it is returned in place of f_i.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, classes: int, *, pooled: bool = False) -> None:
        super().__init__()
        width = width_of(model)
        self.pooled = pooled
        self.backbone = model
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(width, classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1), persistent=False)

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """(f_t, f_i), float32, of RGB in [0, 1]."""
        normal = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        pooled = self.backbone(normal).float()
        with torch.autocast(pixels.device.type, enabled=False):
            return pooled, pooled if self.pooled and not self.training else self.neck(pooled)


@dataclass(frozen=True)
class WeightMatch:
    """Which parameters of a file match those of a network.

    Attributes:
        loaded: names in both, with equal shapes.
        missing: names of the network that the file lacks or has in another shape.
        unused: names of the file that the network lacks or has in another shape, but for its
            classifier.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} weights matched"]
        for what, names in (("missing", self.missing), ("unused", self.unused)):
            if names:
                parts.append(
                    f"{len(names)} {what} "
                    f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
                )
        return ", ".join(parts)


def load_weights(model: nn.Module, path: str | Path, *, allow_partial: bool = False) -> WeightMatch:
    """Load the weights of a file into a backbone.

    Args:
        model: a `backbone`; changed in place.
        path: .safetensors, or a torch file with a state dict (at the top, or under "state_dict" or
            "model").
        allow_partial: load the parameters that match although some don't.

    Raises:
        ValueError: no such file, no state dict, or a partial match without `allow_partial`.
    """
    state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
    config: Mapping[str, Any] = getattr(model, "default_cfg", {})
    heads = config.get("classifier") or ()
    prefixes = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    own = model.state_dict()
    loaded = {
        name: value
        for name, value in state.items()
        if name in own and own[name].shape == value.shape
    }
    # counters of batches are in some files only, and have no influence
    missing = [
        name for name in own if name not in loaded and not name.endswith("num_batches_tracked")
    ]
    unused = [name for name in state if name not in loaded and not name.startswith(prefixes)]
    matched = WeightMatch(tuple(loaded), tuple(missing), tuple(unused))
    if not loaded or ((missing or unused) and not allow_partial):
        raise ValueError(f"{path}: {matched}; load what matches with --allow-partial")
    model.load_state_dict({**own, **loaded})
    return matched
