from typing import Literal

import numpy as np
import pytest
import torch

from graphreid.models.icg.clustering import first_centers, kmeans, top_to_bottom
from tests.references import icg as reference


def some(seed: int, n: int = 60, d: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, d)) + 3 * rng.standard_normal((4, d))[rng.integers(0, 4, n)]
    return torch.from_numpy(points / np.linalg.norm(points, axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_it_is_lloyds_iteration(seed: int, steps: int):
    points = some(seed)
    begin = points[:5].clone()
    found = kmeans(points, begin, steps=steps)
    label, centers = reference.kmeans(points.numpy(), begin.numpy(), steps)
    np.testing.assert_array_equal(found.label.numpy(), label)
    np.testing.assert_allclose(found.centers.numpy(), centers, atol=1e-12)
    assert found.converged == (steps == 40)


def test_a_converged_answer_is_no_worse_than_where_it_began():
    points = some(1)

    def inertia(label: torch.Tensor) -> float:
        return sum(
            float((points[label == k] - points[label == k].mean(0)).square().sum())
            for k in range(4)
        )

    assert inertia(kmeans(points, points[:4]).label) < inertia(
        kmeans(points, points[:4], steps=1).label
    )


def test_no_cluster_is_empty():
    points = some(2)
    far = torch.full((1, 5), 100.0, dtype=points.dtype)
    for begin in (torch.cat([points[:3], far, far]), points[:1].repeat(5, 1)):
        found = kmeans(points, begin, steps=1)
        assert torch.bincount(found.label, minlength=5).min() > 0
        np.testing.assert_array_equal(
            found.label.numpy(), reference.kmeans(points.numpy(), begin.numpy(), 1)[0]
        )
    same = torch.ones(5, 3)
    assert sorted(kmeans(same, same[:5]).label.tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="4 points can't make 5 clusters"):
        kmeans(points[:4], points[:5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 5, 64, 257])
def test_ties_go_to_the_first_center_and_the_first_point_in_whatever_order_a_processor_adds(
    dtype: torch.dtype, d: int
):
    rng = np.random.default_rng(d)
    # few different numbers, none of which a float holds exactly: many distances are equal, and sums
    # in floats don't show it
    whole = rng.integers(-1, 2, (150, d))
    whole[100:] = whole[rng.integers(0, 100, 50)]
    begin = whole[rng.integers(0, 20, 12)]
    exact = ((whole[:, None] - begin) ** 2).sum(2)
    label = exact.argmin(1)
    for lost in range(len(begin)):
        if not (label == lost).any():
            gap = np.where(
                np.bincount(label, minlength=12)[label] > 1, exact[np.arange(150), label], -1
            )
            label[gap.argmax()] = lost
    assert (np.sort(exact, axis=1)[:, 0] == np.sort(exact, axis=1)[:, 1]).any()
    for _ in range(20):
        order = rng.permutation(d)
        points, centers = (
            torch.from_numpy(each[:, order] / 3).to(dtype) for each in (whole, begin)
        )
        np.testing.assert_array_equal(kmeans(points, centers, steps=1).label.numpy(), label)


@pytest.mark.parametrize("kind", ["rows", "plusplus"])
def test_first_centers(kind: Literal["rows", "plusplus"]):
    points, row = some(3), torch.arange(60) % 6
    given = [
        first_centers(points, 3, kind=kind, row=row, draw=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(given[0], given[1])
    assert torch.equal(given[0], given[2]) == (kind == "rows")
    if kind == "rows":
        np.testing.assert_allclose(given[0][0], points[row < 2].mean(0))
        np.testing.assert_allclose(given[0][2], points[row > 3].mean(0))
    else:
        assert all((points == center).all(1).any() for center in given[0])
        assert len(torch.unique(given[0], dim=0)) == 3


def test_plusplus_finds_groups_that_lie_apart():
    groups = torch.eye(4).repeat_interleave(50, 0) * 100 + torch.rand(
        200, 4, generator=torch.Generator().manual_seed(0)
    )
    row = torch.zeros(200, dtype=torch.int64)
    for seed in range(5):
        begin = first_centers(groups, 4, kind="plusplus", row=row, draw=np.random.default_rng(seed))
        label = kmeans(groups, begin).label.view(4, 50)
        assert (label == label[:, :1]).all()
        assert len(set(label[:, 0].tolist())) == 4


def test_clusters_are_numbered_from_the_top():
    label = torch.tensor([2, 2, 0, 0, 1, 1])
    row = torch.tensor([0, 1, 5, 6, 3, 2])
    assert top_to_bottom(label, row, 3).tolist() == [0, 0, 2, 2, 1, 1]
    assert top_to_bottom(label, torch.ones(6, dtype=torch.int64), 3).tolist() == label.tolist()
