"""The embedders: one method, one file. What is not in EMBEDDERS can't be named on the command line,
nor loaded.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graphreid.atomic_files import whole_file
from graphreid.models.bot import BoT
from graphreid.models.checkpoints.imported import ImportedEmbedder
from graphreid.models.icg.embedder import ICG
from graphreid.options import build as build_options
from graphreid.options import options_of

Embedder = BoT | ICG | ImportedEmbedder
EMBEDDERS: dict[str, type[BoT] | type[ICG] | type[ImportedEmbedder]] = {
    "bot": BoT,
    "icg": ICG,
    "imported": ImportedEmbedder,
}

FORMAT = 1


@overload
def build(name: Literal["bot"], settings: Mapping[str, Any]) -> BoT: ...
@overload
def build(name: Literal["icg"], settings: Mapping[str, Any]) -> ICG: ...
@overload
def build(name: str, settings: Mapping[str, Any]) -> Embedder: ...
def build(name: str, settings: Mapping[str, Any]) -> Embedder:
    """An embedder with these options by flat name, the others by default; lists, as JSON has them,
    become tuples.

    Raises:
        ValueError: an unknown embedder or option, or a value of another type or outside its range.
    """
    if name not in EMBEDDERS:
        raise ValueError(f"embedder {name!r} is not known: choose one of {', '.join(EMBEDDERS)}")
    known = [option.name for option in options_of(EMBEDDERS[name])]
    for key in settings:
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}: it has {', '.join(known)}")
    given = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    return build_options(EMBEDDERS[name], **given)


def save_embedder(embedder: Embedder, path: str | Path) -> None:
    """Write what an embedder learned, whole or not at all: tensors, with its fields in the
    safetensors header.

    Raises:
        ValueError: not fitted, or the folder is missing or not writable.
    """
    name = next(name for name, kind in EMBEDDERS.items() if kind is type(embedder))
    tensors, facts = embedder.state()
    header = {
        "format": str(FORMAT),
        "embedder": name,
        "fields": json.dumps(embedder.fields()),
        "facts": json.dumps(facts),
    }
    with whole_file(path) as temporary:
        save_file(tensors, temporary, header)


def load_embedder(path: str | Path) -> Embedder:
    """The embedder that `save_embedder` wrote.

    Raises:
        ValueError: no such file, not one of ours, or of a newer format.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file: train an embedder with 'graphreid train'")
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
            tensors: dict[str, torch.Tensor] = {
                key: opened.get_tensor(key)
                for key in opened.keys()  # noqa: SIM118  # the file is no dict
            }
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file}: not a readable safetensors file ({error}): train again"
        ) from None
    if header.get("embedder") not in EMBEDDERS:
        raise ValueError(
            f"{file}: not an embedder of this package: write it with 'graphreid train'"
        )
    if int(header["format"]) > FORMAT:
        raise ValueError(
            f"{file}: format {header['format']} is newer than this package reads: update graphreid"
        )
    embedder = build(header["embedder"], json.loads(header["fields"]))
    embedder.restore(tensors, json.loads(header["facts"]))
    return embedder


def name_of(file: Path, *, flip: bool) -> str:
    """Names an embedder by the content of its file, for the vectors that it makes."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return f"{digest} flip={flip}"
