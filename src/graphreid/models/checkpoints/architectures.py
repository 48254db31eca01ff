"""Networks of other toolkits: architecture, pixel normalisation, and which vector is the embedding.

`Architecture` makes explicit what a toolkit fixes in its code and its checkpoint files don't say.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from graphreid.datasets.images import Resample
from graphreid.models.backbones import PIXEL_MEAN, PIXEL_STD, backbone
from graphreid.models.checkpoints.osnet import KINDS, WIDTHS, OSNet

StemPool = Literal["padded", "ceil"]
Pooling = Literal["avg", "max", "avg+max", "gem"]
Feature = Literal["after", "before"]

_GEM_MINIMUM = 1e-6
"""Smallest activation in generalised-mean pooling, as published."""


@dataclass
class Architecture:
    """The architecture of a checkpoint's network.

    Attributes:
        layout: the toolkit whose parameter names the checkpoint has.
        backbone: name of a ResNet of timm, with the suffix _ibn_a for instance normalisation; or an
            OSNet (`osnet.KINDS`).
        channels: widths of the stages (for an OSNet: of stem and stages); None for the published
            ones.
        last_stride: stride of a ResNet's last stage, 1 or 2.
        stem_relu: whether a ReLU follows the stem's normalisation. The code of BoT lacks it, and
            its weights were trained without.
        stem_pool: max pooling of a ResNet's stem, 3 x 3 with stride 2: "padded" by 1, or "ceil"
            (no padding, the output size rounded up).
        nonlocal_blocks: number of non-local blocks in each of a ResNet's four stages, after its
            last blocks.
        nonlocal_width: inner channels of the non-local blocks.
        pooling: global pooling of the last feature maps: "avg", "max", "avg+max" (their sum), or
            "gem" (generalised mean).
        gem_power: power of the generalised mean.
        head: layers after the pooling, in order: "linear", "projection" (linear without bias),
            "norm" (batch normalisation), "relu".
        head_width: outputs of the head's linear layer; None where it has none.
        feature: the embedding is the vector "after" the head, or "before" it.
        pixel_scale: the network takes RGB in [0, pixel_scale], 1 or 255.
        pixel_mean: mean of R, G, B that is subtracted, on that scale.
        pixel_std: standard deviation of R, G, B that is divided by.
        resample: interpolation by which images are resized.
        height: height of the images, in pixels.
        width: width of the images, in pixels.
    """

    layout: str = "bot"
    backbone: str = "resnet50"
    channels: tuple[int, ...] | None = None
    last_stride: int = 1
    stem_relu: bool = True
    stem_pool: StemPool = "padded"
    nonlocal_blocks: tuple[int, ...] = (0, 0, 0, 0)
    nonlocal_width: int = 1
    pooling: Pooling = "avg"
    gem_power: int | float = 3.0
    head: tuple[str, ...] = ("norm",)
    head_width: int | None = None
    feature: Feature = "after"
    pixel_scale: int = 1
    pixel_mean: tuple[float, ...] = PIXEL_MEAN
    pixel_std: tuple[float, ...] = PIXEL_STD
    resample: Resample = "bilinear"
    height: int = 256
    width: int = 128


class ToolkitNetwork(nn.Module):
    """The network of an `Architecture`, with random weights.

    Raises:
        ValueError: an impossible combination of options.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, anatomy: Architecture) -> None:
        super().__init__()
        if anatomy.height < 1 or anatomy.width < 1:
            raise ValueError(
                f"images of {anatomy.height} x {anatomy.width} pixels: both must be positive"
            )
        if (
            len(anatomy.pixel_mean) != 3
            or len(anatomy.pixel_std) != 3
            or min(anatomy.pixel_std) <= 0
        ):
            raise ValueError(
                f"pixel mean {anatomy.pixel_mean}, std {anatomy.pixel_std}: three of each, std "
                f"positive"
            )
        self.scale = anatomy.pixel_scale
        self.power = anatomy.gem_power
        self.pooling: Pooling = anatomy.pooling
        if anatomy.backbone in KINDS:
            self.backbone: ResNetMaps | OSNet = OSNet(anatomy.backbone, anatomy.channels or WIDTHS)
        else:
            self.backbone = ResNetMaps(anatomy)
        self.neck = EmbeddingHead(self.backbone.width, anatomy)
        self.register_buffer(
            "mean", torch.tensor(anatomy.pixel_mean).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor(anatomy.pixel_std).view(1, 3, 1, 1), persistent=False
        )

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b d"]]:
        """The pooled feature and the embedding, float32, of RGB in [0, 1]."""
        maps = self.backbone((pixels * self.scale - self.mean) / self.std).float()
        pooled = global_pooling(maps, self.pooling, self.power)
        return pooled, self.neck(pooled)


class ResNetMaps(nn.Module):
    """A ResNet of timm without pooling and classifier, with the variations of the toolkits.

    Attributes:
        width: channels of the last feature maps.
    """

    def __init__(self, anatomy: Architecture) -> None:
        super().__init__()
        self.stem_relu = anatomy.stem_relu
        self.stem_pool = anatomy.stem_pool
        body: Any = backbone(
            anatomy.backbone,
            height=anatomy.height,
            width=anatomy.width,
            last_stride=anatomy.last_stride,
            pooling="",
            channels=anatomy.channels,
        )
        if not isinstance(getattr(body, "conv1", None), nn.Conv2d) or not hasattr(body, "layer4"):
            raise ValueError(
                f"backbone {anatomy.backbone!r}: only ResNets with the stem of the first ones have "
                f"these layouts"
            )
        self.body = body
        self.width = int(body.num_features)
        lasts = [stage[-1] for stage in self._stages()]
        outputs = [
            int((last.bn3 if hasattr(last, "bn3") else last.bn2).num_features) for last in lasts
        ]
        for number, (count, channels) in enumerate(
            zip(anatomy.nonlocal_blocks, outputs, strict=True), start=1
        ):
            blocks = nn.ModuleList(NonLocal(channels, anatomy.nonlocal_width) for _ in range(count))
            self.add_module(f"NL_{number}", blocks)  # the published checkpoints' names

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c p q"]:
        """The feature maps of the last stage."""
        x = self.body.bn1(self.body.conv1(x))
        if self.stem_relu:
            x = torch.relu(x)
        if self.stem_pool == "ceil":
            x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
        else:
            x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for number, stage in enumerate(self._stages(), start=1):
            mixers = cast(nn.ModuleList, getattr(self, f"NL_{number}"))
            before = len(stage) - len(mixers)
            for place, block in enumerate(stage):
                x = block(x)
                if place >= before:
                    x = mixers[place - before](x)
        return x

    def _stages(self) -> list[Any]:
        return [self.body.layer1, self.body.layer2, self.body.layer3, self.body.layer4]


class NonLocal(nn.Module):
    """A non-local block in its dot-product form (Wang et al. 2018).

    Args:
        channels: of the feature maps.
        inner: inner channels; 1 in fast-reid.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, inner, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The same shape."""
        b, _, h, w = x.shape
        theta, phi, g = (part(x).flatten(2) for part in (self.theta, self.phi, self.g))
        # theta_i . phi_j / N summed over j with g_j; the product of phi and g first, since it
        # doesn't grow with N^2
        mixed = (phi @ g.transpose(1, 2)).transpose(1, 2) @ theta / (h * w)
        return x + self.W(mixed.reshape(b, -1, h, w))


class EmbeddingHead(nn.Sequential):
    """The layers between pooling and embedding; empty where the embedding is the pooled vector.

    Attributes:
        num_features: dimensions of the embedding.

    Raises:
        ValueError: an unknown layer, or a linear layer without `head_width`.
    """

    def __init__(self, inputs: int, anatomy: Architecture) -> None:
        steps: list[nn.Module] = []
        for step in anatomy.head if anatomy.feature == "after" else ():
            if step in ("linear", "projection"):
                if anatomy.head_width is None:
                    raise ValueError(f"head {anatomy.head}: its linear map needs a head_width")
                steps.append(nn.Linear(inputs, anatomy.head_width, bias=step == "linear"))
                inputs = anatomy.head_width
            elif step in ("norm", "relu"):
                steps.append(nn.BatchNorm1d(inputs) if step == "norm" else nn.ReLU())
            else:
                raise ValueError(
                    f"head {anatomy.head}: a layer is linear, projection, norm or relu"
                )
        super().__init__(*steps)
        self.num_features = inputs


def global_pooling(
    maps: Float[Tensor, "b c h w"], pooling: Pooling, power: int | float = 3.0
) -> Float[Tensor, "b c"]:
    """Global pooling of feature maps to one vector per image.

    "gem" is (mean of x^power)^(1/power) (Radenovic et al. 2019, Eq. 3), "avg+max" the sum of both.
    """
    if pooling == "gem":
        return maps.clamp(min=_GEM_MINIMUM).pow(power).mean((2, 3)).pow(1 / power)
    if pooling == "max":
        return maps.amax((2, 3))
    return maps.mean((2, 3)) + maps.amax((2, 3)) if pooling == "avg+max" else maps.mean((2, 3))
