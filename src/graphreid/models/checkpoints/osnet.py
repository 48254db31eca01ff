"""OSNet (Zhou et al. 2019) and its variants with instance normalisation (2021), for checkpoints."""

from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = (64, 256, 384, 512)
"""Channels of the stem and of the three stages at width 1.0."""
STREAMS = 4
"""Streams of a block: the t-th has t light convolutions, and so a larger receptive field."""
_SQUEEZE = 4
_GATE = 16

Norm = Literal["none", "after", "inside"]
"""Position of a block's instance normalisation: none, after the sum, or inside the residual."""
_NORMS: dict[str, tuple[tuple[Norm, Norm], ...]] = {
    "osnet": (("none", "none"), ("none", "none"), ("none", "none")),
    # Zhou et al., "Learning generalisable omni-scale representations" (2021): -IBN in the first
    # stage
    "osnet_ibn": (("after", "after"), ("none", "none"), ("none", "none")),
    # and -AIN, as their search found it
    "osnet_ain": (("inside", "inside"), ("none", "inside"), ("inside", "none")),
}
KINDS = tuple(_NORMS)


class OSNet(nn.Module):
    """OSNet without pooling and classifier: images [b, 3, h, w] to maps [b, d, h/16, w/16].

    Attributes:
        width: d, the channels of the maps.

    Args:
        kind: one of KINDS.
        channels: of the stem and of the three stages.

    Raises:
        ValueError: not four widths, or a stage of fewer than 64 channels.
    """

    def __init__(self, kind: str = "osnet", channels: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        if len(channels) != 4 or any(width < _SQUEEZE * _GATE for width in channels[1:]):
            raise ValueError(
                f"channels are {channels}: OSNet takes four, and at least {_SQUEEZE * _GATE} in "
                f"its stages"
            )
        norms = _NORMS[kind]
        stem, one, two, three = channels
        self.width = three
        self.conv1 = _Conv(3, stem, 7, stride=2, instance=kind != "osnet")
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(Block(stem, one, norms[0][0]), Block(one, one, norms[0][1]))
        self.pool2 = nn.Sequential(_Conv(one, one, 1), nn.AvgPool2d(2))
        self.conv3 = nn.Sequential(Block(one, two, norms[1][0]), Block(two, two, norms[1][1]))
        self.pool3 = nn.Sequential(_Conv(two, two, 1), nn.AvgPool2d(2))
        self.conv4 = nn.Sequential(Block(two, three, norms[2][0]), Block(three, three, norms[2][1]))
        self.conv5 = _Conv(three, three, 1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d p q"]:
        """The feature maps of the last stage."""
        x = self.maxpool(self.conv1(x))
        x = self.pool2(self.conv2(x))
        x = self.pool3(self.conv3(x))
        return self.conv5(self.conv4(x))


class Block(nn.Module):
    """A residual block of four streams, weighted per channel by one gate (Zhou et al. 2019,
    Eqs. 2-3).

    Args:
        inputs: input channels.
        width: output channels.
        norm: position of the instance normalisation.
    """

    def __init__(self, inputs: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        inner = width // _SQUEEZE
        self.conv1 = _Conv(inputs, inner, 1)
        self.conv2 = nn.ModuleList(_Stream(inner, depth) for depth in range(1, STREAMS + 1))
        self.gate = _Gate(inner)
        self.conv3 = _Conv(inner, width, 1, relu=False, batch=norm != "inside")
        self.downsample = _Conv(inputs, width, 1, relu=False) if inputs != width else None
        self.IN = nn.InstanceNorm2d(width, affine=True) if norm != "none" else None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The feature maps after the block."""
        squeezed = self.conv1(x)
        mixed = torch.stack([self.gate(stream(squeezed)) for stream in self.conv2]).sum(0)
        residual = self.conv3(mixed)
        if self.IN is not None and self.norm == "inside":
            residual = self.IN(residual)
        out = residual + (x if self.downsample is None else self.downsample(x))
        if self.IN is not None and self.norm == "after":
            out = self.IN(out)
        return torch.relu(out)


class _Conv(nn.Module):
    """Convolution without bias, then normalisation and ReLU where they are wanted."""

    def __init__(
        self,
        inputs: int,
        width: int,
        size: int,
        *,
        stride: int = 1,
        relu: bool = True,
        batch: bool = True,
        instance: bool = False,
    ) -> None:
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(inputs, width, size, stride=stride, padding=size // 2, bias=False)
        self.bn = (
            (nn.InstanceNorm2d(width, affine=True) if instance else nn.BatchNorm2d(width))
            if batch
            else nn.Identity()
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d p q"]:
        x = self.bn(self.conv(x))
        return torch.relu(x) if self.relu else x


class _Light(nn.Module):
    """A point-wise and then a depth-wise 3 x 3 convolution (Zhou et al. 2019, section 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return torch.relu(self.bn(self.conv2(self.conv1(x))))


class _Stream(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_Light(width) for _ in range(depth)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return cast(Tensor, self.layers(x))


class _Gate(nn.Module):
    """Weighs the channels by a small network over their means; all streams share it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // _GATE, 1)
        self.fc2 = nn.Conv2d(width // _GATE, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))
