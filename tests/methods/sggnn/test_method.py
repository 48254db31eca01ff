from typing import Any

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.sggnn.method import SGGNN
from graphreid.options import build
from graphreid.protocols import Explains, GivesScores
from graphreid.types import Labels
from tests.references import sggnn as slow
from tests.support import all_distances, blobs, labelled


def known(**options: Any) -> SGGNN:
    """A method with random weights and statistics that matter, as if it had been fitted."""
    small: dict[str, Any] = {"k": 12, "width": 8}
    method = build(SGGNN, **{**small, **options})
    torch.manual_seed(3)
    network = method._build(16)  # pyright: ignore[reportPrivateUsage]
    for name, value in network.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 2)
        elif name == "norm.bias":
            value.uniform_(-1, 1)
    with torch.no_grad():
        network.readout.weight.mul_(4)
    method.state_, method.lam_, method.calibration_ = dict(network.state_dict()), 1.0, [1.0, 0.0]
    return method


@pytest.mark.parametrize(
    "more",
    [{}, {"share": 0.3, "lam": 0.5}, {"width": None, "k": 50}, {"k": 1}],
    ids=lambda more: ",".join(more) or "default",
)
def test_equals_the_slow_statement(more: dict[str, Any]):
    query, gallery = blobs(0, queries=4, images=30)
    method = known(**more)
    weights = {key: value.double().numpy() for key, value in method.state_.items()}
    block = next(iter(method.distances(query, Gallery(gallery))))
    assert block.probability is not None
    for one_query in range(4):
        vector, images = (
            query.vectors[one_query].astype(np.float64),
            gallery.vectors.astype(np.float64),
        )
        expected, likely = slow.distances(
            vector, images, weights, method.graph.k, method.network.share, method.unscored_offset
        )
        np.testing.assert_allclose(block.probability[one_query], likely, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(block.distance[one_query], expected, rtol=1e-4)
    assert block.probability.std() > 0.01


def test_lam_0_is_the_original_order():
    query, gallery = blobs(0)
    plain = RetrievalSet(query, Gallery(gallery)).block(0, 12)
    np.testing.assert_array_equal(all_distances(known(lam=0.0), query, Gallery(gallery)), plain)


def test_without_share_no_node_has_an_influence_on_another():
    query, gallery = blobs(0)
    alone = known(share=0.0)
    few, many = (
        next(iter(SGGNN.distances(each, query, Gallery(gallery))))
        for each in (alone, _wider(alone, 30))
    )
    assert few.probability is not None
    assert many.probability is not None
    there = few.probability > 0
    np.testing.assert_allclose(few.probability[there], many.probability[there], rtol=0, atol=1e-6)


def _wider(method: SGGNN, k: int) -> SGGNN:
    wider = known(share=method.network.share, k=k)
    wider.state_ = method.state_
    return wider


def test_similarity_in_training_is_that_of_the_batchs_own_statistics():
    network = known()._build(16).train()  # pyright: ignore[reportPrivateUsage]
    generator = torch.Generator().manual_seed(0)
    query, images = (
        torch.randn(3, 16, generator=generator),
        torch.randn(3, 5, 16, generator=generator),
    )
    real = torch.ones(3, 5, dtype=torch.bool)
    _, weights = network(query, images, real)
    squares = (query[:, None] - images).square().flatten(0, 1)
    mean, var = squares.mean(0), squares.var(0, correction=0)
    scores = torch.empty(5, 5)
    for i in range(5):
        for j in range(5):
            normed = ((images[1, i] - images[1, j]).square() - mean) / torch.sqrt(var + 1e-5)
            scores[i, j] = network.readout(
                network.feature(normed * network.norm.weight + network.norm.bias)
            )[0]
    scores.fill_diagonal_(-torch.inf)
    torch.testing.assert_close(weights[1], torch.softmax(scores, 1), rtol=1e-4, atol=1e-6)


def test_a_fit_learns_who_is_who():
    train, held, test = (labelled(seed, queries=1, images=150)[1] for seed in (1, 2, 3))
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    method = build(SGGNN, k=25, width=16, batch=8, epochs=10, rate=3e-3, lam="auto", seed=1).fit(
        *train, validation=held
    )
    validation = method.record_["validation"]
    assert validation["mAP"] > validation["input"] + 0.005  # .018 to .046 over ten seeds
    assert method.unscored_offset == method.lam_ == validation["lam"]
    block = next(iter(method.distances(test[0], Gallery(test[0]))))
    right, given = test[1].identity[:, None] == test[1].identity, block.probability
    assert given is not None
    assert given[right & (given > 0)].mean() > given[~right & (given > 0)].mean() + 0.02


def test_an_explanation_holds_the_numbers_of_the_distances():
    query, gallery = blobs(4)
    method, snapshot = known(), Gallery(gallery)
    given = method.explain(query.take(np.array([5])), snapshot)
    block = next(iter(method.distances(query, snapshot)))
    assert block.probability is not None
    assert given.probability is not None
    np.testing.assert_allclose(
        block.probability[5, given.nodes], given.probability, rtol=0, atol=1e-5
    )
    assert len(given.edges) == 12 * 11
    assert (given.rank_before == np.arange(1, 13)).all()


def test_lam_is_added_where_nothing_is_scored_and_auto_needs_validation():
    assert isinstance(SGGNN(), Explains)
    assert isinstance(SGGNN(lam=0.4), GivesScores)
    assert SGGNN(lam=0.4).unscored_offset == 0.4
    with pytest.raises(ValueError, match="lam='auto' is chosen on validation identities"):
        SGGNN(lam="auto").fit(*labelled(1)[1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"width": 0},
        {"share": 1.5},
        {"lam": -1.0},
        {"rate": -1.0},
        {"noise": -1.0},
        {"batch": 0},
        {"epochs": 0},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(SGGNN, **wrong)
