import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.methods.link_prediction import validation
from graphreid.methods.link_prediction.candidates import Judged
from graphreid.methods.link_prediction.validation import LAMS, Validation, platt
from graphreid.metrics.evaluate import evaluate
from graphreid.resources import Resources
from graphreid.types import Features, Labels
from tests.support import labelled


class Oracle:
    """Judges as a network would that sees identities: a node's logit is `strength` if right, and
    minus that if not.
    """

    graph_bytes = 1

    def __init__(self, held: Validation, strength: float, wrong: float = 0.0) -> None:
        self.retrieval_set, self.held, self.strength, self.wrong = (
            held.retrieval_set,
            held,
            strength,
            wrong,
        )
        self.random = np.random.default_rng(0)

    def judge(self, part: slice) -> Judged:
        queries = self.held.queries[part]
        near = self.retrieval_set.neighbors(10, side="gallery").index[queries]
        right = self.held.labels.identity[near] == self.held.labels.identity[queries, None]
        flip = self.random.random(near.shape) < self.wrong
        logits = np.where(right ^ flip, self.strength, -self.strength).astype(np.float32)
        return near, logits, np.zeros((len(queries), 10, 10), np.float32)


def held(fitted: Labels | None = None) -> Validation:
    _, (features, labels) = labelled(3, images=70)
    return Validation(
        features, labels, features, fitted or Labels([100, 101]), seed=0, resources=Resources()
    )


def test_lam_0_is_the_input_and_scores_are_those_of_evaluation():
    _, (features, labels) = labelled(3, images=70)
    expected = evaluate(Cosine(), features, Gallery(features), labels, labels).mean_ap()
    settled = held().settle(Oracle(held(), 3.0), 0.0, calibrate=False)
    assert settled.record["input"] == pytest.approx(expected, abs=1e-5)
    assert settled.record["mAP"] == settled.record["input"]


def test_auto_takes_the_best_weight_and_says_which_scores_there_were():
    each = held()
    settled = each.settle(Oracle(each, 5.0), "auto", calibrate=False)
    scores = dict(settled.record["mAP_of_lam"])
    assert tuple(scores) == LAMS
    assert settled.lam > 0
    assert scores[settled.lam] == max(scores.values()) > scores[0.0]
    assert each.best(Oracle(each, 5.0), "auto") == pytest.approx(max(scores.values()), abs=1e-5)


def test_a_network_that_is_wrong_is_given_no_weight():
    each = held()
    settled = each.settle(Oracle(each, -5.0), "auto", calibrate=False)
    assert settled.lam == 0
    fixed = each.settle(Oracle(each, -5.0), 1.0, calibrate=False)
    assert fixed.lam == 1
    assert fixed.record["best_lam"] == 0
    assert fixed.record["mAP"] < fixed.record["input"]


def test_calibration_finds_how_often_the_logits_are_right():
    each = held()
    slope, offset = each.settle(Oracle(each, 1.0, wrong=0.2), 1.0, calibrate=True).calibration
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


def test_identities_that_are_fitted_on_are_refused():
    with pytest.raises(ValueError, match="3 identities are in both"):
        held(Labels([0, 1, 2, 77]))


def test_vectors_of_another_width_are_refused():
    _, (features, labels) = labelled(3, images=70)
    narrow = Features(features.vectors[:, :3], features.items)
    with pytest.raises(ValueError, match="are 3 wide in validation and 16 in train"):
        Validation(narrow, labels, features, Labels([100, 101]), seed=0, resources=Resources())


def test_many_images_are_validated_with_some_queries(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(validation, "QUERIES", 30)
    each = held()
    assert len(each.queries) == 30
    assert len(each.retrieval_set.gallery) == 70
    np.testing.assert_array_equal(each.retrieval_set.own, each.queries)
    np.testing.assert_array_equal(each.queries, held().queries)
