"""From a published checkpoint's tensors to the network that they are of, with an account of every
name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from graphreid.models.backbones import Matched
from graphreid.models.checkpoints.architectures import ToolkitNetwork
from graphreid.models.checkpoints.osnet import KINDS
from graphreid.models.checkpoints.parameter_names import LAYOUTS, Reading, State, layout_of, unread


def read_layout(layout: str, state: State, changes: Mapping[str, Any] | None = None) -> Reading:
    """What a state dict holds.

    Args:
        layout: one of LAYOUTS.
        state: the file's tensors by name; a "module." before the names is passed over.
        changes: entries of the anatomy that are known better than the file and its layout say.

    Raises:
        ValueError: names of another layout, or a network that is not read.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not known: choose one of {', '.join(LAYOUTS)}")
    bare = _bare(state)
    given = dict(changes or {})
    known = layout_of(bare)
    if known != layout:
        reason = f"but of {known}: choose --layout {known}" if known else f"({unread(bare)})"
        raise ValueError(
            f"its names, such as {next(iter(bare))}, are not those of {layout} {reason}"
        )
    if any(".se." in name for name in bare):
        raise ValueError(unread(bare))
    reading = LAYOUTS[layout](bare)
    anatomy = dataclasses.replace(reading.anatomy, **given)
    if anatomy.backbone in KINDS:
        useless = [key for key in ("last_stride", "stem_relu", "stem_pool") if key in given]
        if useless:
            raise ValueError(f"it is an OSNet, which has no choice of {useless[0]}: leave it out")
    dropped = reading.dropped
    if anatomy.feature == "before":
        dropped += tuple(theirs for theirs, ours in reading.spelling if ours.startswith("neck."))
    assumed = {key: words for key, words in reading.assumed.items() if key not in given}
    return dataclasses.replace(reading, anatomy=anatomy, dropped=dropped, assumed=assumed)


def fill(
    network: ToolkitNetwork,
    reading: Reading,
    state: State,
    *,
    allow_partial: bool = False,
    told: Callable[[Matched], object] | None = None,
) -> Matched:
    """Put a file's weights into the network that `reading.anatomy` builds.

    Args:
        network: it.
        reading: of `state`.
        state: the file's tensors by name.
        allow_partial: put in what matches although not all does; the rest of the network stays
            random.
        told: called with what matched before a partial match is refused.

    Returns:
        What matched, in the file's names; with shapes where the name is right and the shape is not.

    Raises:
        ValueError: a partial match that is not allowed; the message counts it, and names the first.
    """
    own = network.state_dict()
    bare = _bare(state)
    found: dict[str, Tensor] = {}
    loaded: list[str] = []
    unused: list[str] = []
    for name, value in bare.items():
        target = reading.own(name)
        wanted = own.get(target or "")
        if target is not None and wanted is not None and _fits(value, wanted):
            found[target] = value.reshape(wanted.shape)
            loaded.append(name)
        elif name not in reading.settings and not name.startswith(reading.dropped):
            unused.append(
                name if wanted is None else f"{name} of shape {_shape(value)} for {_shape(wanted)}"
            )
    missing = [
        reading.theirs(name)
        for name in own
        if name not in found and not name.endswith("num_batches_tracked")
    ]
    matched = Matched((*loaded, *reading.settings), tuple(missing), tuple(unused))
    if told:
        told(matched)
    if not found or ((missing or unused) and not allow_partial):
        raise ValueError(f"{matched}; load what matches with --allow-partial")
    network.load_state_dict({**own, **found})
    return matched


def _bare(state: State) -> dict[str, Tensor]:
    """Names without what training on several devices puts before them."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def _fits(value: Tensor, wanted: Tensor) -> bool:
    """The same shape; or a 1 x 1 convolution for a linear map, which is the same on pooled maps."""
    return value.shape == wanted.shape or (
        value.shape[2:] == (1, 1) and value.shape[:2] == wanted.shape
    )


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"
