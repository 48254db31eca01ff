from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.models.losses import (
    batch_hard_triplet,
    center_loss,
    identity_loss,
)
from tests.references import losses as reference


def some(
    seed: int, count: int = 12, width: int = 5, classes: int = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((count, width))), torch.from_numpy(
        rng.integers(0, classes, count)
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [0.3, 2.0, None])
def test_triplet_is_the_equation(seed: int, margin: float | None):
    features, labels = some(seed)
    expected = reference.batch_hard_triplet(features.numpy(), labels.numpy(), margin)
    assert float(batch_hard_triplet(features, labels, margin)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("prefix", ["raw_", "normalised_"])
@pytest.mark.parametrize(
    ("name", "margin", "labels"),
    [
        ("bot_margin03", 0.3, "labels"),
        ("bot_softmargin", None, "labels"),
        ("pml_mean", 0.3, "labels"),
        ("unbalanced_pml_mean", 0.3, "labels_unbalanced"),
    ],
)
def test_triplet_is_the_published_codes(
    golden: Path, prefix: str, name: str, margin: float | None, labels: str
):
    numbers: Any = np.load(golden / "batch_hard_triplet.npz")
    given = torch.from_numpy(numbers["embeddings"]).requires_grad_()
    features = given / given.norm(dim=1, keepdim=True) if prefix == "normalised_" else given
    loss = batch_hard_triplet(features, torch.from_numpy(numbers[labels]), margin)
    loss.backward()
    assert loss.item() == pytest.approx(float(numbers[f"{prefix}{name}_loss"]), abs=1e-9)
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), numbers[f"{prefix}{name}_grad"], atol=1e-9)


def test_triplet_without_a_triplet_is_zero_with_a_gradient():
    features = torch.randn(4, 3, requires_grad=True)
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
        loss = batch_hard_triplet(features, torch.tensor(labels))
        loss.backward()
        assert loss.item() == 0
    assert features.grad is not None
    assert (features.grad == 0).all()


def test_triplet_of_equal_images_has_a_finite_gradient():
    features = torch.zeros(4, 3, requires_grad=True)
    batch_hard_triplet(features, torch.tensor([0, 0, 1, 1])).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_identity_loss_is_the_equation(smoothing: float):
    logits, labels = some(1, width=7)
    expected = reference.identity_loss(logits.numpy(), labels.numpy(), smoothing)
    assert float(identity_loss(logits, labels, smoothing)) == pytest.approx(expected, abs=1e-12)


def test_center_loss_is_the_equation_and_the_published_code(golden: Path):
    features, labels = some(2)
    centers = torch.from_numpy(np.random.default_rng(3).standard_normal((4, 5)))
    expected = reference.center_loss(features.numpy(), labels.numpy(), centers.numpy())
    assert float(center_loss(features, labels, centers)) == pytest.approx(expected, abs=1e-12)
    numbers: Any = np.load(golden / "center.npz")
    x, c = (torch.from_numpy(numbers[name]).requires_grad_() for name in ("embeddings", "centers"))
    loss = center_loss(x, torch.from_numpy(numbers["labels"]), c)
    loss.backward()
    assert loss.item() == pytest.approx(float(numbers["loss"]), abs=1e-9)
    assert x.grad is not None
    assert c.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), numbers["grad_embeddings"], atol=1e-9)
    np.testing.assert_allclose(c.grad.numpy(), numbers["grad_centers"], atol=1e-9)
