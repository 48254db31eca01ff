import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.features.features_file import (
    load_columns,
    load_embedder_name,
    load_vectors,
    save_features,
)
from graphreid.features.writer import FeatureWriter
from graphreid.store import GalleryConfig, PersistentGallery
from graphreid.store.import_export import export_images, read_images
from graphreid.types import JUNK, Features
from tests.store.cases import labelled_gallery


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
    new = read_images(tmp_path / "x.npz")
    assert new.features.items.tolist() == ["a", "c", "d"]
    assert (new.embedder, new.junk) == (None, 1)
    made = PersistentGallery.create(tmp_path / "g", GalleryConfig(4))
    made.add(new.features, new.texts)
    labels = made.snapshot().labels()
    assert (labels.role == JUNK).sum() == 0
    assert labels.role.tolist() == [0, 2, 0]
    assert export_images(made, tmp_path / "y.npz") == (3, [])
    for name, column in load_columns(tmp_path / "y.npz").items():
        np.testing.assert_array_equal(column, columns[name][[0, 2, 3]])
    np.testing.assert_array_equal(load_vectors(tmp_path / "y.npz").vectors, np.eye(4)[[0, 2, 3]])


def test_columns_that_some_images_lack_are_left_out_and_named(tmp_path: Path) -> None:
    made, _, (query, _) = labelled_gallery(tmp_path)
    made.add(query, {"extra": ['{"shelf": "top"}'] * len(query)})
    images, left = export_images(made, tmp_path / "y.npz")
    assert images == 72
    assert left == ["identity", "shelf"]
    assert set(load_columns(tmp_path / "y.npz")) == {"item", "camera"}


def test_numbers_mean_what_they_mean_elsewhere(tmp_path: Path) -> None:
    columns = {
        "identity": np.array([1.0, 2.0, -1.0]),
        "camera": np.array([3.0, 4.0, 5.0]),
        "path": np.array(["a", "b", "c"]),
    }
    save_features(tmp_path / "x.npz", np.eye(3), columns)
    new = read_images(tmp_path / "x.npz")
    texts = new.texts
    assert new.junk == 1
    assert (texts["identity"], texts["camera"], texts["path"]) == (
        ["1", "2"],
        ["3", "4"],
        ["a", "b"],
    )
    save_features(
        tmp_path / "y.npz",
        np.eye(3),
        {"identity": np.array([1, 2, 3]), "role": np.array([0, 1, 2])},
    )
    new = read_images(tmp_path / "y.npz")
    assert (len(new.features), new.junk) == (2, 1)
    assert [json.loads(text or "") for text in new.texts["extra"]] == [
        {"role": "normal"},
        {"role": "distractor"},
    ]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"identity": np.array(["a", "", "b"])}, "identity is empty in row 1"),
        (
            {"identity": np.arange(3), "role": np.array(["normal", "boss", "junk"])},
            "role is 'boss' in row 1",
        ),
        ({"identity": np.arange(3) + 0.5}, "identity must be integers or text"),
    ],
)
def test_a_file_with_values_that_no_one_could_use_later_is_refused(
    tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    save_features(tmp_path / "x.npz", np.eye(3), columns)
    with pytest.raises(ValueError, match=f"x.npz: {says}"):
        read_images(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", vectors=np.eye(3), track=np.arange(2))
    with pytest.raises(ValueError, match="track has 2 values for 3 vectors"):
        read_images(tmp_path / "y.npz")


def test_what_is_kept_beside_takes_no_columns_place(tmp_path: Path) -> None:
    made = PersistentGallery.create(tmp_path / "g", GalleryConfig(3))
    extra = json.dumps({"item": "z", "identity": "z", "track": 7})
    made.add(Features(np.eye(3)[:1], np.array(["a"])), {"identity": ["1"], "extra": [extra]})
    export_images(made, tmp_path / "y.npz")
    assert {name: column.tolist() for name, column in load_columns(tmp_path / "y.npz").items()} == {
        "identity": ["1"],
        "item": ["a"],
        "track": [7],
    }
