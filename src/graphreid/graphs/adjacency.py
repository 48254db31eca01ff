"""Adjacencies of small graphs, a dense batch [b, n, n] that supports `@`: row i holds how much node
i hears each node j.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from graphreid.graphs.samplers import CHUNKS


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
