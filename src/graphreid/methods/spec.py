"""METHOD texts: which re-rankers, with which options.

cosine
k-reciprocal:k1=9,setting=online
runs/cagcn.safetensors:lam=0
aqe+k-reciprocal:k1=9           one after the other
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from graphreid.methods import METHODS
from graphreid.methods.chain import chained
from graphreid.methods.persistence import load, read_header
from graphreid.options import (
    build,
    flat_options,
    option_from_text,
    option_to_text,
    options_of,
    with_options,
)
from graphreid.protocols import Reranker

FITTED = "{fitted}"
"""Stands in a text for a method that is given beside it."""


@dataclass(frozen=True)
class Step:
    """One method of a text.

    Attributes:
        source: a name in METHODS, or the path of a .safetensors file.
        options: those that are given, by flat name, in the order given.
    """

    source: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        pairs = ",".join(f"{name}={option_to_text(value)}" for name, value in self.options)
        return f"{self.source}{':' if pairs else ''}{pairs}"

    @property
    def is_file(self) -> bool:
        """Whether it is a fitted method's file."""
        return self.source.endswith(".safetensors")

    @cached_property
    def _saved(self) -> tuple[type[Any], dict[str, Any]]:
        """The class, and the options before those that are given."""
        if self.is_file:
            header = read_header(self.source)
            return header.kind, header.options
        if self.source not in METHODS:
            raise ValueError(
                f"method {self.source!r} is not known: choose one of {', '.join(METHODS)}, or a "
                f".safetensors file of 'fit'"
            )
        return METHODS[self.source], {}

    @property
    def kind(self) -> type[Any]:
        """The method's class."""
        return self._saved[0]

    @property
    def all_options(self) -> dict[str, Any]:
        """Every option by flat name: given, else of the file, else the default."""
        kind, saved = self._saved
        return flat_options(build(kind, **(saved | dict(self.options))))

    def build(self) -> Reranker:
        """The method."""
        method = load(self.source) if self.is_file else self.kind()
        return with_options(method, **dict(self.options)) if self.options else method


@dataclass(frozen=True)
class MethodSpec:
    """A METHOD text that was read: one method, or several one after the other.

        spec = MethodSpec.parse("aqe+k-reciprocal:k1=9")
        method = spec.build()

    Attributes:
        steps: the methods, first to last.
    """

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str, *, fitted: "MethodSpec | None" = None) -> "MethodSpec":
        """Read NAME or FILE.safetensors, then [:key=value,...], then [+METHOD ...].

        Args:
            text: the text; a path in it may hold a plus where there is such a file.
            fitted: one method that "{fitted}" stands for in the text, with its options.

        Raises:
            ValueError: an unknown method or option, a value that is none, or no such file.
        """
        return cls(tuple(_step(part, fitted) for part in _split(text)))

    def __str__(self) -> str:
        """The text, from which `parse` makes the same."""
        return "+".join(map(str, self.steps))

    def canonical(self) -> str:
        """The text with every option written out and their names sorted: the same for every way to
        write a method. A file stands there as the method and the options that it was fitted with.
        """
        return "+".join(_canonical(step) for step in self.steps)

    def short(self) -> str:
        """The text without options that have their default, names sorted; a file as in
        `canonical`.
        """
        return "+".join(_canonical(step, defaults=False) for step in self.steps)

    @property
    def has_files(self) -> bool:
        """Whether a method comes from a file."""
        return any(step.is_file for step in self.steps)

    @property
    def kinds(self) -> tuple[type[Any], ...]:
        """The methods' classes, first to last."""
        return tuple(step.kind for step in self.steps)

    def with_options(self, **options: Any) -> "MethodSpec":
        """The same with other options of the last method.

        Raises:
            ValueError: an unknown name, or a value that its option can't have.
        """
        *before, last = self.steps
        checked = flat_options(build(last.kind, **options))
        given = dict(last.options) | {name: checked[name] for name in options}
        return MethodSpec((*before, replace(last, options=tuple(given.items()))))

    def with_defaults(self, **options: Any) -> "MethodSpec":
        """The same with those of these options that the last method is not given yet.

        Raises:
            ValueError: an unknown name, or a value that its option can't have.
        """
        known = dict(self.steps[-1].options)
        return self.with_options(
            **{name: value for name, value in options.items() if name not in known}
        )

    def build(self) -> Reranker:
        """The re-ranker, fitted where it comes from a file.

        Raises:
            ValueError: options that don't fit together, methods that can't follow one another, or a
                damaged file.
        """
        method, *others = (step.build() for step in self.steps)
        for other in others:
            method = chained(method, other)
        return method


def parse(text: str) -> Reranker:
    """The re-ranker that a METHOD text names.

    Raises:
        ValueError: as `MethodSpec.parse` and `MethodSpec.build`.
    """
    return MethodSpec.parse(text).build()


def _canonical(step: Step, *, defaults: bool = True) -> str:
    plain = {} if defaults else flat_options(step.kind())
    options = {
        name: value
        for name, value in sorted(step.all_options.items())
        if defaults or value != plain[name]
    }
    return str(Step(_name(step.kind), tuple(options.items())))


def _name(kind: type[Any]) -> str:
    return next(name for name, other in METHODS.items() if other is kind)


def _split(text: str) -> Iterator[str]:
    pieces = text.split("+")
    while pieces:
        # the path of a file may hold a plus
        wide = [
            take
            for take in range(2, len(pieces) + 1)
            if _is_path("+".join(pieces[:take]), take - 1)
        ]
        take = max(wide, default=1)
        yield "+".join(pieces[:take])
        del pieces[:take]


def _is_path(text: str, pluses: int) -> bool:
    path = text.partition(":")[0]
    return path.count("+") == pluses and Path(path).is_file()


def _step(text: str, fitted: MethodSpec | None) -> Step:
    source, _, given = text.partition(":")
    step = Step(source)
    if source == FITTED and fitted is not None:
        (step,) = fitted.steps
    known = [option.name for option in options_of(step.kind)]
    options: dict[str, Any] = {}
    for pair in filter(None, given.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"option {pair!r} of {source}: write key=value, with a key of "
                f"{', '.join(known) or '(it has none)'}"
            )
        if name in options:
            raise ValueError(f"option {name} of {source} is given twice: give it once")
        try:
            options[name] = option_from_text(step.kind, name, value)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
    return replace(step, options=tuple((dict(step.options) | options).items()))
