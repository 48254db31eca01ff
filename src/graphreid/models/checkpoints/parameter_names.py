"""Parameter names of other toolkits' checkpoints, and the architecture that they imply.

One function per toolkit derives an `Architecture` from names and shapes, and how names translate to
those of `ToolkitNetwork`. Sources: the code of reid-strong-baseline (BoT), torchreid 1.x, fast-reid
0.x to 1.3, and layumi's Person_reID_baseline_pytorch.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from graphreid.models.backbones import IBN, PIXEL_MEAN, PIXEL_STD
from graphreid.models.checkpoints.architectures import Architecture
from graphreid.models.checkpoints.osnet import WIDTHS as OSNET_WIDTHS

State = Mapping[str, Tensor]

_RESNETS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (2, 2, 2, 2)): "resnet26",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
    ("32 x 4", (3, 4, 6, 3)): "resnext50_32x4d",
    ("32 x 8", (3, 4, 23, 3)): "resnext101_32x8d",
}
_RESNET_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class ParsedCheckpoint:
    """The architecture and parameter names of a checkpoint.

    Attributes:
        title: toolkit (with its generation, where there are several) and backbone.
        anatomy: architecture of the network.
        prefixes: pairs (prefix in the file, prefix in the network); the first that matches a name
            counts.
        config_names: parameters whose values are part of the architecture, such as pixel_mean.
        ignored_prefixes: prefixes of parameters that embeddings don't need: the classifier's.
        assumed: for each field of the architecture that the file doesn't say, what is assumed, in
            words.
        rename: translates a name without its prefix from the file to the network.
    """

    title: str
    anatomy: Architecture
    prefixes: tuple[tuple[str, str], ...]
    config_names: tuple[str, ...] = ()
    ignored_prefixes: tuple[str, ...] = ()
    assumed: Mapping[str, str] = field(default_factory=dict[str, str])
    rename: Callable[[str], str] = str

    def network_name(self, name: str) -> str | None:
        """Translate a parameter name from the file to the network; None if the network lacks it."""
        if name in self.config_names or name.startswith(self.ignored_prefixes):
            return None
        for theirs, ours in self.prefixes:
            if name.startswith(theirs):
                return ours + self.rename(name.removeprefix(theirs))
        return None

    def file_name(self, own: str) -> str:
        """Translate a parameter name from the network to the file."""
        for theirs, ours in self.prefixes:
            if own.startswith(ours):
                return theirs + own.removeprefix(ours)
        return own


def detect_layout(names: State) -> str | None:
    """The toolkit whose parameter names these are, or None."""
    if any(name.startswith("backbone.") for name in names):
        return "fast-reid"
    if "base.conv1.weight" in names:
        return "bot"
    if "model.conv1.weight" in names and any(
        name.startswith("classifier.add_block.") for name in names
    ):
        return "layumi"
    if "layer1.0.conv1.weight" in names or "conv1.conv.weight" in names:
        return "torchreid"
    return None


def _bot(state: State) -> ParsedCheckpoint:
    """BoT: base.*, bottleneck.* (BatchNorm1d), classifier.*."""
    resnet = _resnet(_under(state, "base."))
    ibn = resnet["backbone"].endswith(IBN)
    # without a neck's weights it has none (NECK 'no') where it has a classifier; a file without
    # either lacks them
    necked = _any(state, "bottleneck.") or not _any(state, "classifier.")
    # the plain ResNet of this code forgot the stem's ReLU, and its weights learned without; its
    # ResNet-IBN has one
    anatomy = Architecture(layout="bot", **resnet, stem_relu=ibn, head=("norm",) if necked else ())
    return ParsedCheckpoint(
        title=f"bot, {resnet['backbone']}",
        anatomy=anatomy,
        prefixes=(("base.", "backbone.body."), ("bottleneck.", "neck.0.")),
        ignored_prefixes=("classifier.", "base.fc."),
        assumed={
            "stem_relu": f"{'yes' if ibn else 'no'}, as in reid-strong-baseline; some forks have "
            f"it in the plain ResNet too",
            **_unsaid(stride=1),
        },
    )


def _torchreid(state: State) -> ParsedCheckpoint:
    """torchreid: a ResNet's or OSNet's own names, in some models fc.* after the pooling, and
    classifier.*, whose input is the embedding.
    """
    if "conv1.conv.weight" in state:
        return _osnet(state)
    if "fc.weight" in state and not _any(state, "classifier."):
        raise ValueError(
            "it has fc.weight and no classifier: torchvision's, it seems; train on them with "
            "'train --weights'"
        )
    resnet = _resnet(state)
    reduced = "fc.0.weight" in state
    # its resnet50_fc512 strides by 1, all its other ResNets by 2
    anatomy = Architecture(
        layout="torchreid", **resnet, **_fc(state), last_stride=1 if reduced else 2
    )
    return ParsedCheckpoint(
        title=f"torchreid, {resnet['backbone']}{f'_fc{anatomy.head_width}' if reduced else ''}",
        anatomy=anatomy,
        prefixes=(("fc.", "neck."), ("", "backbone.body.")),
        ignored_prefixes=("classifier.",),
        assumed=_unsaid(stride=anatomy.last_stride),
    )


def _osnet(state: State) -> ParsedCheckpoint:
    """torchreid OSNets: widths from the convolutions, the kind from the parameter names."""
    searched = _any(state, "conv2.0.conv2.")
    kind = "osnet_ain" if searched else "osnet" if "conv1.bn.running_mean" in state else "osnet_ibn"
    lasts = ("conv1.conv.weight", *(f"conv{stage}.1.conv3.conv.weight" for stage in (2, 3, 4)))
    _need(state, *lasts)
    channels = tuple(int(state[last].shape[0]) for last in lasts)
    return ParsedCheckpoint(
        title=f"torchreid, {kind} of {channels[-1]} channels",
        anatomy=Architecture(
            layout="torchreid",
            backbone=kind,
            channels=None if channels == OSNET_WIDTHS else channels,
            **_fc(state),
        ),
        prefixes=(("fc.", "neck."), ("", "backbone.")),
        ignored_prefixes=("classifier.",),
        assumed=_unsaid(stride=None),
        rename=_osnet_name,
    )


def _osnet_name(name: str) -> str:
    """Names of the first OSNets, which number streams by letter and have a stage's pooling inside
    it, as in osnet_ain and here.
    """
    name = re.sub(r"^conv([23])\.2\.0\.", r"pool\1.0.", name)
    name = re.sub(r"\.conv2a\.", ".conv2.0.layers.0.", name)
    return re.sub(
        r"\.conv2([bcd])\.", lambda found: f".conv2.{'abcd'.index(found[1])}.layers.", name
    )


def _fc(state: State) -> dict[str, Any]:
    """torchreid's fc: linear, batch norm, ReLU."""
    if "fc.0.weight" not in state:
        return {"head": (), "head_width": None}
    return {"head": ("linear", "norm", "relu"), "head_width": int(state["fc.0.weight"].shape[0])}


def _fast_reid(state: State) -> ParsedCheckpoint:
    """fast-reid: backbone.*, heads.* (by generation); pixels in [0, 255], stem pooling "ceil"."""
    if any(re.match(r"b\d+(_head)?\.", name) for name in state):
        raise ValueError("it has several branches (b1., b2., ...), as MGN does, which is not read")
    body = _under(state, "backbone.")
    resnet = _resnet(body)
    mixers = tuple(_count(body, rf"NL_{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    old = _any(state, "heads.bnneck.")
    if old and _any(state, "heads.bottleneck."):
        raise ValueError(
            "it has heads.bottleneck and heads.bnneck: the reduction head of fast-reid 0.x, which "
            "is not read"
        )
    generation = "0.x" if old else "1.0" if _any(state, "heads.classifier.") else "1.2 or later"
    power = state.get("heads.pool_layer.p")
    if power is not None and power.numel() != 1:
        raise ValueError(
            f"its heads.pool_layer.p is {power.numel()} numbers: pooling with a power a channel is "
            f"not read"
        )
    assumed = _unsaid(stride=1, sizes="its SBS models take 384 x 128, those of vehicles 256 x 256")
    if old:
        assumed["stem_pool"] = "ceil; fast-reid before August 2020 padded"
    if power is None:
        # bagtricks pools by average. AGW has non-local blocks, and in later versions a fixed power
        # of 3, which leaves no weight
        reason = (
            "AGW, since it has non-local blocks"
            if any(mixers)
            else "bagtricks; AGW and SBS take gem"
        )
        assumed["pooling"] = f"{'gem' if any(mixers) else 'avg'}, as {reason}"
    anatomy = Architecture(
        layout="fast-reid",
        **resnet,
        stem_pool="ceil",
        resample="bicubic",
        nonlocal_blocks=mixers,
        nonlocal_width=next(
            (int(body[name].shape[0]) for name in body if re.match(r"NL_\d\.\d+\.g\.weight", name)),
            1,
        ),
        pooling="avg" if power is None and not any(mixers) else "gem",
        gem_power=3.0 if power is None else float(power),
        **_fast_reid_head(state, old=old),
        **_fast_reid_pixels(state),
    )
    extra = f" with {sum(mixers)} non-local blocks" if any(mixers) else ""
    return ParsedCheckpoint(
        title=f"fast-reid {generation}, {resnet['backbone']}{extra}",
        anatomy=anatomy,
        prefixes=(
            ("backbone.NL_", "backbone.NL_"),
            ("backbone.", "backbone.body."),
            ("heads.bnneck.", "neck.0.") if old else ("heads.bottleneck.", "neck."),
        ),
        config_names=tuple(
            name for name in ("pixel_mean", "pixel_std", "heads.pool_layer.p") if name in state
        ),
        ignored_prefixes=("heads.classifier.", "heads.weight", "heads.cls_layer."),
        assumed=assumed,
    )


def _fast_reid_head(state: State, *, old: bool) -> dict[str, Any]:
    """A BatchNorm2d, with a 1 x 1 convolution before it where EMBEDDING_DIM was set; or nothing."""
    first = state.get("heads.bottleneck.0.weight")
    if first is not None and first.ndim == 4:
        normed = "heads.bottleneck.1.weight" in state
        return {
            "head": ("projection", "norm") if normed else ("projection",),
            "head_width": int(first.shape[0]),
        }
    # without a neck's weights it has none (WITH_BNNECK False) where it has a head; a file without a
    # head lacks them
    return {
        "head": ("norm",) if old or first is not None or not _any(state, "heads.") else (),
        "head_width": None,
    }


def _fast_reid_pixels(state: State) -> dict[str, Any]:
    """Mean and deviation on the 0-255 scale; fast-reid 0.x saved them with the weights."""
    values = {"pixel_mean": PIXEL_MEAN, "pixel_std": PIXEL_STD}
    scaled = {name: tuple(255 * value for value in three) for name, three in values.items()}
    saved = {name: tuple(state[name].flatten().tolist()) for name in values if name in state}
    return {"pixel_scale": 255, **scaled, **saved}


def _layumi(state: State) -> ParsedCheckpoint:
    """layumi: model.* (torchvision's names), classifier.add_block.{0,1}.*; the embedding is the
    input of the last linear layer.
    """
    resnet = _resnet(_under(state, "model."))
    block = "classifier.add_block."
    linear = state.get(f"{block}0.weight")
    if linear is None or linear.ndim != 2:
        raise ValueError(f"its {block}0 is no linear map: a head without one is not read")
    head = ("linear", "norm") if f"{block}1.running_mean" in state else ("linear",)
    return ParsedCheckpoint(
        title=f"layumi, {resnet['backbone']}",
        anatomy=Architecture(
            layout="layumi",
            **resnet,
            last_stride=2,
            head=head,
            head_width=int(linear.shape[0]),
            resample="bicubic",
        ),
        prefixes=(("model.", "backbone.body."), (block, "neck.")),
        ignored_prefixes=("model.fc.", "classifier.classifier."),
        assumed={
            "feature": "after classifier.add_block, as in its test.py of today; older ones took "
            "the pooled vector before",
            **_unsaid(stride=2),
        },
    )


LAYOUTS: dict[str, Callable[[State], ParsedCheckpoint]] = {
    "bot": _bot,
    "torchreid": _torchreid,
    "fast-reid": _fast_reid,
    "layumi": _layumi,
}


def _resnet(state: State) -> dict[str, Any]:
    """timm's name of the ResNet with these parameters, and its widths where they are unusual.

    Raises:
        ValueError: it is no supported ResNet.
    """
    blocks = tuple(_count(state, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    second = state.get("layer1.0.conv2.weight")
    if not all(blocks) or second is None:
        raise ValueError(unsupported_reason(state))
    third = state.get("layer1.0.conv3.weight")
    groups = int(second.shape[0]) // int(second.shape[1])
    kind = (
        "basic"
        if third is None
        else "bottleneck"
        if groups == 1
        else f"{groups} x {second.shape[1]}"
    )
    name = _RESNETS.get((kind, blocks))
    if name is None:
        raise ValueError(
            f"its ResNet has {blocks} blocks of kind {kind}, which is none of "
            f"{', '.join(_RESNETS.values())}"
        )
    last, expansion = ("conv2", 1) if third is None else ("conv3", 4)
    ends = [f"layer{stage}.0.{last}.weight" for stage in (1, 2, 3, 4)]
    _need(state, *ends)
    widths = tuple(int(state[end].shape[0]) // expansion for end in ends)
    ibn = any(".bn1.IN." in key for key in state)
    return {
        "backbone": f"{name}{IBN if ibn else ''}",
        "channels": None if widths == _RESNET_WIDTHS else widths,
    }


def _need(state: State, *names: str) -> None:
    for name in names:
        if name not in state:
            raise ValueError(f"it lacks {name}, which every network of its kind has")


def unsupported_reason(names: State) -> str:
    """In words, why a network with these parameter names is not supported."""
    if any("patch_embed" in name or "cls_token" in name for name in names):
        return "it is a transformer, and only ResNets and OSNets are read"
    if any(".se." in name or ".se_module." in name for name in names):
        return (
            "it has squeeze-and-excitation blocks, and only plain ResNets, ResNets with IBN-a "
            "and OSNets are read"
        )
    return "its names are of no ResNet and no OSNet, and only those are read"


def _under(state: State, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def _any(state: State, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in state)


def _count(state: State, pattern: str) -> int:
    """One more than the highest number that the pattern matches at the beginning of a name."""
    return max(
        (int(found[1]) + 1 for name in state if (found := re.match(pattern, name))), default=0
    )


def _unsaid(
    *, stride: int | None, sizes: str = "give the size it was trained with"
) -> dict[str, str]:
    """Assumptions about what no checkpoint file says."""
    unsaid = {} if stride is None else {"last_stride": f"{stride}, the toolkit's own"}
    return {**unsaid, "height": f"256, and width 128; {sizes}"}
