"""A fitted method as one file: its fields and a format version in the safetensors header, what it
learned as tensors.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graphreid.atomic_files import whole_file
from graphreid.methods import METHODS
from graphreid.methods.chain import Chain, chained
from graphreid.protocols import Reranker

FORMAT = 1
_RENAMED = {"probes": "queries"}
"""Options of old files, and what they are called now."""


def options(method: type[Any]) -> dict[str, Any]:
    """The hyper-parameters of a method and their defaults."""
    fields = dataclasses.fields(method)
    return {field.name: field.default for field in fields if field.init}


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
        "fields": json.dumps({key: getattr(method, key) for key in options(type(method))}),
        "facts": json.dumps(facts),
    }
    with whole_file(path) as temporary:
        save_file(tensors, temporary, header)


def load(path: str | Path) -> Reranker:
    """The method that `save` wrote.

    Raises:
        ValueError: no such file, not one of ours, or of a newer format.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"{file}: no such file: fit a method with 'graphreid fit', or name one of "
            f"{', '.join(METHODS)}"
        )
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
            tensors: dict[str, torch.Tensor] = {
                key: opened.get_tensor(key)
                for key in opened.keys()  # noqa: SIM118  # the file is no dict
            }
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{file}: not a readable safetensors file ({error}): fit the method again"
        ) from None
    if "method" not in header or header["method"] not in METHODS:
        raise ValueError(f"{file}: not a method of this package: write it with 'graphreid fit'")
    try:
        newer = int(header["format"]) > FORMAT
        fields: dict[str, Any] = dict(json.loads(header["fields"]))
        given = {_RENAMED.get(name, name): value for name, value in fields.items()}
        method = None if newer else METHODS[header["method"]](**given)
        facts: dict[str, Any] = {} if newer else dict(json.loads(header["facts"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: its header is damaged ({error}): fit the method again") from None
    if method is None:
        raise ValueError(
            f"{file}: format {header['format']} is newer than this package reads: update graphreid"
        )
    for key, value in facts.items():
        if not key.endswith("_") or key.startswith(
            "_"
        ):  # else it could stand in for anything, a function of the class too
            raise ValueError(
                f"{file}: {key!r} is nothing that a method learns: fit the method again"
            )
        setattr(method, key, value)
    if tensors:
        method.state_ = tensors  # type: ignore[attr-defined]  # only methods that learn have tensors
    return method


def parse(text: str) -> Reranker:
    """The method that METHOD names: NAME or FILE.safetensors, then [:key=value,...], then [+METHOD
    ...], one after the other.

    Raises:
        ValueError: unknown method or option, a value that is none, or methods that can't follow one
            another.
    """
    method, *others = map(_parse_one, _split(text))
    for other in others:
        method = chained(method, other)
    return method


def _split(text: str) -> list[str]:
    pieces, out = text.split("+"), list[str]()
    while pieces:
        # the path of a file may hold a plus
        wide = [
            take
            for take in range(2, len(pieces) + 1)
            if _is_path("+".join(pieces[:take]), take - 1)
        ]
        take = max(wide, default=1)
        out.append("+".join(pieces[:take]))
        del pieces[:take]
    return out


def _is_path(text: str, pluses: int) -> bool:
    path = text.partition(":")[0]
    return path.count("+") == pluses and Path(path).is_file()


def _parse_one(text: str) -> Reranker:
    name, _, given = text.partition(":")
    if name.endswith(".safetensors"):
        method = load(name)
    elif name in METHODS:
        method = METHODS[name]()
    else:
        raise ValueError(
            f"method {name!r} is not known: choose one of {', '.join(METHODS)}, or a .safetensors "
            f"file of 'fit'"
        )
    changes: dict[str, Any] = {}
    known = {
        key: kind
        for key, kind in get_type_hints(type(method)).items()
        if key in options(type(method))
    }
    for pair in filter(None, given.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            raise ValueError(
                f"option {pair!r} of {name}: write key=value, with a key of "
                f"{', '.join(known) or '(it has none)'}"
            )
        if key in changes:
            raise ValueError(f"option {key} of {name} is given twice: give it once")
        changes[key] = _value(value, known[key], f"option {key} of {name}")
    if not changes:
        return method
    changed = dataclasses.replace(method, **changes)  # type: ignore[type-var]
    for key, value in vars(method).items():
        if key.endswith("_"):
            setattr(changed, key, value)
    return changed


def _value(text: str, kind: Any, what: str) -> Any:
    if get_origin(kind) is Literal:
        if text in get_args(kind):
            return text
        raise ValueError(f"{what} is {text!r}: choose one of {', '.join(map(str, get_args(kind)))}")
    if get_origin(kind) is not None or kind not in (int, float, bool, str):
        for part in get_args(kind):
            try:
                return None if part is type(None) and text == "none" else _value(text, part, what)
            except ValueError:
                continue
        raise ValueError(f"{what} is {text!r}: it must be {kind}")
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError(f"{what} is {text!r}: write true or false")
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(
            f"{what} is {text!r}: it must be {'a whole number' if kind is int else 'a number'}"
        ) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} is {text!r}: it must be a number, and finite")
    return value
