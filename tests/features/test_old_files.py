"""Features files that the package wrote at commit 6becf07 still load."""

from pathlib import Path

import numpy as np
import pytest

from graphreid.features.features_file import (
    load_columns,
    load_embedder_name,
    load_features,
    load_vectors,
)

OLD = Path(__file__).parent / "old"


@pytest.mark.parametrize("name", ["old.npz", "old"])
def test_an_old_features_file_loads(name: str) -> None:
    features, labels = load_features(OLD / name)
    assert features.vectors.shape == (6, 8)
    np.testing.assert_allclose(np.linalg.norm(features.vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(load_vectors(OLD / name).vectors, features.vectors)
    assert features.items.tolist() == ["g0", "g1", "g2", "g3", "g4", "g5"]
    assert labels.identity.tolist() == [0, 1, 2, 3, 4, 5]
    assert labels.role.tolist() == [0, 0, 0, 0, 1, 2]
    assert features.camera is not None
    assert load_embedder_name(OLD / name) == "net 1 flip=True"
    columns = load_columns(OLD / name)
    assert columns["path"][5] == "5.jpg"
    assert columns["seen"].tolist() == [1, 1, 0, 0, 1, 1]
    assert columns["track"].tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(columns["visibility"], np.arange(12).reshape(6, 2) / 12)
