from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import KReciprocal
from graphreid.types import Features
from tests.references import k_reciprocal as slow
from tests.support import all_distances, blobs


@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
@pytest.mark.parametrize(
    ("k1", "k2", "lam", "key"),
    [
        (20, 6, 0.3, "k20_k6_l03"),
        (10, 3, 0.3, "k10_k3_l03"),
        (20, 1, 0.5, "k20_k1_l05"),
        (20, 6, 0.0, "k20_k6_l00"),
    ],
)
def test_equals_the_authors_code(
    golden: Path, case: str, k1: int, k2: int, lam: float, key: str
) -> None:
    given = np.load(golden / f"kreciprocal_{case}.npz")
    query, gallery = Features(given["q_emb"]), Features(given["g_emb"])
    got = all_distances(KReciprocal(k1, k2, lam), query, Gallery(gallery))
    np.testing.assert_allclose(got, given[f"final_{key}"], rtol=0, atol=2e-6)
    unit = [
        Features(each.vectors / np.linalg.norm(each.vectors, axis=1, keepdims=True), each.items)
        for each in (query, gallery)
    ]
    got = all_distances(KReciprocal(k1, k2, lam), unit[0], Gallery(unit[1], metric="euclidean"))
    np.testing.assert_allclose(got, given[f"final_{key}"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("setting", ["transductive", "online"])
def test_euclidean_distances_are_squared(setting: str) -> None:
    query, gallery = blobs(4, queries=9, images=50)
    x = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    square = ((x[:, None] - x[None]) ** 2).sum(2)
    got = all_distances(
        KReciprocal(7, 3, setting=setting), query, Gallery(gallery, metric="euclidean")
    )
    if setting == "transductive":
        expected = slow.transductive(square, len(query), 7, 3, 0.3)
    else:
        sets = [[one_query, *range(len(query), len(x))] for one_query in range(len(query))]
        expected = np.stack([slow.online(square[np.ix_(rows, rows)], 7, 3, 0.3) for rows in sets])
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)
    why = KReciprocal(7, 3, setting=setting).explain(
        query.take(np.array([2])), Gallery(gallery, metric="euclidean")
    )
    assert len(why.nodes)


@pytest.mark.parametrize(("k1", "k2", "lam"), [(7, 3, 0.3), (6, 1, 0.0), (30, 6, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_both_settings_equal_the_slow_statement(k1: int, k2: int, lam: float, seed: int) -> None:
    query, gallery = blobs(seed, queries=9, images=50)
    x = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = np.maximum(1 - x @ x.T, 0)
    expected = slow.transductive(cosine, len(query), k1, k2, lam)
    got = all_distances(KReciprocal(k1, k2, lam), query, Gallery(gallery))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)
    sets = [[one_query, *range(len(query), len(x))] for one_query in range(len(query))]
    expected = [slow.online(cosine[np.ix_(rows, rows)], k1, k2, lam) for rows in sets]
    got = all_distances(KReciprocal(k1, k2, lam, setting="online"), query, Gallery(gallery))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


def test_lam_1_is_the_original_order() -> None:
    query, gallery = blobs(0)
    got = all_distances(KReciprocal(lam=1.0), query, Gallery(gallery))
    plain = 1 - query.vectors @ gallery.vectors.T
    assert (np.argsort(got, axis=1)[:, :10] == np.argsort(plain, axis=1)[:, :10]).all()


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"lam": 1.5}, {"setting": "both"}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KReciprocal(**wrong)
