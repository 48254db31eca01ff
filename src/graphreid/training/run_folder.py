"""The folder of a training run: RUN/{config.json, identities.json, model.safetensors, checkpoint/,
log.jsonl}.

config.json has the options of the run, identities.json which identities it trains on and which are
held out.
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
"""File of the re-ranker `parts`, which compares ICG's vectors, in the run's folder."""
FIT_SHARE = 0.8
"""Fraction of the re-ranker's identities that it is fitted on; the others are for validation."""
_MINIMUM = 2
"""Smallest number of identities in a part: with one, no image has a negative."""


@dataclass(frozen=True)
class IdentitySplit:
    """The split of a run's training identities between embedder and re-ranker, by name.

    Attributes:
        backbone: identities on which the embedder is trained.
        fit: identities on which a re-ranker may be fitted.
        validation: identities on which a re-ranker may be validated; none of them is in `fit`.
        held_out: True if the embedder was not trained on `fit` and `validation`; False if they are
            a split of its own identities.
    """

    backbone: tuple[str, ...]
    fit: tuple[str, ...]
    validation: tuple[str, ...]
    held_out: bool


def split_identities(names: NDArray[Any], share: int | float, seed: int) -> IdentitySplit:
    """Hold out identities for a re-ranker, and split them into fit and validation.

    Args:
        names: text [n], the identity of each training image.
        share: fraction of the identities to hold out, in [0, 1). With 0, fit and validation are a
            split of the embedder's own identities.
        seed: of the draw, which doesn't depend on the order of `names`.

    Raises:
        ValueError: `share` is out of range, or there are too few identities.
    """
    if not 0 <= share < 1:
        raise ValueError(f"holdout share is {share}: it must be at least 0 and less than 1")
    every = np.unique(names)
    mixed = generator(seed, 0, 0, 2).permutation(every)
    count = round(share * len(every))
    if share and (count < 2 * _MINIMUM or len(every) - count < _MINIMUM):
        raise ValueError(
            f"a holdout of {share:g} of {len(every)} identities is {count}: at least "
            f"{2 * _MINIMUM} must be held out (fit and validation) and {_MINIMUM} left"
        )
    candidates = mixed[:count] if share else mixed
    fit = min(round(FIT_SHARE * len(candidates)), len(candidates) - _MINIMUM)
    return IdentitySplit(
        backbone=_sorted(mixed[count:]),
        fit=_sorted(candidates[:fit]),
        validation=_sorted(candidates[fit:]),
        held_out=share > 0,
    )


def open_run(folder: Path, config: Mapping[str, Any], identities: IdentitySplit) -> bool:
    """Create the folder of a run, or open one with the same options to resume it.

    Returns:
        Whether the run existed already.

    Raises:
        ValueError: the folder has a run with other options, or other files, or can't be written.
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
def removed_if_refused(folder: Path, *, new: bool) -> Generator[None]:
    """Context that removes a new run's folder if the block fails before anything was trained.

    The corrected command would have other options, and could not resume it.
    """
    try:
        yield
    except ValueError:
        if new and {path.name for path in folder.iterdir()} == {CONFIG, IDENTITIES}:
            shutil.rmtree(folder)
        raise


def is_complete(folder: Path) -> bool:
    """Whether the training has ended, and its model is written."""
    return (folder / MODEL).is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """Read the options of a run.

    Raises:
        ValueError: the folder is no run.
    """
    return _read(folder / CONFIG)


def read_identities(folder: Path) -> IdentitySplit:
    """Read the split of a run's identities.

    Raises:
        ValueError: the folder is no run.
    """
    content = _read(folder / IDENTITIES)
    return IdentitySplit(
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
