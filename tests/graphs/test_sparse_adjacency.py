import numpy as np
import pytest
import torch

from graphreid.graphs.sparse_adjacency import SparseAdjacency, receptive_fields


def some(
    seed: int, rows: int = 7, columns: int = 9, width: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(columns)[:width] for _ in range(rows)]).astype(np.int32)
    lists[rng.random(lists.shape) < 0.3] = -1
    lists[2] = -1
    weights = rng.random(lists.shape).astype(np.float32)
    dense = np.zeros((rows, columns))
    for i, j in np.argwhere(lists >= 0):
        dense[i, lists[i, j]] = weights[i, j]
    return lists, weights, dense


def test_the_product_and_its_gradient_are_those_of_the_dense_matrix():
    lists, weights, dense = some(0)
    z = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    got = SparseAdjacency(lists, weights) @ z
    np.testing.assert_allclose(got.detach().numpy(), dense @ z.detach().numpy(), rtol=0, atol=1e-12)
    slope = torch.randn(7, 5, dtype=torch.float64)
    (got * slope).sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), dense.T @ slope.numpy(), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(SparseAdjacency(lists, weights).__matmul__, z)


def test_without_weights_a_row_is_the_mean_of_what_is_listed():
    lists, _, dense = some(1)
    mean = (dense > 0) / np.maximum((dense > 0).sum(axis=1, keepdims=True), 1)
    z = torch.randn(9, 3)
    np.testing.assert_allclose(
        (SparseAdjacency(lists) @ z).numpy(), mean @ z.numpy(), rtol=0, atol=1e-6
    )


def test_no_rows():
    empty = SparseAdjacency(np.empty((0, 3), np.int32))
    z = torch.randn(4, 2, requires_grad=True)
    (empty @ z).sum().backward()
    assert z.grad is not None
    assert (z.grad == 0).all()


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_receptive_field_gives_what_the_whole_graph_gives(layers: int, seed: int):
    rng = np.random.default_rng(seed)
    lists, weights, dense = some(seed, 40, 40, 3)
    wanted = np.sort(rng.permutation(40)[:4])
    z = rng.standard_normal((40, 3))
    whole = z
    for _ in range(layers):
        whole = np.tanh(dense @ whole)
    part = torch.from_numpy(z)
    sizes: list[int] = []
    fields = receptive_fields(lists, wanted, layers)
    for nodes, sources in fields:
        part = torch.tanh(SparseAdjacency(sources, weights[nodes]) @ part)
        sizes.append(len(nodes))
    np.testing.assert_allclose(part.numpy(), whole[wanted], rtol=0, atol=1e-7)
    assert len(fields) == layers
    assert sizes[-1] == 4
    assert layers == 1 or max(sizes) < 40, "not all nodes matter"
