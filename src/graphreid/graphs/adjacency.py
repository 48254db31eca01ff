"""Dense adjacencies of small graphs, [b, n, n]: entry (i, j) is the weight with which node i
aggregates from node j.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def reciprocal(similarity: Float[Tensor, "b n n"], k: int) -> Bool[Tensor, "b n n"]:
    """Which nodes are each among the other's k most similar of the graph, or the same (Zhong et al.
    2017, Eq. 2).
    """
    ranked = similarity.clone()
    ranked.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    near = torch.zeros_like(similarity, dtype=torch.bool)
    near.scatter_(2, ranked.topk(min(k + 1, similarity.shape[2]), dim=2).indices, value=True)
    return near & near.mT


def jaccard(v: Float[Tensor, "b n m"], most: int) -> Float[Tensor, "b n n"]:
    """Sum of min(v_i, v_j) over sum of max(v_i, v_j), of all pairs of rows.

    Args:
        v: rows with no entry below 0 and, each, some above.
        most: entries of a row above 0, at most.
    """
    b, n, m = v.shape
    value, place = v.topk(min(most, m), dim=2)
    columns = v.mT.reshape(b * m, n)
    place = place + m * torch.arange(b, device=v.device)[:, None, None]
    least = torch.zeros(b, n, n, dtype=v.dtype, device=v.device)
    for at in range(value.shape[2]):
        theirs = columns.index_select(0, place[:, :, at].flatten()).view(b, n, n)
        least += torch.minimum(value[:, :, at, None], theirs)
    total = v.sum(2)
    return least / (total[:, :, None] + total[:, None] - least)


def largest(weights: Float[Tensor, "b n n"], count: int) -> Float[Tensor, "b n n"]:
    """The `count` largest entries of each row, and those equal to the least of them; 0
    elsewhere.
    """
    least = weights.topk(min(count, weights.shape[2]), dim=2).values[..., -1:]
    return weights * (weights >= least)


def normalised(weights: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """L^-1/2 A L^-1/2, L the rows' sums, which must be above 0."""
    scale = weights.sum(2).rsqrt()
    return scale[:, :, None] * weights * scale[:, None]
