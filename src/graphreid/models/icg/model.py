"""ICG's network: from pixels to the whole, the foreground, the parts and a graph among them.

    F        = stages of a ResNet at 1/4 of the image's size       Eq. 1, [b, c, h, w]
    F_g      = F S_A                                               AFM: Eq. 2
    P_0..K-1 = softmax(conv(F_g)), P_f = sum_{k>=1} P_k            PPC: Eqs. 6-8
    parts    = sum(F_g P_k) / sum(P_k), foreground by P_f          Eqs. 4 and 9
    F_s      = read-out of H' = LeakyReLU(M^ H Theta)              FSG: Eqs. 10-12

Equations are those of "Instance-level consistent graph with unsupervised human parts for person
re-identification". K counts the background, as Eqs. 8, 15 and 18 do; Section 2.2's "K+1 channels"
is a slip. The losses are in `losses`, the labels that parts are learned from in `pseudo_labels`.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from graphreid.models.backbones import BNNeck, width_of

SLOPE = 0.01
"""Of LeakyReLU in the graph; the paper gives none."""
GROUPS = ("global", "foreground", "structure", "parts")
"""Groups of features, in the order of a vector's blocks."""

Map = Float[Tensor, "b h w"]
Maps = Float[Tensor, "b c h w"]


class FeatureMap(nn.Module):
    """A ResNet's stages as one map at 1/4 of the image's size, ReLU(BN(sum of the stages'
    projections)).

    Args:
        backbone: a ResNet of timm.
        width: channels of the map.
        kind: "fpn" projects all four stages to `width` channels, upsamples them to the first one's
            size and adds them up; "first" is the first stage alone. A ResNet-50 has 256 channels at
            that size after its first stage only.

    Raises:
        ValueError: the backbone has no four stages.
    """

    def __init__(self, backbone: Any, width: int, kind: Literal["fpn", "first"] = "fpn") -> None:
        super().__init__()
        if not all(
            hasattr(backbone, name)
            for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")
        ):
            raise ValueError("parts need a backbone with four stages: choose a ResNet")
        channels = [int(info["num_chs"]) for info in backbone.feature_info[-4:]]
        used = channels if kind == "fpn" else channels[:1]
        self.projections = nn.ModuleList(nn.Conv2d(each, width, 1, bias=False) for each in used)
        self.norm = nn.BatchNorm2d(width)

    def forward(
        self, backbone: Any, pixels: Float[Tensor, "b 3 H W"]
    ) -> tuple[Maps, Float[Tensor, "b d i j"]]:
        """(F, the last stage) of normalised pixels."""
        # timm's ResNets have no call that gives all four stages
        x = backbone.maxpool(backbone.act1(backbone.bn1(backbone.conv1(pixels))))
        stages: list[Tensor] = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(backbone, name)(x)
            stages.append(x)
        total = self.projections[0](stages[0])  # [b, c, h, w] with h = H/4
        for project, stage in list(zip(self.projections, stages, strict=False))[1:]:
            total = total + functional.interpolate(project(stage), total.shape[2:], mode="bilinear")
        return torch.relu(self.norm(total)), x


class SpatialAttention(nn.Module):
    """S_A in (0, 1): the sigmoid of a 7x7 convolution over the channels' mean and maximum (Fig. 4).

    It begins as what the text says of it, more where the map responds more: equal weights, and a
    half where mean and maximum are about those of a normal variable's positive part. From random
    weights it can as well learn to turn the map around.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)
        nn.init.constant_(self.conv.weight, 1 / 49)
        nn.init.constant_(self.conv.get_parameter("bias"), -3)

    def forward(self, f: Maps) -> Float[Tensor, "b 1 h w"]:
        """A weight a pixel."""
        return torch.sigmoid(
            self.conv(torch.cat([f.mean(1, keepdim=True), f.amax(1, keepdim=True)], 1))
        )


def activation(f: Maps) -> Map:
    """Eq. 3, in [0, 1]: a pixel's L2 norm over the channels by the largest of its image (the
    paper's text calls it l1).
    """
    norm = torch.linalg.vector_norm(f, dim=1)  # [b, h, w]
    return norm / norm.amax((1, 2), keepdim=True).clamp(min=torch.finfo(norm.dtype).tiny)


def weighted_pooling(f: Maps, confidence: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k c"]:
    """sum(F P_k) / sum(P_k) over the pixels: a vector for each map of confidences (Eqs. 4 and 9,
    pooled).
    """
    weight = confidence.flatten(2)  # [b, k, h w]
    return weight @ f.flatten(2).transpose(1, 2) / weight.sum(2, keepdim=True).clamp(min=1e-6)


def visible_parts(
    confidence: Float[Tensor, "b k h w"], min_pixels: int = 1
) -> Bool[Tensor, "b parts"]:
    """l_k (Eq. 14): part k >= 1 is the most probable one of at least `min_pixels` pixels; map 0 is
    the background.
    """
    best = confidence.argmax(1).flatten(1)  # [b, h w]
    parts = torch.arange(1, confidence.shape[1], device=best.device)
    return (best[:, None] == parts[:, None]).sum(2) >= min_pixels


def normalised_adjacency(m: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """M^ = (I + D)^-1/2 (M + I) (I + D)^-1/2, D the sums of M's rows (Eq. 12)."""
    scale = (1 + m.sum(2)).rsqrt()  # [b, n], (I + D)^-1/2
    return scale[:, :, None] * (m + torch.eye(m.shape[1], device=m.device)) * scale[:, None]


class PartGraph(nn.Module):
    """F_s: the structure of an image, from a graph convolution over its parts (Eqs. 10-12).

    Args:
        width: entries of a part.
        hidden: widths of the layers.
        out: entries of F_s.
    """

    def __init__(self, width: int, hidden: tuple[int, ...], out: int) -> None:
        super().__init__()
        self.bilinear = nn.Linear(width, width, bias=False)
        sizes = (width, *hidden)
        self.layers = nn.ModuleList(
            nn.Linear(before, after, bias=False) for before, after in pairwise(sizes)
        )
        self.readout = nn.Linear(sizes[-1], out)

    def matrix(
        self, parts: Float[Tensor, "b n c"], visible: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n n"]:
        """M (Eq. 10) in [0, 1]: the sigmoid of a bilinear form of two parts of one image, for
        Fig. 8 shows different matrices for two persons; 0 in rows and columns of invisible parts.
        """
        score = self.bilinear(parts) @ parts.transpose(1, 2) / parts.shape[2] ** 0.5
        return torch.sigmoid(score) * (visible[:, :, None] & visible[:, None])

    def forward(
        self, parts: Float[Tensor, "b n c"], visible: Bool[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b out"], Float[Tensor, "b n n"]]:
        """(F_s, M); F_s is read out of the mean over the visible parts, or over all where none is
        visible.
        """
        m = self.matrix(parts, visible)
        m_hat = normalised_adjacency(m)
        h = parts
        for layer in self.layers:
            h = functional.leaky_relu(m_hat @ layer(h), SLOPE)  # [b, n, c'], Eq. 11
        any_visible = visible.any(1, keepdim=True)
        counted = torch.where(any_visible, visible, torch.ones_like(visible)).to(h.dtype)
        mean = (counted[:, None] @ h)[:, 0] / counted.sum(1, keepdim=True)  # [b, c']
        return self.readout(mean), m


def unit_blocks(vectors: Float[Tensor, "b d"], widths: tuple[int, ...]) -> Float[Tensor, "b d"]:
    """Each block of so many entries scaled to unit length; blocks of zeros stay zero."""
    return torch.cat(
        [functional.normalize(block, dim=1) for block in vectors.split(list(widths), 1)], 1
    )


@dataclass(frozen=True, eq=False)
class PartFeatures:
    """What the network makes of images.

    Attributes:
        f: F_g, the feature map after attention (Eq. 2).
        features: by group ("global", "foreground", "parts" [b, (K-1) c] and "structure"), before
            their batch norms: triplet and center loss are on these.
        separation: logits of background and foreground (Eq. 16), or None.
        confidence: logits of P_0 .. P_{K-1} (Eq. 7), or None.
        visible: l_k of parts 1 .. K-1 (Eq. 14); of none without clustering.
        matrix: M (Eq. 10), or None.
    """

    f: Float[Tensor, "b c h w"]
    features: dict[str, Tensor]
    separation: Float[Tensor, "b 2 h w"] | None
    confidence: Float[Tensor, "b k h w"] | None
    visible: Bool[Tensor, "b parts"]
    matrix: Float[Tensor, "b parts parts"] | None


class PartNetwork(BNNeck):
    """BoT's network with foreground, parts and structure; a batch norm and a classifier for each
    group of features, BNNeck's own for the whole.

    In vectors the groups are blocks of unit length: whole | foreground | structure | part 1 | ... |
    part K-1.

    Args:
        model: a ResNet.
        classes: identities to tell apart in training.
        parts: K, the background counted; 0 for no parts.
        width: channels of the feature map.
        feature_map: see `FeatureMap`.
        attention: whether a spatial attention weighs the map, and a foreground is learned of it.
        graph: widths of the graph's layers and of what is read out; empty for no graph.
        min_pixels: see `visible_parts`.
        before_norm: vectors are made of the features before their batch norms.
    """

    def __init__(
        self,
        model: nn.Module,
        classes: int,
        *,
        parts: int,
        width: int,
        feature_map: Literal["fpn", "first"],
        attention: bool,
        graph: tuple[int, ...],
        min_pixels: int,
        before_norm: bool,
    ) -> None:
        super().__init__(model, classes, pooled=before_norm)
        self.min_pixels = min_pixels
        self.count = max(parts - 1, 0)  # parts without the background
        self.map = FeatureMap(model, width, feature_map)
        self.attention = SpatialAttention() if attention else None  # S_A
        # the scale of F_g is free, for all features made of it are normalised later: what reads its
        # pixels needs an even one
        self.even = nn.BatchNorm2d(width)
        self.separate = nn.Conv2d(width, 2, 1) if attention else None  # background, foreground
        self.assign = nn.Conv2d(width, parts, 1) if parts else None  # K maps (Eq. 6)
        self.graph = PartGraph(width, graph[:-1], graph[-1]) if graph else None
        widths = {"global": width + width_of(model), "foreground": width}
        widths |= {"structure": graph[-1]} if graph else {}
        self.block_widths = (*widths.values(), *(width,) * self.count)
        widths |= {"parts": self.count * width} if parts else {}
        necks = {name: nn.BatchNorm1d(each) for name, each in widths.items()}
        classifiers = {name: nn.Linear(each, classes, bias=False) for name, each in widths.items()}
        for neck, classifier in zip(necks.values(), classifiers.values(), strict=True):
            neck.bias.requires_grad_(False)  # as BNNeck's
            nn.init.normal_(classifier.weight, std=0.001)
        self.neck = necks.pop("global")
        self.classifier = classifiers.pop("global")
        self.necks = nn.ModuleDict(necks)
        self.classifiers = nn.ModuleDict(classifiers)

    def feature_map(
        self, pixels: Float[Tensor, "b 3 H W"]
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b d i j"]]:
        """(F_g, the last stage), float32, of RGB in [0, 1]."""
        normal = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        f, last = self.map(self.backbone, normal)
        f = f.float()
        with torch.autocast(pixels.device.type, enabled=False):
            return f if self.attention is None else f * self.attention(f), last.float()  # Eq. 2

    def part_features(self, pixels: Float[Tensor, "b 3 H W"]) -> PartFeatures:
        """Features of all groups, and the maps and the graph that they come from, of RGB in
        [0, 1].
        """
        f, last = self.feature_map(pixels)
        with torch.autocast(pixels.device.type, enabled=False):
            pool: Any = self.backbone.global_pool
            # pooled F_g too, so that the attention is learned from the global losses
            features = {"global": torch.cat([pool(f), pool(last)], 1)}  # [b, c + 2048]
            even = self.even(f)
            separation = None if self.separate is None else self.separate(even)  # Eq. 16
            confidence = None if self.assign is None else self.assign(even)  # Eq. 6
            visible = torch.zeros(len(f), 0, dtype=torch.bool, device=f.device)
            matrix = None
            if confidence is not None:
                p = confidence.softmax(1)  # [b, K, h, w], Eq. 7
                p_f = p[:, 1:].sum(1, keepdim=True)  # Eq. 8
                features["foreground"] = weighted_pooling(f, p_f).flatten(1)  # Eq. 9
                visible = visible_parts(confidence, self.min_pixels)  # Eq. 14
                parts = weighted_pooling(f, p[:, 1:]) * visible[:, :, None]  # [b, K-1, c]
                if self.graph is not None:
                    # F_s and M (Eqs. 10-12)
                    features["structure"], matrix = self.graph(parts, visible)
                features["parts"] = parts.flatten(1)
            elif separation is not None:
                p_f = separation.softmax(1)[:, 1:]
                features["foreground"] = weighted_pooling(f, p_f).flatten(1)  # Eq. 4
            return PartFeatures(f, features, separation, confidence, visible, matrix)

    def after_norm(self, group: str, made: PartFeatures) -> Float[Tensor, "b d"]:
        """A group's features after its batch norm; parts that are not visible are 0 again."""
        feature = made.features[group]
        if not (self.pooled and not self.training):
            feature = (self.neck if group == "global" else self.necks[group])(feature)
        if group != "parts":
            return feature
        return feature * made.visible.repeat_interleave(feature.shape[1] // self.count, 1)

    def logits(self, group: str, normed: Float[Tensor, "b d"]) -> Float[Tensor, "b classes"]:
        """A group's logits of the identities."""
        return (self.classifier if group == "global" else self.classifiers[group])(normed)

    def forward(
        self, pixels: Float[Tensor, "b 3 H W"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b e"]]:
        """(The whole's features, vectors) of RGB in [0, 1]; the vectors are blocks of unit length,
        see above.
        """
        made = self.part_features(pixels)
        groups = [group for group in GROUPS if group in made.features]
        vectors = torch.cat([self.after_norm(group, made) for group in groups], 1)
        return made.features["global"], self.finish(vectors)

    def finish(self, vectors: Float[Tensor, "b e"]) -> Float[Tensor, "b e"]:
        """Blocks of unit length again, after a mean of several vectors; a part that is visible in
        either of two is visible.
        """
        return unit_blocks(vectors, self.block_widths)
