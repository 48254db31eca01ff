"""On a developer's machine a test may be skipped for want of a browser or of data; in CI it
fails.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, skip_unless_ci


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_in_ci_a_missing_thing_fails(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match=r"no browser .*nothing is skipped"):
        skip_unless_ci("no browser")


@pytest.mark.parametrize("value", [None, "", "0", "false"])
def test_elsewhere_it_is_skipped(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        skip_unless_ci("no browser")


def test_no_other_skip_in_the_tests() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path, line in _lines()
        if "pytest.skip(" in line
    ]
    assert found == ["tests/conftest.py: pytest.skip(reason)"]


def _lines() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path != Path(__file__):
            yield from ((path, line) for line in path.read_text().splitlines())
