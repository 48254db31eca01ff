from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods.gnn_reranking import GNNReranking
from graphreid.types import Features
from tests.references import gnn_reranking as slow
from tests.support import all_distances, blobs, cosine_distances, query_and_gallery


@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
@pytest.mark.parametrize(
    ("k1", "k2", "lam", "key"),
    [
        (26, 7, 0.3, "k26_k7_l03"),
        (26, 7, 0.0, "k26_k7_l00"),
        (10, 3, 0.3, "k10_k3_l03"),
        (20, 1, 0.3, "k20_k1_l03"),
    ],
)
def test_equals_the_published_code(
    golden: Path, case: str, k1: int, k2: int, lam: float, key: str
) -> None:
    given = np.load(golden / f"gnn_reranking_{case}.npz")
    got = all_distances(
        GNNReranking(k1, k2, lam=lam), Features(given["q_emb"]), Gallery(Features(given["g_emb"]))
    )
    np.testing.assert_allclose(
        1 - got, given[f"similarity_{key}"], rtol=0, atol=5e-6 if k2 == 1 else 2e-6
    )


@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
def test_ranks_as_the_published_code(golden: Path, case: str) -> None:
    given = np.load(golden / f"gnn_reranking_{case}.npz")
    got = all_distances(GNNReranking(), Features(given["q_emb"]), Gallery(Features(given["g_emb"])))
    np.testing.assert_array_equal(
        np.argsort(got, axis=1, kind="stable"), given["ranking_k26_k7_l03"]
    )


@pytest.mark.parametrize(
    ("k1", "k2", "layers", "alpha", "lam"),
    [(7, 3, 2, 2.0, 0.3), (6, 1, 2, 2.0, 0.0), (5, 6, 3, 1.0, 0.5), (60, 4, 1, 2.0, 0.0)],
)
@pytest.mark.parametrize("seed", range(2))
def test_both_settings_equal_the_slow_statement(
    k1: int, k2: int, layers: int, alpha: float, lam: float, seed: int
) -> None:
    query, gallery = blobs(seed, queries=6, images=50)
    cosine = cosine_distances(query, gallery)
    method = GNNReranking(k1, k2, layers, alpha, lam)
    expected = slow.transductive(cosine, len(query), k1, k2, layers, alpha, lam)
    np.testing.assert_allclose(
        1 - all_distances(method, query, Gallery(gallery)), expected, rtol=0, atol=5e-6
    )
    method.setting = "online"
    some = [cosine[np.ix_(rows, rows)] for rows in query_and_gallery(len(query), len(cosine))]
    expected = [slow.online(each, k1, k2, layers, alpha, lam) for each in some]
    np.testing.assert_allclose(
        1 - all_distances(method, query, Gallery(gallery)), expected, rtol=0, atol=5e-6
    )


def test_a_query_of_the_gallery_has_its_row_there() -> None:
    query, gallery = blobs(4, queries=5, images=40)
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
    )
    online = all_distances(GNNReranking(setting="online"), query, Gallery(joined))
    np.testing.assert_allclose(
        online, all_distances(GNNReranking(), query, Gallery(joined)), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"k1": 0},
        {"k2": 0},
        {"layers": -1},
        {"alpha": -1.0},
        {"alpha": float("nan")},
        {"lam": 1.5},
        {"setting": "both"},
    ],
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GNNReranking(**wrong)
