from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.features.features_file import (
    load_columns,
    load_features,
    load_vectors,
    save_features,
)

N, D = 12, 5


def vectors() -> Any:
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


def columns() -> dict[str, Any]:
    return {
        "identity": [f"person {row % 3}" for row in range(N)],
        "camera": np.arange(N) % 4,
        "item": [f"i{row}" for row in range(N)],
        "path": [f"a/{row}.jpg" for row in range(N)],
        "role": ["normal", "junk", "distractor"] * 4,
        "track": np.arange(N) // 2,
        "seen": np.arange(N) % 2 == 0,
        "visibility": np.arange(N * 2.0).reshape(N, 2),
    }


@pytest.fixture(params=["f.npz", "f", "f/"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/{request.param}"


def test_what_is_saved_is_loaded(target: str):
    save_features(target, vectors(), columns())
    features, labels = load_features(target)
    assert (features.vectors == vectors()).all()
    assert features.items.tolist() == columns()["item"]
    assert features.camera is not None
    assert features.camera.tolist() == (np.arange(N) % 4).tolist()
    assert len(set(labels.identity.tolist())) == 3
    assert labels.role.tolist() == [0, 1, 2] * 4
    loaded = load_columns(target)
    assert list(loaded) == list(columns())
    for name, values in columns().items():
        assert loaded[name].tolist() == np.asarray(values).tolist()
        assert loaded[name].dtype.kind in "iufbU"


def test_a_folder_stays_on_disk(tmp_path: Path):
    save_features(tmp_path / "f", vectors(), {})
    assert isinstance(load_vectors(tmp_path / "f").vectors.base, np.memmap | np.ndarray)
    base: Any = load_vectors(tmp_path / "f").vectors
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert load_columns(tmp_path / "f") == {}


def test_identities_are_needed_by_load_features_only(target: str):
    save_features(target, vectors(), {"camera": np.zeros(N, int)})
    assert len(load_vectors(target)) == N
    with pytest.raises(ValueError, match="no identities in it"):
        load_features(target)


def test_without_items_one_file_is_one_set_of_images(tmp_path: Path):
    save_features(tmp_path / "a.npz", vectors(), {"identity": np.zeros(N, int)})
    save_features(tmp_path / "b.npz", vectors() + 1, {"identity": np.zeros(N, int)})
    save_features(tmp_path / "c", vectors() + 1, {"identity": np.zeros(N, int)})
    first, again = (
        load_features(tmp_path / "a.npz")[0].items,
        load_vectors(tmp_path / "a.npz").items,
    )
    assert first.tolist() == again.tolist()
    assert first[3].endswith("#3")
    assert not set(first.tolist()) & set(load_vectors(tmp_path / "b.npz").items.tolist())
    assert (
        load_vectors(tmp_path / "c").items.tolist() == load_vectors(tmp_path / "c").items.tolist()
    )


def test_arrays_of_other_names_are_left_alone(tmp_path: Path):
    np.savez(
        tmp_path / "f.npz",
        vectors=vectors(),
        identity=np.zeros(N, int),
        epoch=np.array(3),
        names=np.ones(99),
    )
    assert len(load_features(tmp_path / "f.npz")[1]) == N
    assert list(load_columns(tmp_path / "f.npz")) == ["identity"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": np.full((3, 2), np.nan)}, "vectors has NaN or infinity in row 0"),
        (
            {"vectors": np.array([[1.0, 2], [0, 0], [1, 1]])},
            r"vectors is all zeros in row 1: .*--zero keep",
        ),
        ({"vectors": np.ones(3)}, r"vectors must be \[images, width\]"),
        ({"vectors": np.array(["a", "b", "c"])[:, None]}, "vectors must be numbers"),
        ({"vectors": np.ones((0, 2))}, "vectors is empty"),
        ({"identity": np.zeros(4, int)}, "4 identities for 3 vectors"),
        ({"identity": np.array(["a", "", "b"])}, "identity is empty in row 1"),
        ({"identity": np.array([1.0, np.nan, 2])}, "identity must be integers or text"),
        ({"identity": np.zeros((3, 2), int)}, "identity must be one value a row"),
        ({"camera": np.zeros(2, int)}, "camera has 2 values for 3 vectors"),
        ({"item": np.array(["a", "a", "b"])}, "item .*'a'.* stands in rows 0 and 1"),
        ({"item": np.array(["a", "b"])}, "items has 2 values for 3 vectors"),
        ({"role": np.array(["normal", "bad", "junk"])}, "role is .*'bad'.* in row 1"),
    ],
)
def test_bad_values_are_named_with_their_file(tmp_path: Path, arrays: dict[str, Any], message: str):
    both: dict[str, Any] = {"vectors": np.ones((3, 2)), "identity": np.zeros(3, int), **arrays}
    np.savez(tmp_path / "f.npz", **both)
    with pytest.raises(ValueError, match=rf"f\.npz: {message}") as caught:
        load_features(tmp_path / "f.npz")
    assert "\n" not in str(caught.value)


def test_zero_rows_can_be_kept(tmp_path: Path):
    np.savez(tmp_path / "f.npz", vectors=np.zeros((3, 2)), identity=np.zeros(3, int))
    assert len(load_features(tmp_path / "f.npz", zero="keep")[0]) == 3
    assert len(load_vectors(tmp_path / "f.npz", zero="keep")) == 3


def test_files_that_are_no_features(tmp_path: Path):
    np.savez(tmp_path / "f.npz", features=np.ones((3, 2)), labels=np.ones(3))
    with pytest.raises(ValueError, match=r"no array 'vectors' in it; it has features, labels"):
        load_vectors(tmp_path / "f.npz")
    with pytest.raises(ValueError, match=r"a folder without vectors\.npy"):
        load_vectors(tmp_path)
    with pytest.raises(ValueError, match="No such file"):
        load_vectors(tmp_path / "gone.npz")
    np.savez(
        tmp_path / "p.npz",
        allow_pickle=True,
        vectors=np.ones((2, 2)),
        identity=np.array([None, 1], object),
    )
    with pytest.raises(ValueError, match=r"p\.npz: identity: it holds Python objects"):
        load_features(tmp_path / "p.npz")
    np.savez(
        tmp_path / "u.npz", vectors=np.ones((2, 2)), item=np.array(["a", "b"]), path=np.array(["a"])
    )
    with pytest.raises(ValueError, match="columns of different lengths"):
        load_columns(tmp_path / "u.npz")


def test_a_folder_with_missing_values_is_named(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    save_features(tmp_path / "f", vectors(), {})
    pq.write_table(pa.table({"identity": [None, *["a"] * (N - 1)]}), tmp_path / "f/items.parquet")
    with pytest.raises(ValueError, match=r"items\.parquet: identity is missing in row 0"):
        load_features(tmp_path / "f")
    (tmp_path / "f/items.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"items\.parquet: not a readable Parquet file"):
        load_features(tmp_path / "f")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"name": ["a"] * N}, "no column name in a features file"),
        ({"path": ["a"]}, "path has 1 values for 12 vectors"),
        ({"identity": [None, *["a"] * (N - 1)]}, "identity must be numbers or text"),
        ({"camera": np.zeros((N, 2))}, "camera must be one value a row"),
        ({"camera": np.zeros(N, complex)}, "camera must be numbers or text, not complex"),
    ],
)
def test_bad_columns_are_not_saved(tmp_path: Path, columns: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        save_features(tmp_path / "f.npz", vectors(), columns)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"cannot write .*f\.npz: No such file"):
        save_features(tmp_path / "no/f.npz", vectors(), {})
    save_features(tmp_path / "g", vectors(), {})
    with pytest.raises(ValueError, match=r"exists already"):
        save_features(tmp_path / "g", vectors(), {})
    with pytest.raises(ValueError, match=r"vectors must be numbers"):
        save_features(tmp_path / "h.npz", ["a"], {})
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
