"""Checked options of dataclasses, and their flat names.

A method is a dataclass. Its options are its own fields, or stand in frozen dataclasses by group
(`CAGCN(graph=Graph(k1=70), training=Training(epochs=2))`). A field is annotated with one of the
types below or any that pydantic knows; `__post_init__` calls `check_options(self)`.

METHOD texts (`cagcn:k1=70,epochs=2`) and fitted files name options without their group, by a flat
name: `flat_options` reads all options of a method by it, `with_options` and `build` set some.

    @dataclass(frozen=True)
    class Training:
        epochs: Count = 4

        def __post_init__(self) -> None:
            check_options(self)

    @dataclass(eq=False)
    class Method:
        training: Training = Training()

    build(Method, epochs=2) == Method(training=Training(epochs=2))
"""

import dataclasses
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError

Count = Annotated[int, Ge(1)]
"""A whole number, at least 1: neighbours, layers, epochs."""
Natural = Annotated[int, Ge(0)]
"""A whole number, at least 0."""
AtLeastTwo = Annotated[int, Ge(2)]
"""A whole number, at least 2: a batch in which an image needs another, the width of a norm."""
Positive = Annotated[float, Gt(0)]
"""A number above 0: a temperature."""
NonNegative = Annotated[float, Ge(0)]
"""A number, at least 0: a weight, a learning rate."""
Fraction = Annotated[float, Interval(ge=0, le=1)]
"""A number in [0, 1]."""
OpenFraction = Annotated[float, Interval(gt=0, lt=1)]
"""A number between 0 and 1, neither of the two."""
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
"""What `seeding` takes."""
Setting = Literal["online", "transductive"]
"""Whether a query sees the gallery alone, or the other queries too."""

T = TypeVar("T")
_PREFIX, _RENAMED = "option_prefix", "option_names"
_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


@dataclass(frozen=True)
class Option:
    """One option of a method.

    Attributes:
        name: the flat name, unique in the method.
        paths: the attributes that lead to it, such as ("training", "epochs"); several where an
            option is shared by two nested methods.
        kind: its annotation.
    """

    name: str
    paths: tuple[tuple[str, ...], ...]
    kind: Any


def nested(
    *,
    prefix: str = "",
    unprefixed: Collection[str] = (),
    without: Collection[str] = (),
) -> dict[str, Any]:
    """The metadata of a field that holds another method, which says how its options are named.

        fa: FAGCN = field(
            default_factory=FAGCN, metadata=nested(prefix="fa_", unprefixed=("seed",))
        )
        ec: ECGCN = field(default_factory=ECGCN, metadata=nested(without=("metric",)))

    Args:
        prefix: stands before the flat names of the nested method.
        unprefixed: names that stay as they are. They may be those of another nested method too:
            then both have one value.
        without: options that are no options of the outer method, which sets them itself.
    """
    renamed = {name: name for name in unprefixed} | dict.fromkeys(without)
    return {_PREFIX: prefix, _RENAMED: renamed}


@cache
def options_of(kind: type[Any]) -> tuple[Option, ...]:
    """The options of a dataclass in the order of its fields, those of its groups among them.

    Raises:
        TypeError: two fields have the same flat name, and neither is named in `unprefixed`.
    """
    found: dict[str, Option] = {}
    shared: set[str] = set()
    for field, hint in _fields(kind):
        if not _is_group(hint):
            inner = [Option(field.name, ((field.name,),), hint)]
        else:
            renamed: Mapping[str, str | None] = field.metadata.get(_RENAMED, {})
            shared |= {name for name in renamed.values() if name is not None}
            inner = list(_inner(field, hint, renamed))
        for option in inner:
            known = found.get(option.name)
            if known is not None and option.name not in shared:
                raise TypeError(f"{kind.__name__}: two options are called {option.name}")
            paths = option.paths if known is None else known.paths + option.paths
            found[option.name] = dataclasses.replace(option, paths=paths)
    return tuple(found.values())


def _inner(
    field: "dataclasses.Field[Any]", kind: type[Any], renamed: Mapping[str, str | None]
) -> Iterator[Option]:
    """The options of a group, by the names that they have outside."""
    for option in options_of(kind):
        name = renamed.get(option.name, field.metadata.get(_PREFIX, "") + option.name)
        if name is not None:
            paths = tuple((field.name, *path) for path in option.paths)
            yield Option(name, paths, option.kind)


def check_options(options: Any) -> None:
    """Check each field of a dataclass against its annotation; a whole number becomes a float where
    one is asked for. To be called in `__post_init__`.

    Raises:
        ValueError: in one line, which option, its value, and what it must be.
    """
    kind = type(options)
    for field, hint in _fields(kind):
        value = getattr(options, field.name)
        if not _is_group(hint):
            # frozen dataclasses too
            object.__setattr__(options, field.name, _checked(hint, value, field.name))
        elif not isinstance(value, hint):
            raise ValueError(f"{field.name} is {value!r}: it must be a {hint.__name__}")
    for option in options_of(kind):
        first, *others = (_at(options, path) for path in option.paths)
        for path, other in zip(option.paths[1:], others, strict=True):
            if other != first:
                one = ".".join(option.paths[0])
                raise ValueError(
                    f"{one} is {first!r} and {'.'.join(path)} is {other!r}: give both one value"
                )


def flat_options(method: Any) -> dict[str, Any]:
    """All options of a method with their values, by flat name."""
    return {option.name: _at(method, option.paths[0]) for option in options_of(type(method))}


def with_options(method: T, /, **flat: Any) -> T:
    """A copy with other options, which keeps what was learned (attributes that end in `_`).

    Args:
        method: a method or a group of options.
        flat: new values by flat name.

    Raises:
        ValueError: an unknown name, or a value that its option can't have.
    """
    kind = type(method)
    known = {option.name: option for option in options_of(kind)}
    changes: dict[tuple[str, ...], Any] = {}
    for name, value in flat.items():
        option = _known(known, name, kind)
        # checked here by the flat name, as it was given
        checked = _checked(option.kind, value, name)
        changes |= dict.fromkeys(option.paths, checked)
    return _replaced(method, changes)


def build(kind: type[T], /, **flat: Any) -> T:
    """A method from options by flat name; the others have their defaults.

    Raises:
        ValueError: an unknown name, or a value that its option can't have.
    """
    return with_options(kind(), **flat)


def option_from_text(kind: type[Any], name: str, text: str) -> Any:
    """The value of an option that is given as text: 3, 0.5, true, none, or a word.

    Args:
        kind: the class of the method.
        name: a flat name.
        text: the value; `option_to_text` writes it.

    Raises:
        ValueError: an unknown name, or a value that the option can't have.
    """
    option = _known({option.name: option for option in options_of(kind)}, name, kind)
    if text.lower() == "none" and type(None) in get_args(option.kind):
        return None
    try:
        return _adapter(option.kind).validate_strings(text)
    except ValidationError as error:
        raise ValueError(_message(name, text, option.kind, error)) from None


def option_to_text(value: int | float | str | None) -> str:
    """An option's value as METHOD texts have it: no comma, plus or colon in it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    # a plus would begin another method: 1e+20
    return repr(value).replace("e+", "e") if isinstance(value, float) else str(value)


def _known(known: Mapping[str, Option], name: str, kind: type[Any]) -> Option:
    if name not in known:
        owner = getattr(kind, "name", kind.__name__)
        raise ValueError(f"{owner} has no option {name}: it has {', '.join(known) or 'none'}")
    return known[name]


def _fields(kind: type[Any]) -> "list[tuple[dataclasses.Field[Any], Any]]":
    hints = get_type_hints(kind, include_extras=True)
    return [(field, hints[field.name]) for field in dataclasses.fields(kind) if field.init]


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _at(options: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        options = getattr(options, name)
    return options


def _replaced(options: T, changes: Mapping[tuple[str, ...], Any]) -> T:
    """A copy with other values at the ends of these paths, and what was learned."""
    own = {path[0]: value for path, value in changes.items() if len(path) == 1}
    for name in {path[0] for path in changes if len(path) > 1}:
        inside = {path[1:]: value for path, value in changes.items() if path[0] == name}
        own[name] = _replaced(getattr(options, name), inside)
    copy = dataclasses.replace(cast("Any", options), **own)
    for name, value in vars(options).items():
        if name.endswith("_"):
            setattr(copy, name, value)
    return copy


@cache
def _adapter(kind: Any) -> Any:  # a TypeAdapter[Any], which beartype does not know
    # strict: no text for a number, no 3.0 for a count; an int for a float is allowed
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def _checked(kind: Any, value: Any, name: str) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    try:
        return _adapter(kind).validate_python(plain)
    except ValidationError as error:
        raise ValueError(_message(name, plain, kind, error)) from None


def _message(name: str, value: Any, kind: Any, error: ValidationError) -> str:
    failed = {each["type"] for each in error.errors(include_url=False)}
    # text that is a number was read as one
    shown = str(value) if _OUT_OF_RANGE & failed else repr(value)
    verb = "choose" if get_origin(kind) is Literal else "it must be"
    return f"{name} is {shown}: {verb} {_wanted(kind, failed)}"


def _wanted(kind: Any, failed: Collection[str]) -> str:
    """What a value must be, in words, after it failed in these ways."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"{'one of ' if len(choices) > 1 else ''}{', '.join(map(str, choices))}"
    if get_origin(kind) in (Union, types.UnionType):
        parts = [part for part in get_args(kind) if part is not type(None)]
        words = [_wanted(part, failed) for part in parts]
        return ", or ".join([*words, *(["none"] if len(parts) < len(get_args(kind)) else [])])
    bounds = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    if bounds and not _OUT_OF_RANGE.isdisjoint(failed):
        return _range(bounds)
    base = get_args(kind)[0] if bounds else kind
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    finite = ", and finite" if "finite_number" in failed else ""
    return words.get(base, str(base)) + finite


def _range(bounds: Collection[Any]) -> str:
    words: list[str] = []
    for bound in bounds:
        match bound:
            case Interval(gt=low, ge=at_least, lt=high, le=at_most):
                first = low if at_least is None else at_least
                words.append(f"between {first} and {high if at_most is None else at_most}")
            case Ge(ge=least):
                words.append(f"at least {least}")
            case Gt(gt=least):
                words.append(f"more than {least}")
            case Le(le=most):
                words.append(f"at most {most}")
            case Lt(lt=most):
                words.append(f"less than {most}")
            case _:
                words.append(str(bound))
    return " and ".join(words)
