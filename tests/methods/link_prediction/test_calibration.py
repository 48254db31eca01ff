import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.methods.link_prediction.calibration import (
    LAMS,
    best_mean_ap,
    choose_fusion,
    platt,
)
from graphreid.methods.link_prediction.scoring import ScoredGraphs
from graphreid.methods.validation import Validation
from graphreid.metrics.evaluate import evaluate
from graphreid.resources import Resources
from graphreid.types import Labels
from tests.support import labelled


class Oracle:
    """Scores as a network that sees identities: a logit of `strength` if right, else minus that."""

    graph_bytes = 1

    def __init__(self, held: Validation, strength: float, wrong: float = 0.0) -> None:
        self.retrieval_set, self.held, self.strength, self.wrong = (
            held.retrieval_set,
            held,
            strength,
            wrong,
        )
        self.random = np.random.default_rng(0)

    def score(self, queries: slice) -> ScoredGraphs:
        rows = self.held.queries[queries]
        near = self.retrieval_set.neighbors(10, side="gallery").index[rows]
        right = self.held.labels.identity[near] == self.held.labels.identity[rows, None]
        flip = self.random.random(near.shape) < self.wrong
        logits = np.where(right ^ flip, self.strength, -self.strength).astype(np.float32)
        return ScoredGraphs(near, logits, np.zeros((len(rows), 10, 10), np.float32))


def held(fitted: Labels | None = None) -> Validation:
    _, (features, labels) = labelled(3, images=70)
    return Validation(
        features, labels, features, fitted or Labels([100, 101]), seed=0, resources=Resources()
    )


def test_lam_0_is_the_input_and_scores_are_those_of_evaluation():
    _, (features, labels) = labelled(3, images=70)
    expected = evaluate(Cosine(), features, Gallery(features), labels, labels).mean_ap()
    each = held()
    fusion = choose_fusion(Oracle(each, 3.0), each, 0.0, calibrate=False)
    assert fusion.record["input"] == pytest.approx(expected, abs=1e-5)
    assert fusion.record["mAP"] == fusion.record["input"]


def test_auto_takes_the_best_weight_and_says_which_scores_there_were():
    each = held()
    fusion = choose_fusion(Oracle(each, 5.0), each, "auto", calibrate=False)
    scores = dict(fusion.record["mAP_of_lam"])
    assert tuple(scores) == LAMS
    assert fusion.lam > 0
    assert scores[fusion.lam] == max(scores.values()) > scores[0.0]
    assert best_mean_ap(Oracle(each, 5.0), each, "auto") == pytest.approx(
        max(scores.values()), abs=1e-5
    )


def test_a_network_that_is_wrong_is_given_no_weight():
    each = held()
    fusion = choose_fusion(Oracle(each, -5.0), each, "auto", calibrate=False)
    assert fusion.lam == 0
    fixed = choose_fusion(Oracle(each, -5.0), each, 1.0, calibrate=False)
    assert fixed.lam == 1
    assert fixed.record["best_lam"] == 0
    assert fixed.record["mAP"] < fixed.record["input"]


def test_calibration_finds_how_often_the_logits_are_right():
    each = held()
    slope, offset = choose_fusion(
        Oracle(each, 1.0, wrong=0.2), each, 1.0, calibrate=True
    ).calibration
    # a node taken for right is right in about four of five cases or fewer, for there are more wrong
    # ones
    assert 0.5 < 1 / (1 + np.exp(-(slope + offset))) < 0.9
    assert 0.05 < 1 / (1 + np.exp(-(-slope + offset))) < 0.3


def test_platt_is_logistic_regression():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=20000) * 3
    right = rng.random(20000) < 1 / (1 + np.exp(-(0.5 * logit - 1)))
    slope, offset = platt(logit, right)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-1, abs=0.08)
    assert platt(logit, np.ones(20000, bool)) == (1.0, 0.0)
    assert all(np.isfinite(platt(logit * 100, logit > 0)))
