from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.ecn import ECN
from graphreid.types import Features
from tests.references import ecn as slow
from tests.support import all_distances, blobs, cosine_distances, query_and_gallery


@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
@pytest.mark.parametrize(("k", "t", "q"), [(25, 3, 8), (10, 2, 4)])
def test_rank_lists_equal_the_authors_code(golden: Path, case: str, k: int, t: int, q: int) -> None:
    given = np.load(golden / f"ecn_{case}.npz")
    got = all_distances(ECN(k, t, q), Features(given["q_emb"]), Gallery(Features(given["g_emb"])))
    want = given[f"ecn_rankdist_k{k}_t{t}_q{q}"]
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=0)
    assert k == 25 or (want > 0).any()  # where lists share nothing, the cosine distance


@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
@pytest.mark.parametrize(("t", "q"), [(3, 8), (2, 4)])
def test_original_distances_equal_the_authors_code(golden: Path, case: str, t: int, q: int) -> None:
    given = np.load(golden / f"ecn_{case}.npz")
    method = ECN(t=t, q=q, method="origdist")
    got = all_distances(method, Features(given["q_emb"]), Gallery(Features(given["g_emb"])))
    np.testing.assert_allclose(got, given[f"ecn_origdist_t{t}_q{q}"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", ["rankdist", "origdist"])
@pytest.mark.parametrize(
    ("k", "t", "q", "images"), [(7, 2, 3, 50), (1, 1, 1, 20), (30, 4, 9, 24), (7, 2, 3, 1)]
)
@pytest.mark.parametrize("seed", range(2))
def test_both_settings_equal_the_slow_statement(
    method: Literal["rankdist", "origdist"], k: int, t: int, q: int, images: int, seed: int
) -> None:
    query, gallery = blobs(seed, queries=6, images=images)
    cosine = cosine_distances(query, gallery)
    by_rank = method == "rankdist"
    got = all_distances(ECN(k, t, q, method), query, Gallery(gallery))
    np.testing.assert_allclose(
        got, slow.transductive(cosine, len(query), k, t, q, by_rank), rtol=1e-6, atol=2e-6
    )
    got = all_distances(ECN(k, t, q, method, setting="online"), query, Gallery(gallery))
    expected = [
        slow.online(cosine[np.ix_(rows, rows)], k, t, q, by_rank)
        for rows in query_and_gallery(len(query), len(cosine))
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=2e-6)


def test_a_query_of_the_gallery_has_the_distances_of_its_own_list() -> None:
    query, gallery = blobs(4, queries=5, images=40)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    online = all_distances(ECN(setting="online"), query, Gallery(joined))
    transductive = all_distances(ECN(), query, Gallery(joined))
    np.testing.assert_array_equal(
        online, transductive
    )  # no query is outside the gallery: the two settings are one


@pytest.mark.parametrize("wrong", [{"k": 0}, {"t": 0}, {"q": 0}, {"setting": "both"}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ECN(**wrong)


def test_original_distances_need_cosines() -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="cosine"):
        all_distances(ECN(method="origdist"), query, Gallery(gallery, metric="euclidean"))
    assert np.isfinite(all_distances(ECN(), query, Gallery(gallery, metric="euclidean"))).all()
