from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.aqe import AQE
from graphreid.protocols import Transforms
from graphreid.types import Features
from tests.references import query_expansion as slow
from tests.support import all_distances, blobs


@pytest.mark.parametrize(("n", "alpha"), [(10, 3.0), (5, 0.0), (0, 3.0), (100, 1.5)])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_slow_statement(n: int, alpha: float, seed: int) -> None:
    query, gallery = blobs(seed)
    q, g = query.vectors.astype(np.float64), gallery.vectors.astype(np.float64)
    want = np.stack([slow.expanded(x, g, n, alpha) for x in q])
    np.testing.assert_allclose(
        all_distances(AQE(n, alpha), query, Gallery(gallery)), 1 - want @ g.T, rtol=0, atol=2e-6
    )
    queries, images = AQE(n, alpha).transform(query, Gallery(gallery))
    np.testing.assert_allclose(queries.vectors, want, rtol=0, atol=2e-6)
    assert images is gallery
    np.testing.assert_array_equal(queries.items, query.items)
    np.testing.assert_array_equal(queries.camera, query.camera)
    assert isinstance(AQE(), Transforms)


def test_a_query_of_the_gallery_is_not_its_own_neighbour_and_has_one_vector_in_a_chain() -> None:
    query, gallery = blobs(3, queries=4, images=30)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    others = joined.vectors.astype(np.float64)
    got = all_distances(AQE(), query, Gallery(joined))
    for one_query in range(4):
        want = slow.expanded(
            others[30 + one_query], np.delete(others, 30 + one_query, axis=0), 10, 3.0
        )
        np.testing.assert_allclose(
            got[one_query],
            np.where(np.arange(34) == 30 + one_query, np.inf, 1 - others @ want),
            atol=2e-6,
        )
    with pytest.raises(ValueError, match="use dba"):
        AQE().transform(query, Gallery(joined))


@pytest.mark.parametrize("wrong", [{"n": -1}, {"alpha": -1.0}, {"alpha": float("nan")}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AQE(**wrong)


def test_euclidean_distances_are_refused() -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="cosine"):
        all_distances(AQE(), query, Gallery(gallery, metric="euclidean"))
