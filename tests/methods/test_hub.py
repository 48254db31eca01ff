import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.hub import Hub
from tests.references import hub as slow
from tests.support import all_distances, blobs, cosine_distances, query_and_gallery


@pytest.mark.parametrize("k", [1, 5, 10])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_slow_statement(k: int, seed: int) -> None:
    query, gallery = blobs(seed, queries=6, images=50)
    cosine = cosine_distances(query, gallery)
    some = [cosine[np.ix_(rows, rows)] for rows in query_and_gallery(len(query), len(cosine))]
    got = all_distances(Hub(k), query, Gallery(gallery))
    np.testing.assert_allclose(got, [slow.online(each, k) for each in some], rtol=0, atol=5e-6)


def test_a_hub_moves_back() -> None:
    """An image at the centre of all others is everybody's nearest; the correction undoes it."""
    query, gallery = blobs(3, queries=20, images=60)
    vectors = gallery.vectors.copy()
    vectors[0] = vectors.mean(axis=0)
    images = Gallery(type(gallery)(vectors, gallery.items))
    rank = [
        (np.argsort(np.argsort(distance, axis=1), axis=1)[:, 0]).mean()
        for distance in (
            1 - query.vectors @ images.vectors.T,
            all_distances(Hub(), query, images),
        )
    ]
    assert rank[1] > rank[0]


def test_k_is_checked() -> None:
    with pytest.raises(ValueError, match="k is 0: it must be at least 1"):
        Hub(0)
