import json
from pathlib import Path

import numpy as np
import pytest

from graphreid.papers.inputs import is_embeddings, load_inputs
from tests.papers.cases import write_inputs


def test_parts_junk_and_provenance(tmp_path: Path) -> None:
    role = np.where(np.arange(90) < 4, "junk", "normal")
    paths = np.array([f"{row}.png" for row in range(90)])
    folder = write_inputs(tmp_path / "in", seen=False, gallery={"role": role, "path": paths})
    (folder / "provenance.json").write_text(json.dumps({"embedder": "bot"}))
    inputs = load_inputs(folder, "toys")
    assert is_embeddings(folder)
    assert list(inputs.parts) == ["fit", "validation", "query", "gallery"]
    gallery = inputs.part("gallery")
    assert (len(gallery.features), gallery.junk, gallery.seen) == (86, 4, 0.0)
    assert gallery.paths is not None
    assert gallery.paths.tolist() == paths[4:].tolist()
    assert inputs.provenance == {"embedder": "bot"}
    assert inputs.part("fit").summary()["images"] == 60


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    one = load_inputs(write_inputs(tmp_path / "one"), "toys")
    same = load_inputs(write_inputs(tmp_path / "same"), "toys")
    other = load_inputs(
        write_inputs(tmp_path / "other", query={"camera": np.zeros(24, int)}), "toys"
    )
    assert one.part("query").digest == same.part("query").digest != other.part("query").digest
    assert one.part("gallery").digest == other.part("gallery").digest


def test_features_folders_are_read_too(tmp_path: Path) -> None:
    from graphreid.features.features_file import save_features

    folder = write_inputs(tmp_path / "in")
    given = dict(np.load(folder / "gallery.npz"))
    (folder / "gallery.npz").unlink()
    save_features(folder / "gallery", given.pop("vectors"), given)
    assert len(load_inputs(folder, "toys").part("gallery").features) == 90


def test_refusals(tmp_path: Path) -> None:
    folder = write_inputs(tmp_path / "in")
    (folder / "fit.npz").unlink()
    with pytest.raises(ValueError, match=r"no fit\.npz, which this table needs"):
        load_inputs(folder, "toys").part("fit")
    (folder / "gallery.npz").unlink()
    with pytest.raises(ValueError, match=r"no gallery\.npz"):
        load_inputs(folder, "toys")
    assert not is_embeddings(tmp_path)
    leaking = write_inputs(tmp_path / "leaking", fit={"identity": np.arange(60) % 10 + 11})
    with pytest.raises(ValueError, match="identities are in both fit and validation"):
        load_inputs(leaking, "toys")


@pytest.mark.parametrize(
    ("text", "says"), [("{bad", "not readable as JSON"), ("[1]", "it must be an object")]
)
def test_a_provenance_that_is_none_is_refused_before_anything_runs(
    text: str, says: str, tmp_path: Path
) -> None:
    folder = write_inputs(tmp_path / "in")
    (folder / "provenance.json").write_text(text)
    with pytest.raises(ValueError, match=rf"provenance\.json: {says}"):
        load_inputs(folder, "toys")
