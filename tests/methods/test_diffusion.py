from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.methods.diffusion import Diffusion
from graphreid.types import Features
from tests.references import diffusion as slow
from tests.support import all_distances, blobs, cosine_distances


def scores(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """What flowed: minus the distance; nothing where the cosine distance stayed."""
    return np.maximum(-distance, 0)


@pytest.mark.parametrize(
    ("case", "against_cg"), [("tiny", 2e-4), ("medium", 1e-4), ("distractor", 1e-4)]
)
def test_equals_the_published_code(golden: Path, case: str, against_cg: float) -> None:
    given = np.load(golden / f"diffusion_{case}.npz")
    kq, kd, gamma, alpha = (
        int(given["kq"]),
        int(given["kd"]),
        float(given["gamma"]),
        float(given["alpha"]),
    )
    query, gallery = Features(given["q_emb"]), Gallery(Features(given["g_emb"]))
    exact = Diffusion(kq, kd, gamma, alpha, iterations=500)
    got = scores(all_distances(exact, query, gallery)) / (1 - alpha)
    largest = given["scores_closed_form"].max()
    np.testing.assert_allclose(got, given["scores_closed_form"], rtol=0, atol=1e-5 * largest)
    got = scores(all_distances(Diffusion(kq, kd, gamma, alpha), query, gallery)) / (1 - alpha)
    np.testing.assert_allclose(got, given["scores_cg20"], rtol=0, atol=against_cg * largest)
    joint = Diffusion(kq, kd, gamma, alpha, setting="transductive")
    got = scores(all_distances(joint, query, Gallery(Features(given["g_emb"]))))
    np.testing.assert_allclose(got, given["scores_joint_cg20"], rtol=0, atol=against_cg)


@pytest.mark.parametrize(
    ("kq", "kd", "gamma", "alpha"),
    [(4, 6, 3.0, 0.9), (100, 100, 1.0, 0.5), (1, 3, 2.0, 0.99), (3, 1, 3.0, 0.9)],
)
@pytest.mark.parametrize("seed", range(2))
def test_both_settings_equal_the_slow_statement(
    kq: int, kd: int, gamma: float, alpha: float, seed: int
) -> None:
    query, gallery = blobs(seed, queries=6, images=50)
    cosine = cosine_distances(query, gallery)
    method = Diffusion(kq, kd, gamma, alpha, iterations=200)
    got = all_distances(method, query, Gallery(gallery))
    want = slow.online(cosine, len(query), kq, kd, gamma, alpha)
    np.testing.assert_allclose(scores(got), want, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        got[want == 0], cosine[: len(query), len(query) :][want == 0], rtol=0, atol=1e-6
    )
    method.setting = "transductive"
    got = scores(all_distances(method, query, Gallery(gallery)))
    np.testing.assert_allclose(
        got, slow.joint(cosine, len(query), kd, gamma, alpha), rtol=0, atol=1e-5
    )


def test_a_truncation_as_large_as_every_part_of_the_graph_loses_nothing() -> None:
    query, gallery = blobs(5, images=60)
    plain = all_distances(Diffusion(kd=4), query, Gallery(gallery))
    cut = all_distances(Diffusion(kd=4, truncation=60), query, Gallery(gallery))
    np.testing.assert_array_equal(plain, cut)
    few = all_distances(Diffusion(kd=8, truncation=5), query, Gallery(gallery))
    assert ((few < 0).sum(axis=1) <= 10 * 5).all()
    assert ((few < 0).sum(axis=1) >= 10).all()


def test_an_image_that_nothing_flows_to_comes_after_all_others() -> None:
    query, gallery = blobs(6)
    got = all_distances(Diffusion(kq=2, kd=3), query, Gallery(gallery))
    assert (got < 0).any()
    assert (got > 0).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kq": 0},
        {"kd": 0},
        {"gamma": -1.0},
        {"gamma": float("nan")},
        {"alpha": 1.0},
        {"truncation": 0},
        {"iterations": 0},
        {"setting": "both"},
    ],
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Diffusion(**wrong)


def test_euclidean_distances_are_refused() -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="cosine"):
        all_distances(Diffusion(), query, Gallery(gallery, metric="euclidean"))
