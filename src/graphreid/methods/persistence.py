"""A fitted method as one file: its options and a format version in the safetensors header, what it
learned as tensors.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graphreid.atomic_files import whole_file
from graphreid.methods import METHODS
from graphreid.methods.chain import Chain
from graphreid.options import build, flat_options
from graphreid.protocols import Reranker

FORMAT = 1
RENAMED_OPTIONS = {"probes": "queries"}
"""Options of files of earlier versions, and what they are called now."""


@dataclass(frozen=True)
class Header:
    """What a file says of its method beside the tensors.

    Attributes:
        kind: the method's class.
        options: its options, by flat name.
        learned: what it learned that is no tensor, by attribute.
    """

    kind: type[Any]
    options: dict[str, Any]
    learned: dict[str, Any]


def save(method: Reranker, path: str | Path) -> None:
    """Write a method, whole or not at all.

    Raises:
        ValueError: the folder is missing or not writable, or the method is a chain.
    """
    if isinstance(method, Chain):
        raise ValueError(
            f"{path}: a chain is no file: save what it is made of, and name both, as in "
            f"A.safetensors+k-reciprocal"
        )
    name = next(name for name, kind in METHODS.items() if kind is type(method))
    learned: dict[str, Any] = {
        key: value for key, value in vars(method).items() if key.endswith("_")
    }
    tensors = {key: value.contiguous() for key, value in learned.get("state_", {}).items()}
    facts = {key: value for key, value in learned.items() if key != "state_"}
    header = {
        "format": str(FORMAT),
        "method": name,
        "fields": json.dumps(flat_options(method)),
        "facts": json.dumps(facts),
    }
    with whole_file(path) as temporary:
        save_file(tensors, temporary, header)


def load(path: str | Path) -> Reranker:
    """The method that `save` wrote.

    Raises:
        ValueError: no such file, not one of ours, or of a newer format.
    """
    header, tensors = _read(Path(path), tensors=True)
    method = build(header.kind, **header.options)
    for key, value in header.learned.items():
        setattr(method, key, value)
    if tensors:
        method.state_ = tensors  # type: ignore[attr-defined]  # only methods that learn have tensors
    return method


def read_header(path: str | Path) -> Header:
    """What a file says of its method; no tensor is read.

    Raises:
        ValueError: as `load`.
    """
    return _read(Path(path), tensors=False)[0]


def _read(file: Path, *, tensors: bool) -> tuple[Header, dict[str, torch.Tensor]]:
    if not file.is_file():
        raise ValueError(
            f"{file}: no such file: fit a method with 'graphreid fit', or name one of "
            f"{', '.join(METHODS)}"
        )
    try:
        with safe_open(file, "pt") as opened:
            texts = opened.metadata() or {}
            names = list(opened.keys()) if tensors else []
            values: dict[str, torch.Tensor] = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file}: not a readable safetensors file ({error}): fit the method again"
        ) from None
    return _header(file, texts), values


def _header(file: Path, texts: dict[str, str]) -> Header:
    if texts.get("method") not in METHODS:
        raise ValueError(f"{file}: not a method of this package: write it with 'graphreid fit'")
    kind = METHODS[texts["method"]]
    try:
        newer = int(texts["format"]) > FORMAT
        options: dict[str, Any] = {}
        learned: dict[str, Any] = {}
        if not newer:
            options = dict(json.loads(texts["fields"]))
            learned = dict(json.loads(texts["facts"]))
        options = {RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}
        build(kind, **options)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: its header is damaged ({error}): fit the method again") from None
    if newer:
        raise ValueError(
            f"{file}: format {texts['format']} is newer than this package reads: update graphreid"
        )
    for name in learned:
        # else it could stand in for anything, a function of the class too
        if not name.endswith("_") or name.startswith("_"):
            raise ValueError(
                f"{file}: {name!r} is nothing that a method learns: fit the method again"
            )
    return Header(kind, options, learned)
