"""Every method that learns keeps what they all promise of a fit."""

from collections.abc import Callable
from typing import Any

import pytest

from graphreid.methods import METHODS
from graphreid.protocols import Learned
from graphreid.testing import learned_checks
from tests.support import SMALL

NOISY: dict[str, Any] = {"epochs": 4, "noise": 0.3, "precision": "fp32"}
EXACT: dict[str, Any] = {"epochs": 4, "noise": 0.0, "precision": "fp32"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("cagcn", EXACT, {"layers": 5}),
    ("cagcn", NOISY, {"attention_width": 5}),
    ("ec-gcn", EXACT, {"layers": 5}),
    ("ec-gcn", NOISY, {"layers": 5}),
    ("fa-ec-gcn", {"epochs": 3, "fa_epochs": 3, "precision": "fp32"}, {"layers": 4}),
    ("fa-gcn", {"epochs": 3}, {"layers": 4}),
    ("ffgnn", {"epochs": 3, "precision": "fp32"}, {"iterations": 2}),
    (
        "hrnet",
        {"epochs": 4, "noise": 0.2, "precision": "fp32"},
        {"layers": 3, "individual": False, "propagation": False},
    ),
    ("sggnn", {"epochs": 3, "precision": "fp32"}, {"width": 6}),
]
"""Name, options of the fit, and what shapes the network."""
STAGES = {"fa-ec-gcn": ("fa-gcn", "ec-gcn")}


@pytest.mark.parametrize(
    "check",
    [
        check
        for place, (name, options, network) in enumerate(CASES)
        for check in learned_checks(
            METHODS[name],
            {**SMALL[name], **options},
            network=network,
            stages=STAGES.get(name),
            name=str(place),
        )
    ],
)
def test_a_method_that_learns_keeps_what_all_promise(check: Callable[[], None]) -> None:
    check()


def test_every_method_that_learns_is_checked() -> None:
    learned = {name for name, kind in METHODS.items() if isinstance(kind(), Learned)}
    assert {name for name, _, _ in CASES} == learned
