"""Samplers: which gallery images become the nodes of a query's graph.

Nodes are gallery rows, int32 [q, k], in the order in which they were taken; -1 where a sampler
finds fewer than k.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32, Int64

CHUNKS = 16
"""Parts that a loop with room per thread is cut into: enough to keep any laptop's cores busy."""


def plain(near: Int32[np.ndarray, "q k1"], k: int) -> Int32[np.ndarray, "q k"]:
    """The k nearest images of each query.

    Args:
        near: gallery rows, nearest first, at least k of them where there are as many.
        k: nodes of a graph.
    """
    return _padded(near[:, :k], k)


def hard(
    near: Int32[np.ndarray, "q k1"],
    lists: Int32[np.ndarray, "g w"],
    own: Int64[np.ndarray, " q"],
    *,
    k2: int,
    k: int,
) -> Int32[np.ndarray, "q k"]:
    """The two-hop hard gallery sampler: the k1 nearest images of each query, then their k2 nearest
    in turn, until there are k.

    Ji et al., Context-Aware Graph Convolution Network for Target Re-identification, AAAI 2021, Eq.
    1.

    Args:
        near: N(p, k1), gallery rows, nearest first, without the query itself.
        lists: N(g, w) of every gallery image; w is k2 + 1 where a query may be in the gallery, for
            it is passed over.
        own: the gallery row that a query itself is, or -1.
        k2: second-hop neighbours of each first-hop image; 0 for none.
        k: nodes of a graph, at most.
    """
    from graphreid.kernels import query_graphs as sampling  # noqa: PLC0415  # the GPU path must import without numba

    return sampling.two_hops(
        np.ascontiguousarray(near), np.ascontiguousarray(lists), own, k2, k, CHUNKS
    )


def random_probability(
    near: Int32[np.ndarray, "q m"],
    positive: Bool[np.ndarray, "q m"],
    k1: int,
    draws: Sequence[np.random.Generator],
) -> Int32[np.ndarray, "q k"]:
    """k1 of each query's m nearest images, drawn without replacement, in their order; as likely
    right ones as wrong ones.

    An image is drawn with probability 1/2 by the number of right ones if it is right, and of wrong
    ones if it is wrong (EC-GCN, Eq. 9); once the right ones are drawn, the wrong ones fill up, and
    the other way round.

    Args:
        near: gallery rows, nearest first.
        positive: which of them show the query's identity.
        k1: images of a query; all m where there are not more.
        draws: a generator a query, so that a query's draw does not depend on the others.
    """
    if near.shape[1] <= k1:
        return near
    right = positive.sum(axis=1, keepdims=True)
    share = np.where(positive, right, near.shape[1] - right)  # the factor 1/2 is common to all
    # the k1 largest of log P + Gumbel noise are k1 draws without replacement
    noise = np.stack([draw.gumbel(size=near.shape[1]) for draw in draws])
    keys = noise - np.log(share)
    drawn = np.sort(np.argpartition(-keys, k1 - 1, axis=1)[:, :k1], axis=1)
    return np.take_along_axis(near, drawn, 1)


def recall(
    nodes: Int32[np.ndarray, "q k"],
    query_identity: Int64[np.ndarray, " q"],
    gallery_identity: Int64[np.ndarray, " g"],
    own: Int64[np.ndarray, " q"],
) -> float:
    """The share of a query's gallery images of its identity that were sampled: the mean over
    queries that have any, in [0, 1].

    Same camera or not; a query itself (row own) does not count.
    """
    names, count = np.unique(gallery_identity, return_counts=True)
    at = np.minimum(np.searchsorted(names, query_identity), len(names) - 1)
    there = np.where(names[at] == query_identity, count[at], 0) - (own >= 0)
    found = ((nodes >= 0) & (gallery_identity[nodes] == query_identity[:, None])).sum(axis=1)
    return float(np.mean(found[there > 0] / there[there > 0]))


def _padded(rows: Int32[np.ndarray, "q m"], k: int) -> Int32[np.ndarray, "q k"]:
    missing = k - rows.shape[1]
    return rows if missing <= 0 else np.pad(rows, ((0, 0), (0, missing)), constant_values=-1)
