from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.methods.link_prediction.training import LinkTrainingSet, focal_loss
from graphreid.resources import Resources
from graphreid.types import DISTRACTOR, Features, Labels
from tests.references import losses as reference
from tests.support import labelled


def training_set(
    noise: float = 0.0, seed: int = 0, labels: Labels | None = None
) -> LinkTrainingSet:
    _, (train, given) = labelled(1, images=40)
    return LinkTrainingSet(
        train, labels or given, k1=8, k2=4, noise=noise, seed=seed, resources=Resources()
    )


def test_each_image_is_the_query_once_an_epoch_and_never_among_its_own():
    each = training_set()
    first, second = each.batches(0, 7), each.batches(1, 7)
    assert [len(batch) for batch in first] == [7, 7, 7, 7, 7, 5]
    for batches in (first, second):
        assert np.sort(np.concatenate(batches)).tolist() == list(range(40))
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(training_set().batches(1, 7)).tolist() == np.concatenate(second).tolist()
    assert not (each.candidates.nearest == np.arange(40)[:, None]).any()
    np.testing.assert_array_equal(each.candidates.own, np.arange(40))


def test_noise_is_of_the_length_asked_for_drawn_for_each_epoch_and_reaches_the_lists():
    each, plain = training_set(noise=0.5), training_set()
    plain.batches(0, 8)
    seen: list[np.ndarray] = []
    for epoch in (0, 1, 0):
        each.batches(epoch, 8)
        seen.append(each.retrieval_set.gallery.features.vectors)
        apart = np.linalg.norm(
            each.retrieval_set.gallery.features.vectors - plain.retrieval_set.gallery.vectors,
            axis=1,
        )
        assert apart.mean() == pytest.approx(0.5, rel=0.1)
    assert not np.allclose(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    assert not np.array_equal(each.candidates.nearest, plain.candidates.nearest)
    # the images themselves are as they were
    np.testing.assert_array_equal(each.train.vectors, plain.train.vectors)


def test_targets_are_of_the_identity_whatever_the_camera():
    identity = np.array([1, 1, 2, 2, 1])
    labels = Labels(identity, [0, 0, 1, 1, 2], [0, 0, 0, 0, DISTRACTOR])
    given = LinkTrainingSet(
        Features(np.eye(5, dtype=np.float32)),
        labels,
        k1=3,
        k2=2,
        noise=0.0,
        seed=0,
        resources=Resources(),
    )
    got = given.targets(np.array([0, 2]), np.array([[1, 2, 4, -1], [3, 0, -1, -1]], np.int32))
    assert got.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert given.queries.tolist() == [0, 1, 2, 3]


def test_there_must_be_a_match_to_learn_from():
    with pytest.raises(ValueError, match="no identity has two images"):
        training_set(labels=Labels(np.arange(40)))


@pytest.mark.parametrize(
    ("name", "alpha", "gamma"),
    [("a0p25_g2", 0.25, 2.0), ("a0p50_g2", 0.5, 2.0), ("anone_g2", None, 2.0)],
)
def test_focal_is_the_published_codes(golden: Path, name: str, alpha: float | None, gamma: float):
    numbers: Any = np.load(golden / "focal.npz")
    logits = torch.from_numpy(numbers["logits"]).flatten().requires_grad_()
    loss = focal_loss(logits, torch.from_numpy(numbers["targets"]).flatten(), alpha, gamma)
    loss.backward()
    assert loss.item() == pytest.approx(float(numbers[f"{name}p0_mean"]), abs=1e-10)
    assert logits.grad is not None
    np.testing.assert_allclose(
        logits.grad.numpy(), numbers[f"{name}p0_grad_of_mean"].ravel(), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.25, 0.0), (None, 1.5)])
def test_focal_is_the_equation(alpha: float | None, gamma: float):
    rng = np.random.default_rng(0)
    logits, targets = 4 * rng.standard_normal(50), (rng.random(50) < 0.3).astype(np.float64)
    expected = reference.focal_loss(logits, targets, alpha, gamma)
    got = focal_loss(torch.from_numpy(logits), torch.from_numpy(targets), alpha, gamma)
    assert float(got) == pytest.approx(expected, abs=1e-12)
