import sys
from pathlib import Path

import pytest

from graphreid.papers import code
from graphreid.resources import Resources


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `graphreid` of four files: a imports b, b imports c by way of its folder, d is
    apart.
    """
    (tmp_path / "inner").mkdir()
    for name, text in {
        "a": '"""A."""\nfrom graphreid.b import f\nimport numpy\n',
        "b": "from graphreid.inner import c\n\n\ndef f():\n    '''Says.'''\n    return c\n",
        "inner/__init__": "",
        "inner/c": "x = 1\n",
        "d": "y = 1\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    return tmp_path


def fresh(*modules: str) -> str:
    code._source.cache_clear()  # pyright: ignore[reportPrivateUsage]
    return code.digest(modules)


def test_the_digest_follows_imports_and_leaves_comments_out(package: Path) -> None:
    before, apart = fresh("graphreid.a"), fresh("graphreid.d")
    (package / "b.py").write_text(
        "from graphreid.inner import c  # see c\n\n\ndef f():\n    '''Other words.'''\n    return "
        "c\n"
    )
    assert fresh("graphreid.a") == before, "comments and docstrings change no number"
    (package / "d.py").write_text("y = 2\n")
    assert fresh("graphreid.a") == before
    assert fresh("graphreid.d") != apart
    (package / "inner" / "c.py").write_text("x = 2\n")
    assert fresh("graphreid.a") != before
    code._source.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_methods_depend_on_what_they_use_only() -> None:
    code._source.cache_clear()  # pyright: ignore[reportPrivateUsage]
    cosine, other = (
        code.digest([f"graphreid.methods.{name}"]) for name in ("cosine", "k_reciprocal")
    )
    assert cosine != other
    used = code._source("graphreid.methods.cosine")[1]  # pyright: ignore[reportPrivateUsage]
    assert "graphreid.gallery" in used
    assert not any("experiments" in name or "cli" in name for name in used)


def test_outside_of_a_checkout_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code._checkout.__wrapped__() == (None, None)  # pyright: ignore[reportPrivateUsage]


def test_the_environment_is_the_one_here() -> None:
    import torch

    found = code.environment(Resources(threads=1))
    assert found["threads"] == 1
    assert found["torch"] == torch.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device"] == "cpu"
