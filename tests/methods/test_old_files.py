"""Fitted methods that the package wrote at commit 6becf07 still load, and give the
distances that it gave.

`old/METHOD.safetensors` are the files; `old/expected.npz` holds the vectors of 4 queries and 32
gallery images, and under each method's name the distances [4, 32] at that commit.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from graphreid.gallery import Gallery
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.types import Features
from tests.support import all_distances

OLD = Path(__file__).parent / "old"
FILES = sorted(OLD.glob("*.safetensors"))


def header(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_an_old_file_gives_its_old_distances(file: Path, tmp_path: Path) -> None:
    with np.load(OLD / "expected.npz") as expected:
        query = Features(expected["query"])
        gallery = Gallery(Features(expected["gallery"]))
        want = expected[file.stem]
    method = load(file)
    np.testing.assert_allclose(all_distances(method, query, gallery), want, atol=1e-4)
    # what the old file says of the fit is kept, and goes into a new file
    save(method, tmp_path / "again.safetensors")
    assert json.loads(header(tmp_path / "again.safetensors")["facts"]) == json.loads(
        header(file)["facts"]
    )
    again = parse(str(tmp_path / "again.safetensors"))
    np.testing.assert_allclose(all_distances(again, query, gallery), want, atol=1e-4)


def test_there_is_an_old_file_of_each_learned_method() -> None:
    assert [file.stem for file in FILES] == [
        "cagcn",
        "ec-gcn",
        "fa-ec-gcn",
        "fa-gcn",
        "ffgnn",
        "hrnet",
        "k-reciprocal",
        "parts",
        "sggnn",
    ]
