"""METHOD texts with every option written out, so that the same method always has the same text."""

from collections.abc import Iterator
from typing import Any

from graphreid.methods import METHODS
from graphreid.methods.persistence import options, parse
from graphreid.papers.paper import FITTED, with_options
from graphreid.protocols import Reranker


def canonical(text: str, fit: str | None = None) -> str:
    """A METHOD text with all options, in the order of the methods' fields.

    Args:
        text: NAME[:key=value,...][+...]; "{fitted}" stands for the method that `fit` gives.
        fit: the METHOD text of that method, whose options hold where `text` has none of its own.

    Raises:
        ValueError: as `storage.parse`.
    """
    written = [_meant(part, fit) for part in text.split("+")]
    return "+".join(_written_out(part) for part in written)


def short(spec: str) -> str:
    """A METHOD text without the options that have their default value."""
    return "+".join(map(_shortened, spec.split("+")))


def versions(spec: str) -> list[int]:
    """The version of each method of a METHOD text: it is raised when the method's numbers
    change.
    """
    return [METHODS[name].version for name, _ in _split(spec)]


def method_name(method: Reranker) -> str:
    """The name of a method in METHODS."""
    return next(name for name, kind in METHODS.items() if kind is type(method))


def _meant(part: str, fit: str | None) -> str:
    name, colon, given = part.partition(":")
    if name != FITTED or fit is None:
        return part
    [(fitted, of_fit)] = _split(fit)
    return with_options(f"{fitted}{colon}{given}", dict(of_fit))


def _split(spec: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for part in spec.split("+"):
        name, _, given = part.partition(":")
        pairs = [pair.partition("=") for pair in given.split(",") if pair]
        yield name, [(key, value) for key, _, value in pairs]


def _written_out(part: str) -> str:
    method = parse(part)
    given = {key: _text(getattr(method, key)) for key in options(type(method))}
    return with_options(method_name(method), given)


def _shortened(part: str) -> str:
    [(name, given)] = _split(part)
    defaults = {key: _text(value) for key, value in options(METHODS[name]).items()}
    changed = {key: value for key, value in given if defaults.get(key) != value}
    return with_options(name, changed)


def _text(value: Any) -> str:
    """A value as a METHOD text has it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
