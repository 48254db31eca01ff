"""Adjacencies of small graphs, a dense batch [b, n, n] that supports `@`: row i holds how much node
i hears each node j.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from graphreid.graphs.samplers import CHUNKS

ROUNDING = 1e-6
"""Cosines of float32 vectors may differ by so much between processors, and no more."""


def links(
    nodes: Int32[np.ndarray, "q n"],
    lists: Int32[np.ndarray, "g w"],
    own: Int64[np.ndarray, " q"],
    *,
    k2: int,
    wanted: int,
    hops: int,
) -> Int32[np.ndarray, "q n l"]:
    """The first `wanted` neighbours of each node that are nodes of the same graph, by their places
    in it; -1 where fewer.

    Args:
        nodes: gallery rows of each query's graph, -1 where there is none.
        lists: N(g, w) of every gallery image; w is k2 + 1 where a query may be in the gallery, for
            it is passed over.
        own: the gallery row that a query itself is, or -1.
        k2: neighbours of an image that are looked at.
        wanted: links of a node, at most.
        hops: 1 looks at a node's own k2 neighbours; 2 goes on with their k2 neighbours in turn.
    """
    from graphreid.kernels import query_graphs as sampling  # noqa: PLC0415  # the GPU path must import without numba

    return sampling.links(
        np.ascontiguousarray(nodes), np.ascontiguousarray(lists), own, k2, wanted, hops, CHUNKS
    )


def linked(places: Int32[Tensor, "b n l"], loops: bool = False) -> Bool[Tensor, "b n n"]:
    """Which nodes hear which, from lists of places (-1 is none). A node that hears nobody hears
    itself; with `loops` all do.
    """
    b, n, _ = places.shape
    wide = torch.zeros(b, n, n + 1, dtype=torch.bool, device=places.device)
    # one column more takes what is no link
    wide.scatter_(2, places.long().masked_fill(places < 0, n), value=True)
    return _heard(wide[..., :n], loops)


def complete(real: Bool[Tensor, "b n"], loops: bool = False) -> Bool[Tensor, "b n n"]:
    """Every real node hears every other. One that is alone hears itself, as does padding; with
    `loops` all do.
    """
    joined = real[:, :, None] & real[:, None, :]
    joined &= ~torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    return _heard(joined, loops)


def _heard(joined: Bool[Tensor, "b n n"], loops: bool) -> Bool[Tensor, "b n n"]:
    diagonal = joined.diagonal(dim1=1, dim2=2)
    diagonal |= ~joined.any(2) | loops
    return joined


def uniform(joined: Bool[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """Every row's links weigh the same and sum to 1."""
    weight = joined.float()
    return weight / weight.sum(2, keepdim=True)


def attention(
    score: Float[Tensor, "b n n"], joined: Bool[Tensor, "b n n"]
) -> Float[Tensor, "b n n"]:
    """Softmax of the scores over every row's links; 0 elsewhere."""
    return torch.softmax(score.float().masked_fill(~joined, -torch.inf), 2)


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
