import sys
from pathlib import Path

import pytest
import torch

from graphreid.papers import provenance
from graphreid.resources import Resources


def test_the_digest_is_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest() -> str:
        return provenance._digest.__wrapped__()  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("x = 1\n")
    before = digest()
    (tmp_path / "notes.txt").write_text("not a source")
    assert digest() == before
    (tmp_path / "inner" / "a.py").write_text("x = 2\n")
    changed = digest()
    (tmp_path / "inner" / "a.py").rename(tmp_path / "inner" / "b.py")
    assert len({before, changed, digest()}) == 3


def test_outside_of_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance._checkout.__wrapped__() == (None, None)  # pyright: ignore[reportPrivateUsage]


def test_the_environment_is_the_one_here() -> None:
    found = provenance.environment(Resources(threads=1))
    assert found["threads"] == 1
    assert found["torch"] == torch.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device"] == "cpu"
