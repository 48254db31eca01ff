"""Dense adjacencies of small graphs, [b, n, n]: entry (i, j) is the weight with which node i
aggregates from node j.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDING = 1e-6
"""Cosines of float32 vectors may differ by so much between processors, and no more."""


def top(
    score: Float[Tensor, "b n m"], count: int, slack: Float[Tensor, "b n m"] | float
) -> Bool[Tensor, "b n m"]:
    """Which `count` entries of each row are largest; of equal ones the first.

    Args:
        score: count of them or more in a row.
        count: entries of a row.
        slack: scores that differ by no more than this are equal: what a processor's rounding may
            add to a score, so that all processors choose alike.
    """
    last = score.topk(count, dim=2, sorted=False).values.amin(2, keepdim=True)
    chosen = score >= last - slack
    many = chosen.sum(2, dtype=torch.int32) > count  # the few rows with equal scores at the end
    larger = (score > last + slack)[many]
    equal = chosen[many] & ~larger
    left = count - larger.sum(1, keepdim=True)
    chosen[many] = larger | (equal & (equal.cumsum(1) <= left))
    return chosen


def reciprocal(similarity: Float[Tensor, "b n n"], k: int) -> Bool[Tensor, "b n n"]:
    """Which nodes are each among the other's k most similar of the graph, or the same (Zhong et al.
    2017, Eq. 2).
    """
    ranked = similarity.clone()
    ranked.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    near = top(ranked, min(k + 1, similarity.shape[2]), ROUNDING)
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
    """The `count` largest entries of each row, and those equal to the last of them but for
    rounding; 0 elsewhere.
    """
    last = weights.topk(min(count, weights.shape[2]), dim=2).values[..., -1:]
    return weights * (weights >= last * (1 - ROUNDING))


def normalised(weights: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """L^-1/2 A L^-1/2, L the rows' sums, which must be above 0."""
    scale = weights.sum(2).rsqrt()
    return scale[:, :, None] * weights * scale[:, None]
