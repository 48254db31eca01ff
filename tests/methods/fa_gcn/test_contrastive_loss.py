from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.methods.fa_gcn.contrastive_loss import supervised_contrastive
from tests.references import losses as reference


@pytest.mark.parametrize("labels", ["balanced", "unbalanced"])
@pytest.mark.parametrize(("name", "temperature"), [("0p07", 0.07), ("0p10", 0.1), ("0p50", 0.5)])
@pytest.mark.parametrize("rows", [5, 2048])
def test_contrastive_is_the_published_codes(
    golden: Path, labels: str, name: str, temperature: float, rows: int
):
    numbers: Any = np.load(golden / "supcon.npz")
    given = torch.from_numpy(numbers["embeddings"]).requires_grad_()
    loss = supervised_contrastive(
        given, torch.from_numpy(numbers[f"labels_{labels}"]), temperature, rows=rows
    )
    loss.backward()
    assert loss.item() == pytest.approx(float(numbers[f"{labels}_t{name}_loss"]), abs=1e-10)
    assert given.grad is not None
    np.testing.assert_allclose(
        given.grad.numpy(), numbers[f"{labels}_t{name}_grad"], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("rows", [5, 2048])
def test_contrastive_is_the_equation(include_self: bool, rows: int):
    rng = np.random.default_rng(4)
    features = torch.from_numpy(rng.standard_normal((20, 5)))
    labels = torch.from_numpy(rng.integers(0, 9, 20))
    expected = reference.supervised_contrastive(features.numpy(), labels.numpy(), 0.2, include_self)

    def loss(z: torch.Tensor) -> torch.Tensor:
        return supervised_contrastive(z, labels, 0.2, include_self=include_self, rows=rows)

    assert float(loss(features)) == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(loss, features.requires_grad_())


def test_contrastive_without_partners_is_zero_with_a_gradient():
    features = torch.randn(4, 3, requires_grad=True)
    loss = supervised_contrastive(features, torch.arange(4))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert (features.grad == 0).all()
