"""Loads the weights of another toolkit's checkpoint, and reports which parameters matched."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from graphreid.models.backbones import WeightMatch
from graphreid.models.checkpoints.architectures import ToolkitNetwork
from graphreid.models.checkpoints.osnet import KINDS
from graphreid.models.checkpoints.parameter_names import (
    LAYOUTS,
    ParsedCheckpoint,
    State,
    detect_layout,
    unsupported_reason,
)


def parse_checkpoint(
    layout: str, state: State, changes: Mapping[str, Any] | None = None
) -> ParsedCheckpoint:
    """Derive the architecture of a checkpoint's network from its parameter names and shapes.

    Args:
        layout: the toolkit that wrote it, one of LAYOUTS.
        state: tensors by name; a prefix "module." is ignored.
        changes: fields of `Architecture` that the user knows better.

    Raises:
        ValueError: names of another toolkit, or an unsupported network.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not known: choose one of {', '.join(LAYOUTS)}")
    bare = _bare(state)
    given = dict(changes or {})
    known = detect_layout(bare)
    if known != layout:
        reason = (
            f"but of {known}: choose --layout {known}" if known else f"({unsupported_reason(bare)})"
        )
        raise ValueError(
            f"its names, such as {next(iter(bare))}, are not those of {layout} {reason}"
        )
    if any(".se." in name for name in bare):
        raise ValueError(unsupported_reason(bare))
    reading = LAYOUTS[layout](bare)
    anatomy = dataclasses.replace(reading.anatomy, **given)
    if anatomy.backbone in KINDS:
        useless = [key for key in ("last_stride", "stem_relu", "stem_pool") if key in given]
        if useless:
            raise ValueError(f"it is an OSNet, which has no choice of {useless[0]}: leave it out")
    ignored_prefixes = reading.ignored_prefixes
    if anatomy.feature == "before":
        ignored_prefixes += tuple(
            theirs for theirs, ours in reading.prefixes if ours.startswith("neck.")
        )
    assumed = {key: words for key, words in reading.assumed.items() if key not in given}
    return dataclasses.replace(
        reading, anatomy=anatomy, ignored_prefixes=ignored_prefixes, assumed=assumed
    )


def load_matching(
    network: ToolkitNetwork,
    reading: ParsedCheckpoint,
    state: State,
    *,
    allow_partial: bool = False,
    on_match: Callable[[WeightMatch], object] | None = None,
) -> WeightMatch:
    """Load the weights of a checkpoint into a network.

    Args:
        network: the network of `reading.anatomy`; changed in place.
        reading: result of `parse_checkpoint` for `state`.
        state: tensors by name.
        allow_partial: load the parameters that match although some don't; the others stay random.
        on_match: called with the result, also before a partial match is refused.

    Returns:
        Which parameters matched, by their names in the file; with both shapes where only the shape
        differs.

    Raises:
        ValueError: a partial match without `allow_partial`.
    """
    own = network.state_dict()
    bare = _bare(state)
    found: dict[str, Tensor] = {}
    loaded: list[str] = []
    unused: list[str] = []
    for name, value in bare.items():
        target = reading.network_name(name)
        wanted = own.get(target or "")
        if target is not None and wanted is not None and _fits(value, wanted):
            found[target] = value.reshape(wanted.shape)
            loaded.append(name)
        elif name not in reading.config_names and not name.startswith(reading.ignored_prefixes):
            unused.append(
                name if wanted is None else f"{name} of shape {_shape(value)} for {_shape(wanted)}"
            )
    missing = [
        reading.file_name(name)
        for name in own
        if name not in found and not name.endswith("num_batches_tracked")
    ]
    matched = WeightMatch((*loaded, *reading.config_names), tuple(missing), tuple(unused))
    if on_match:
        on_match(matched)
    if not found or ((missing or unused) and not allow_partial):
        raise ValueError(f"{matched}; load what matches with --allow-partial")
    network.load_state_dict({**own, **found})
    return matched


def _bare(state: State) -> dict[str, Tensor]:
    """Names without the prefix of DataParallel."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def _fits(value: Tensor, wanted: Tensor) -> bool:
    """Whether shapes agree; a 1 x 1 convolution of pooled features is a linear layer."""
    return value.shape == wanted.shape or (
        value.shape[2:] == (1, 1) and value.shape[:2] == wanted.shape
    )


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"
