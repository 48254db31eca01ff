"""Checked options, their flat names, and their text."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from annotated_types import Gt, Le, Lt
from hypothesis import given, strategies

from graphreid.options import (
    Count,
    Fraction,
    NonNegative,
    OpenFraction,
    Positive,
    build,
    check_options,
    flat_options,
    nested,
    option_from_text,
    option_to_text,
    options_of,
    with_options,
)


@dataclass(frozen=True)
class Graph:
    k1: Count = 20
    edges: Count | Literal["full"] = "full"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Training:
    rate: NonNegative = 0.1
    patience: Count | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(eq=False)
class Grouped:
    """A method whose options stand in groups."""

    graph: Graph = Graph()
    training: Training = Training()
    lam: NonNegative | Literal["auto"] = 1.0
    state_: dict[str, int] = field(init=False, repr=False)

    name: ClassVar[str] = "grouped"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass
class Flat:
    """One whose options are its own fields."""

    k: Count = 5
    tau: Positive = 0.07
    share: Fraction = 0.9
    alpha: OpenFraction | None = 0.25
    calibrate: bool = True
    mode: Literal["one", "two"] = "one"
    seed: int = 0
    metric: str = "cosine"
    high: Annotated[float, Le(3)] = 1.0
    low: Annotated[float, Gt(-3), Lt(3)] = 1.0

    name: ClassVar[str] = "flat"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(eq=False)
class Both:
    """One that holds two others, with one seed."""

    first: Flat = field(
        default_factory=Flat, metadata=nested(prefix="a_", unprefixed=("seed", "tau"))
    )
    second: Grouped = field(
        default_factory=lambda: build(Grouped, rate=0.5), metadata=nested(without=("lam",))
    )

    name: ClassVar[str] = "both"

    def __post_init__(self) -> None:
        check_options(self)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k is 0: it must be at least 1"),
        ({"k": 3.0}, "k is 3.0: it must be a whole number"),
        ({"k": "3"}, "k is '3': it must be a whole number"),
        ({"k": True}, "k is True: it must be a whole number"),
        ({"tau": 0}, "tau is 0: it must be more than 0"),
        ({"tau": float("nan")}, "tau is nan: it must be a number, and finite"),
        ({"share": 2}, "share is 2: it must be between 0 and 1"),
        ({"alpha": 1.0}, "alpha is 1.0: it must be between 0 and 1, or none"),
        ({"calibrate": 1}, "calibrate is 1: it must be true or false"),
        ({"mode": "three"}, "mode is 'three': choose one of one, two"),
        ({"metric": 3}, "metric is 3: it must be text"),
        ({"high": 4}, "high is 4: it must be at most 3"),
        ({"low": 4}, "low is 4: it must be more than -3 and less than 3"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="is") as caught:
        build(Flat, **options)
    assert str(caught.value) == says
    with pytest.raises(ValueError, match=f"^{says.split(':', maxsplit=1)[0]}"):
        Flat(**options)


def test_values_take_the_type_of_their_field() -> None:
    made = Flat(k=np.int64(7), tau=1, alpha=None)  # type: ignore[arg-type]  # as a user's numpy gives it
    assert (type(made.k), type(made.tau)) == (int, float)
    with pytest.raises(ValueError, match=r"graph is 3: it must be a Graph"):
        Grouped(graph=3)  # type: ignore[arg-type]  # what is tested


def test_groups_have_flat_names() -> None:
    method = build(Grouped, k1=7, patience=2, lam="auto")
    assert method.graph == Graph(k1=7)
    assert method.training == Training(patience=2)
    assert flat_options(method) == {
        "k1": 7,
        "edges": "full",
        "rate": 0.1,
        "patience": 2,
        "seed": 0,
        "lam": "auto",
    }
    assert flat_options(build(Grouped, **flat_options(method))) == flat_options(method)
    with pytest.raises(ValueError, match=r"^grouped has no option k2: it has k1, edges, rate"):
        build(Grouped, k2=3)
    with pytest.raises(ValueError, match=r"^edges is 0: it must be at least 1, or full$"):
        build(Grouped, edges=0)


def test_other_options_keep_what_was_learned() -> None:
    method = Grouped()
    method.state_ = {"weight": 1}
    changed = with_options(method, k1=3)
    assert (changed.graph.k1, method.graph.k1) == (3, 20)
    assert changed.state_ is method.state_
    assert not hasattr(with_options(Grouped(), k1=3), "state_")


def test_nested_methods_have_prefixes_and_share_options() -> None:
    method = build(Both, a_k=3, tau=0.5, seed=9, k1=4)
    assert (method.first.k, method.first.tau, method.first.seed) == (3, 0.5, 9)
    assert (method.second.graph.k1, method.second.training.rate) == (4, 0.5)
    assert method.second.training.seed == 9
    assert "lam" not in flat_options(method)
    assert [option.name for option in options_of(Both)][:3] == ["a_k", "tau", "a_share"]
    with pytest.raises(ValueError, match=r"^a_k is 0: it must be at least 1$"):
        build(Both, a_k=0)
    with pytest.raises(ValueError, match=r"first.seed is 1 and second.training.seed is 0: give"):
        Both(first=Flat(seed=1))


def test_a_name_that_two_groups_have_is_a_mistake_of_the_class() -> None:
    @dataclass
    class Twice:
        one: Training = Training()
        two: Training = Training()

    with pytest.raises(TypeError, match="Twice: two options are called rate"):
        flat_options(Twice())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("k", "12", 12),
        ("k", "1" + "0" * 20, 10**20),
        ("tau", "1e20", 1e20),
        ("alpha", "none", None),
        ("calibrate", "FALSE", False),
        ("mode", "two", "two"),
    ],
)
def test_text_becomes_a_value(name: str, text: str, value: object) -> None:
    got = option_from_text(Flat, name, text)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("k", "many", "k is 'many': it must be a whole number"),
        ("k", "0", "k is 0: it must be at least 1"),
        ("k", "none", "k is 'none': it must be a whole number"),
        ("tau", "inf", "tau is 'inf': it must be a number, and finite"),
        ("calibrate", "maybe", "calibrate is 'maybe': it must be true or false"),
        ("mode", "three", "mode is 'three': choose one of one, two"),
        ("what", "3", "flat has no option what: it has k, tau, share"),
    ],
)
def test_text_that_is_no_value_is_refused(name: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        option_from_text(Flat, name, text)


@given(strategies.floats(min_value=1e-300, allow_infinity=False))
def test_numbers_keep_all_their_digits_as_text(value: float) -> None:
    text = option_to_text(value)
    assert option_from_text(Flat, "tau", text) == value
    assert not set("+,:") & set(text)


@given(
    strategies.sampled_from(
        [("k", 3), ("alpha", None), ("alpha", 0.1), ("calibrate", False), ("mode", "two")]
    )
)
def test_every_kind_of_value_comes_back_from_text(pair: tuple[str, Any]) -> None:
    name, value = pair
    assert option_from_text(Flat, name, option_to_text(value)) == value
