from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.cli import main
from tests.support import labelled


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    for name, (features, labels) in zip(("query", "gallery"), labelled(0), strict=True):
        np.savez(
            tmp_path / f"{name}.npz",
            vectors=features.vectors,
            item=features.items,
            identity=labels.identity,
            camera=labels.camera if labels.camera is not None else [],
        )
    return str(tmp_path / "query.npz"), str(tmp_path / "gallery.npz")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a user's error gives."""
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("graphreid: ")
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "fly"),
        (
            [
                "rerank",
                "cosine",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/r.npz",
                "--fly",
                "3",
            ],
            "--fly",
        ),
        (["rerank", "cosine", "--query", "{query}"], "--gallery"),
        (
            [
                "rerank",
                "cosine",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/r.npz",
                "--top",
                "many",
            ],
            "many",
        ),
        (
            [
                "rerank",
                "cosin",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/r.npz",
            ],
            "'cosin' is not known",
        ),
        (
            [
                "rerank",
                "cosine",
                "--query",
                "{here}/no.npz",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/r.npz",
            ],
            "no.npz",
        ),
        (
            [
                "rerank",
                "cosine",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/no/r.npz",
            ],
            "cannot write",
        ),
        (
            [
                "rerank",
                "k-reciprocal",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--out",
                "{here}/r.npz",
                "--memory",
                "1KB",
            ],
            "needs at least",
        ),
        (
            [
                "evaluate",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--method",
                "cosine",
                "--rule",
                "mine",
            ],
            "mine",
        ),
        (
            [
                "evaluate",
                "--query",
                "{query}",
                "--gallery",
                "{gallery}",
                "--method",
                "cosine",
                "--device",
                "abacus",
            ],
            "abacus",
        ),
    ],
)
def test_a_users_error_is_one_line(
    arguments: list[str],
    says: str,
    files: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"query": files[0], "gallery": files[1], "here": tmp_path}
    assert says in refused([argument.format(**names) for argument in arguments], capsys)
    assert not list(tmp_path.glob("r.npz")), "nothing half-written"


def test_bad_vectors_name_the_file_and_the_row(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    given = dict(np.load(query))
    bad = str(tmp_path / "bad.npz")

    def write(**changes: np.ndarray) -> list[str]:
        np.savez(bad, **{**given, **changes})  # pyright: ignore[reportArgumentType]
        return [
            "rerank",
            "cosine",
            "--query",
            bad,
            "--gallery",
            gallery,
            "--out",
            str(tmp_path / "r.npz"),
        ]

    vectors = given["vectors"].copy()
    vectors[4, 2] = np.nan
    line = refused(write(vectors=vectors), capsys)
    assert "bad.npz" in line
    assert "row 4" in line
    vectors[4] = 0
    assert "row 4" in refused(write(vectors=vectors), capsys)
    assert main([*write(vectors=vectors), "--zero", "keep"]) == 0
    write(identity=given["identity"][:3])
    assert "3 identities" in refused(
        ["evaluate", "--query", bad, "--gallery", gallery, "--method", "cosine"], capsys
    )
    assert "16" in refused(write(vectors=vectors[:, :5] + 1), capsys)
    Path(bad).write_bytes(Path(query).read_bytes()[:-200])
    command = [
        "rerank",
        "cosine",
        "--query",
        bad,
        "--gallery",
        gallery,
        "--out",
        str(tmp_path / "s.npz"),
    ]
    assert "bad.npz" in refused(command, capsys)


def test_interrupted(
    monkeypatch: pytest.MonkeyPatch, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphreid.cli.rerank.parse", stop)
    assert (
        main(["rerank", "cosine", "--query", files[0], "--gallery", files[1], "--out", "r.npz"])
        == 130
    )
    assert "interrupted" in capsys.readouterr().err


def test_methods_lists_every_method_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    from graphreid.methods import METHODS

    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    for name in METHODS:
        assert name in printed


def test_methods_shows_every_option_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("…") == 1  # of the title
    assert "setting=transductive" in shown


def test_threads_are_those_of_all_that_a_command_does(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numba
    import torch

    from graphreid.kernels import neighbor_sets as jaccard

    used: list[tuple[int, int]] = []
    real = jaccard.blend_jaccard

    def watched(*given: Any) -> None:
        used.append((torch.get_num_threads(), numba.get_num_threads()))
        real(*given)

    monkeypatch.setattr(jaccard, "blend_jaccard", watched)
    both = ["--query", files[0], "--gallery", files[1], "--out", str(tmp_path / "r.npz")]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert main(["rerank", "k-reciprocal", *both, "--threads", "1"]) == 0
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert used == [(1, 1)]
