"""A training run's folder: RUN/{config.json, identities.json, model.safetensors, checkpoint/,
log.jsonl}.

config.json is what the run was asked for, identities.json which identities it trains on and which
it keeps away.
"""

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphreid.atomic_files import whole_file
from graphreid.seeding import generator

CONFIG = "config.json"
IDENTITIES = "identities.json"
MODEL = "model.safetensors"
LOG = "log.jsonl"

PARTS = "parts.safetensors"
"""The distance of ICG's vectors, a re-ranker, in the run's folder."""
FIT_SHARE = 0.8
"""Of the identities that a re-ranker may use: so many to fit it, the others to validate it."""
_LEAST = 2
"""Identities in each part: with one, no image has a wrong match."""


@dataclass(frozen=True)
class Identities:
    """Who is for what, by name.

    Attributes:
        backbone: the embedder trains on them.
        fit: a re-ranker may fit on them.
        validation: a re-ranker may be validated on them; none of them is in `fit`.
        held_out: whether fit and validation were kept away from the embedder; otherwise they are
            its own, shared out.
    """

    backbone: tuple[str, ...]
    fit: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: bool


def split_identities(names: NDArray[Any], share: int | float, seed: int) -> Identities:
    """Keep a share of the identities away from the embedder, and cut them into fit and validation.

    Args:
        names: text, an identity once or more often.
        share: 0 for none; then fit and validation are shares of the embedder's own identities.
        seed: of the draw; the draw doesn't depend on the order of `names`.

    Raises:
        ValueError: not a share, or too few identities for it.
    """
    if not 0 <= share < 1:
        raise ValueError(f"holdout share is {share}: it must be at least 0 and less than 1")
    every = np.unique(names)
    mixed = generator(seed, 0, 0, 2).permutation(every)
    count = round(share * len(every))
    if share and (count < 2 * _LEAST or len(every) - count < _LEAST):
        raise ValueError(
            f"a holdout of {share:g} of {len(every)} identities is {count}: at least {2 * _LEAST} "
            f"must be held out"
            f" (fit and validation) and {_LEAST} left"
        )
    pool = mixed[:count] if share else mixed
    fit = min(round(FIT_SHARE * len(pool)), len(pool) - _LEAST)
    return Identities(
        backbone=_sorted(mixed[count:]),
        fit=_sorted(pool[:fit]),
        validation=_sorted(pool[fit:]),
        held_out=share > 0,
    )


def begin(folder: Path, config: Mapping[str, Any], identities: Identities) -> bool:
    """Make a run's folder, or go on in one that was begun with the same settings.

    Returns:
        Whether it was there already.

    Raises:
        ValueError: the folder holds a run with other settings, or something else, or it can't be
            written.
    """
    if folder.exists() and not (folder / CONFIG).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ValueError(
                f"{folder} exists already, and is no training run: choose another --out"
            )
    elif folder.exists():
        before = read_config(folder)
        now = json.loads(json.dumps(config))
        differing = sorted(
            key
            for key in {*_flat(before), *_flat(now)}
            if _flat(before).get(key) != _flat(now).get(key)
        )
        if differing:
            shown = ", ".join(
                f"{key} was {_flat(before).get(key)}, is {_flat(now).get(key)}"
                for key in differing[:3]
            )
            raise ValueError(
                f"{folder} holds a run with other settings ({shown}): give those, or choose "
                f"another --out"
            )
        return True
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot write {folder}: {error.strerror} (does its folder exist, may you write there?)"
        ) from None
    _write(folder / IDENTITIES, {**vars(identities)})
    _write(folder / CONFIG, config)  # last: a folder with it is a run
    return False


@contextmanager
def discarded_when_refused(folder: Path, *, new: bool) -> Generator[None]:
    """Take back a new run that is refused in the block before it made anything: the mended command
    is another run.
    """
    try:
        yield
    except ValueError:
        if new and {path.name for path in folder.iterdir()} == {CONFIG, IDENTITIES}:
            shutil.rmtree(folder)
        raise


def complete(folder: Path) -> bool:
    """Whether the run has ended: its model is there."""
    return (folder / MODEL).is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """What the run was asked for.

    Raises:
        ValueError: not a run.
    """
    return _read(folder / CONFIG)


def read_identities(folder: Path) -> Identities:
    """Who is for what in the run.

    Raises:
        ValueError: not a run.
    """
    content = _read(folder / IDENTITIES)
    return Identities(
        backbone=tuple(content["backbone"]),
        fit=tuple(content["fit"]),
        validation=tuple(content["validation"]),
        held_out=bool(content["held_out"]),
    )


def _sorted(names: NDArray[Any]) -> tuple[str, ...]:
    return tuple(sorted(names.tolist()))


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": content for inner, content in value.items()}  # pyright: ignore[reportUnknownVariableType]
        else:
            flat[key] = value
    return flat


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"{file.parent}: no training run: it has no {file.name}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not readable ({error})") from None
