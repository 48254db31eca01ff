from pathlib import Path

import numpy as np
import pytest

from graphreid.cli import main
from tests.cli.test_main import files

__all__ = ["files"]


def test_the_ranking_is_the_methods(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, gallery = files
    out = tmp_path / "r.npz"
    command = [
        "rerank",
        "k-reciprocal:k1=8,setting=online",
        "--query",
        query,
        "--gallery",
        gallery,
        "--out",
        str(out),
    ]
    assert main([*command, "--top", "5"]) == 0
    assert "online" in capsys.readouterr().out
    given = np.load(out, allow_pickle=False)
    queries, images = np.load(query), np.load(gallery)
    assert given["order"].shape == given["distance"].shape == (len(queries["vectors"]), 5)
    assert (np.diff(given["distance"], axis=1) >= 0).all()
    assert str(given["setting"]) == "online"
    assert (given["gallery_item"] == images["item"]).all()
    # the nearest by k-reciprocal is among the nearest by cosine on data this easy
    cosine = queries["vectors"] @ images["vectors"].T
    for row in range(len(cosine)):
        assert given["order"][row, 0] in np.argsort(-cosine[row])[:10]


def test_one_file_as_both_sides_never_finds_itself(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "r.npz"
    assert (
        main(["rerank", "cosine", "--query", files[1], "--gallery", files[1], "--out", str(out)])
        == 0
    )
    order = np.load(out)["order"]
    assert not (order == np.arange(len(order))[:, None]).any()
    assert (order[:, -1] == -1).all()


def test_labels_have_no_influence(files: tuple[str, str], tmp_path: Path) -> None:
    query, gallery = files
    bare = tmp_path / "bare.npz"
    np.savez(bare, vectors=np.load(query)["vectors"], item=np.load(query)["item"])
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for source, out in zip((query, str(bare)), outs, strict=True):
        assert (
            main(
                [
                    "rerank",
                    "k-reciprocal",
                    "--query",
                    source,
                    "--gallery",
                    gallery,
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
    np.testing.assert_array_equal(np.load(outs[0])["distance"], np.load(outs[1])["distance"])
