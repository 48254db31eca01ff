from pathlib import Path

import numpy as np
import pytest

from graphreid.data.features import load_columns, load_embedder_name, load_vectors, save_features
from graphreid.data.writer import FeatureWriter
from graphreid.living import Config, LivingGallery
from graphreid.living.files import export, read
from graphreid.types import JUNK
from tests.living.cases import living


@pytest.mark.parametrize("name", ["x.npz", "x"])
def test_a_features_file_names_its_embedder(tmp_path: Path, name: str) -> None:
    writer = FeatureWriter(tmp_path / name, 2, 3, {"item": ["a", "b"]}, stamp="s", embedder="net 1")
    writer.write(np.ones((2, 3), np.float32))
    writer.finish()
    assert load_embedder_name(tmp_path / name) == "net 1"
    assert load_vectors(tmp_path / name).items.tolist() == ["a", "b"]
    save_features(tmp_path / f"other{name}", np.ones((2, 3)), {})
    assert load_embedder_name(tmp_path / f"other{name}") is None


def test_what_a_file_holds_comes_back(tmp_path: Path) -> None:
    columns = {
        "item": np.array(["a", "b", "c", "d"]),
        "identity": np.array(["x", "-1", "y", "z"]),
        "role": np.array(["normal", "junk", "distractor", "normal"]),
        "track": np.array([1, 2, 3, 4]),
        "visibility": np.eye(4)[:, :2],
    }
    save_features(tmp_path / "x.npz", np.eye(4), columns)
    features, texts, embedder, junk = read(tmp_path / "x.npz")
    assert (features.items.tolist(), embedder, junk) == (["a", "c", "d"], None, 1)
    made = LivingGallery.create(tmp_path / "g", Config(4))
    made.add(features, texts)
    labels = made.snapshot().labels()
    assert (labels.role == JUNK).sum() == 0
    assert labels.role.tolist() == [0, 2, 0]
    assert export(made, tmp_path / "y.npz") == (3, [])
    for name, column in load_columns(tmp_path / "y.npz").items():
        np.testing.assert_array_equal(column, columns[name][[0, 2, 3]])
    np.testing.assert_array_equal(load_vectors(tmp_path / "y.npz").vectors, np.eye(4)[[0, 2, 3]])


def test_columns_that_some_images_lack_are_left_out_and_named(tmp_path: Path) -> None:
    made, _, (query, _) = living(tmp_path)
    made.add(query, {"extra": ['{"shelf": "top"}'] * len(query)})
    images, left = export(made, tmp_path / "y.npz")
    assert images == 72
    assert left == ["identity", "shelf"]
    assert set(load_columns(tmp_path / "y.npz")) == {"item", "camera"}
