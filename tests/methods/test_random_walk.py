from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.random_walk import RandomWalk
from tests.references import random_walk as slow
from tests.support import all_distances, blobs, cosine_distances, query_and_gallery


@pytest.mark.parametrize(
    ("k", "alpha", "temperature"), [(20, 0.95, 0.1), (75, 0.5, 1.0), (1, 0.95, 0.1), (10, 0.0, 0.1)]
)
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_closed_form(k: int, alpha: float, temperature: float, seed: int) -> None:
    query, gallery = blobs(seed, queries=6, images=50)
    cosine = cosine_distances(query, gallery)
    some = [cosine[np.ix_(rows, rows)] for rows in query_and_gallery(len(query), len(cosine))]
    got = all_distances(RandomWalk(k, alpha, temperature), query, Gallery(gallery))
    np.testing.assert_allclose(
        got, [slow.online(each, k, alpha, temperature) for each in some], rtol=0, atol=5e-6
    )


def test_alpha_0_changes_nothing() -> None:
    query, gallery = blobs(1)
    got = all_distances(RandomWalk(alpha=0.0), query, Gallery(gallery))
    np.testing.assert_allclose(got, 1 - query.vectors @ gallery.vectors.T, rtol=0, atol=1e-6)


def test_no_image_of_the_head_comes_behind_the_tail() -> None:
    query, gallery = blobs(2, queries=8, images=60)
    plain = 1 - query.vectors @ gallery.vectors.T
    walked = all_distances(RandomWalk(K=15), query, Gallery(gallery))
    near = np.argsort(plain, axis=1)[:, :15]
    kth = np.take_along_axis(plain, near, 1).max(axis=1)
    assert (np.take_along_axis(walked, near, 1).max(axis=1) <= kth + 1e-6).all()


def test_euclidean_distances_will_do() -> None:
    query, gallery = blobs(3)
    plain = np.linalg.norm(query.vectors[:, None] - gallery.vectors[None], axis=2)
    got = all_distances(RandomWalk(K=10), query, Gallery(gallery, metric="euclidean"))
    assert (got <= plain.max(axis=1, keepdims=True) + 1e-5).all()
    assert (got >= plain.min(axis=1, keepdims=True) - 1e-5).all()


@pytest.mark.parametrize("wrong", [{"K": 0}, {"alpha": 1.0}, {"T": 0.0}, {"T": float("nan")}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RandomWalk(**wrong)
