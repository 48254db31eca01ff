"""What a method answers when it is asked why: its graph of one query, with each image's rank before
and after.
"""

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, Int64

from graphreid.gallery import RetrievalSet
from graphreid.graphs.sparse_adjacency import receptive_fields
from graphreid.protocols import DistanceSource, Explanation
from graphreid.types import DistanceBlock, places

Edges = tuple[Int64[np.ndarray, "e 2"], Float32[np.ndarray, " e"]]
"""Places of nodes, of which the first hears the second, and how much."""


def alone(retrieval_set: RetrievalSet) -> RetrievalSet:
    """The pool, if it has one query.

    Raises:
        ValueError: it has none, or more.
    """
    if retrieval_set.queries != 1:
        raise ValueError(f"there are {retrieval_set.queries} queries: explain one at a time")
    return retrieval_set


def explanation(
    retrieval_set: DistanceSource,
    block: DistanceBlock,
    nodes: Int[np.ndarray, " n"],
    edges: Edges,
    heard: Float32[np.ndarray, " n"] | None = None,
    *,
    before: Float32[np.ndarray, " g"] | None = None,
) -> Explanation:
    """The graph of a pool's only query.

    Args:
        retrieval_set: with that query.
        block: the method's answer to it.
        nodes: gallery rows.
        edges: between them.
        heard: how much the query itself hears each of them; None where it is no node.
        before: base distances, if they are not the pool's.
    """
    rows = nodes.astype(np.int64)
    base = (
        retrieval_set.answer(0, retrieval_set.distances(0, 1)).distance[0]
        if before is None
        else before
    )
    return Explanation(
        nodes=rows,
        edges=edges[0],
        weights=edges[1],
        probability=None if block.probability is None else block.probability[0, rows],
        before=_ranks(base)[rows],
        after=_ranks(block.distance[0])[rows],
        heard=heard,
    )


def around(
    retrieval_set: RetrievalSet,
    block: DistanceBlock,
    lists: Int32[np.ndarray, "n w"],
    weights: Float32[np.ndarray, "n w"],
    near: Int32[np.ndarray, " k"],
    said: Float32[np.ndarray, " k"],
    hops: int,
) -> Explanation:
    """The part of a graph of all images that reaches the query: its nearest, whom these hear, and
    so on.

    Args:
        retrieval_set: with that query.
        block: the method's answer to it.
        lists: whom each image hears; weights: how much.
        near: whom the query hears; said: how much.
        hops: from these on.
    """
    nodes = np.unique(receptive_fields(lists, near.astype(np.int64), hops)[0][1])
    nodes = nodes[nodes != retrieval_set.nodes[0]]
    heard = np.zeros(len(nodes), np.float32)
    heard[np.searchsorted(nodes, near)] = said
    row = np.repeat(np.arange(len(nodes)), lists.shape[1])
    return explanation(
        retrieval_set,
        block,
        nodes,
        of_entries(nodes, row, lists[nodes].ravel(), weights[nodes].ravel()),
        heard,
    )


def of_matrix(weights: Float[np.ndarray, "n n"]) -> Edges:
    """The edges of an adjacency: its entries above 0."""
    edges = np.argwhere(weights > 0)
    return edges, weights[edges[:, 0], edges[:, 1]].astype(np.float32)


def of_entries(
    nodes: Int[np.ndarray, " n"],
    row: Int[np.ndarray, " m"],
    column: Int[np.ndarray, " m"],
    value: Float32[np.ndarray, " m"],
) -> Edges:
    """Those entries of a sparse matrix over all images that lie between the nodes: node place `row`
    hears image `column`.
    """
    place = places(nodes, column)
    there = (place >= 0) & (value > 0)
    return np.stack([row[there], place[there]], axis=1).astype(np.int64), value[there]


def _ranks(distance: Float32[np.ndarray, " g"]) -> Int64[np.ndarray, " g"]:
    ranks = np.empty(len(distance), np.int64)
    ranks[np.argsort(distance, kind="stable")] = np.arange(1, len(distance) + 1)
    return ranks
