import numpy as np
import torch

from graphreid.graphs.ego_graphs import top_k
from graphreid.methods.ffgnn.graph import largest_entries, reciprocal_neighbors
from graphreid.methods.hrnet.graph import nearest_nodes


def test_top_k_takes_the_first_of_equal_scores_in_whatever_order_a_processor_adds():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 4, (6, 30, 40)).astype(np.float64)
    for count in (1, 7, 39, 40):
        places = np.argsort(-whole, axis=2, kind="stable")[:, :, :count]
        expected = np.zeros(whole.shape, bool)
        np.put_along_axis(expected, places, values=True, axis=2)
        noise = 1e-7 * rng.uniform(-1, 1, whole.shape)
        got = top_k(torch.from_numpy(whole + noise), count, 1e-6)
        np.testing.assert_array_equal(got.numpy(), expected)


def test_nodes_that_are_alike_have_the_same_neighbours_on_every_processor():
    rng = np.random.default_rng(1)
    unit = rng.standard_normal((1, 40, 96))
    unit[0, 20:] = unit[0, :20]  # every image twice: all ranks are shared by two
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    reciprocal, near, kept = [], [], []
    for _ in range(10):
        order = rng.permutation(96)  # and what one bit more or less in each product may do
        x = torch.from_numpy(
            (unit * (1 + 6e-8 * rng.uniform(-1, 1, unit.shape)))[:, :, order]
        ).float()
        cosine = x @ x.mT
        reciprocal.append(reciprocal_neighbors(cosine, 6))
        near.append(nearest_nodes(x, 8))
        kept.append(largest_entries(cosine.clamp(min=0), 5) > 0)
    for each in (reciprocal, near, kept):
        assert all(torch.equal(each[0], other) for other in each)
    assert (near[0].sum(2) == 8).all()
    assert near[0].diagonal(dim1=1, dim2=2).all()
