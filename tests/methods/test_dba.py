from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.dba import DBA
from graphreid.protocols import Transforms
from graphreid.types import Features
from tests.references import query_expansion as slow
from tests.support import all_distances, blobs


@pytest.mark.parametrize(("n", "alpha"), [(10, 3.0), (5, 0.0), (0, 3.0), (100, 1.5)])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_slow_statement(n: int, alpha: float, seed: int) -> None:
    query, gallery = blobs(seed)
    q, g = query.vectors.astype(np.float64), gallery.vectors.astype(np.float64)
    want = np.stack([slow.expanded(g[i], np.delete(g, i, axis=0), n, alpha) for i in range(len(g))])
    np.testing.assert_allclose(
        all_distances(DBA(n, alpha), query, Gallery(gallery)), 1 - q @ want.T, rtol=0, atol=2e-6
    )
    queries, images = DBA(n, alpha).transform(query, Gallery(gallery))
    np.testing.assert_allclose(images.vectors, want, rtol=0, atol=2e-6)
    np.testing.assert_allclose(queries.vectors, q, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(images.items, gallery.items)
    np.testing.assert_array_equal(images.camera, gallery.camera)
    assert isinstance(DBA(), Transforms)


def test_a_query_of_the_gallery_has_its_vector_there() -> None:
    query, gallery = blobs(3, queries=4, images=30)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    queries, images = DBA().transform(query, Gallery(joined))
    np.testing.assert_array_equal(queries.vectors, images.vectors[30:])


def test_the_augmented_gallery_is_made_once() -> None:
    query, gallery = blobs(3)
    kept = Gallery(gallery)
    assert DBA().transform(query, kept)[1].vectors is DBA().transform(query, kept)[1].vectors


@pytest.mark.parametrize("wrong", [{"n": -1}, {"alpha": -1.0}, {"alpha": float("nan")}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DBA(**wrong)


def test_euclidean_distances_are_refused() -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="cosine"):
        all_distances(DBA(), query, Gallery(gallery, metric="euclidean"))
