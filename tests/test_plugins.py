"""Names that other installed packages add."""

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from graphreid import plugins
from graphreid.plugins import Registry

SAMPLE = Path(__file__).parent / "plugin"


class FakeDistribution:
    def __init__(self, name: str) -> None:
        self.name, self.version = name, "2.0"


def fake(name: str, value: str, package: str) -> EntryPoint:
    point = EntryPoint(name, value, "graphreid.methods")
    vars(point)["dist"] = FakeDistribution(package)
    return point


def registry(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> Registry[Any]:
    asked: list[str] = []

    def found(*, group: str) -> EntryPoints:
        asked.append(group)
        return EntryPoints(points)

    monkeypatch.setattr(plugins, "entry_points", found)
    made: Registry[Any] = Registry("methods", {"own": 1})
    assert list(made) == ["own", *sorted({point.name for point in points})]
    assert asked == ["graphreid.methods"]
    return made


def test_a_plugin_is_imported_when_its_name_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.pop("wave", None)
    names = registry(monkeypatch, fake("b", "wave:Error", "other"), fake("a", "math:pi", "some"))
    assert "wave" not in sys.modules
    assert "b" in names
    assert "c" not in names
    assert len(names) == 3
    assert names["own"] == 1
    assert "wave" not in sys.modules
    assert names["b"] is sys.modules["wave"].Error
    assert names["a"] == pytest.approx(3.14159, abs=1e-5)
    with pytest.raises(KeyError):
        names["c"]


@pytest.mark.parametrize("value", ["nowhere_at_all:A", "math:nothing", "math"])
def test_a_plugin_that_does_not_import_names_its_package(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    names = registry(monkeypatch, fake("a", f"{value}", "some-package"))
    if value == "math":
        assert names["a"] is sys.modules["math"]
        return
    with pytest.raises(ValueError, match=r"^a of the package some-package 2\.0 can't be imported"):
        names["a"]


def test_two_of_one_name_are_refused_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^own of the package some 2\.0 is a name that graphreid"):
        registry(monkeypatch, fake("own", "math:pi", "some"))
    with pytest.raises(ValueError, match=r"^a of the package other 2\.0 is a name that some 2\.0"):
        registry(monkeypatch, fake("a", "math:pi", "some"), fake("a", "math:e", "other"))
