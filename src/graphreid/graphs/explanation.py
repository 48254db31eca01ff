"""Makes an `Explanation`: a method's graph of one query, and ranks before and after."""

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, Int64

from graphreid.gallery import RetrievalSet
from graphreid.graphs.sparse_adjacency import receptive_fields
from graphreid.types import DistanceBlock, Explanation, positions

Edges = tuple[Int64[np.ndarray, "e 2"], Float32[np.ndarray, " e"]]
"""(Source, target) of each edge as indices into the nodes, and its weight."""


def single_query(retrieval_set: RetrievalSet) -> RetrievalSet:
    """The retrieval set as it is, if it has one query.

    Raises:
        ValueError: it has none, or more.
    """
    if retrieval_set.query_count != 1:
        raise ValueError(f"there are {retrieval_set.query_count} queries: explain one at a time")
    return retrieval_set


def build_explanation(
    retrieval_set: RetrievalSet,
    block: DistanceBlock,
    nodes: Int[np.ndarray, " n"],
    edges: Edges,
    query_weights: Float32[np.ndarray, " n"] | None = None,
    *,
    base_distance: Float32[np.ndarray, " g"] | None = None,
) -> Explanation:
    """The explanation of a retrieval set's only query.

    Args:
        retrieval_set: with that query; its distances give the ranks before.
        block: the method's distances of that query, which give the ranks after.
        nodes: gallery rows.
        edges: between them.
        query_weights: weight of the edge from each node to the query; None where the query is no
            node.
        base_distance: the distances that the method started from, if not those of the retrieval
            set.
    """
    rows = nodes.astype(np.int64)
    base = (
        retrieval_set.distance_block(0, retrieval_set.block(0, 1)).distance[0]
        if base_distance is None
        else base_distance
    )
    return Explanation(
        nodes=rows,
        edges=edges[0],
        weights=edges[1],
        probability=None if block.probability is None else block.probability[0, rows],
        rank_before=ranks(base)[rows],
        rank_after=ranks(block.distance[0])[rows],
        query_weights=query_weights,
    )


def explain_receptive_field(
    retrieval_set: RetrievalSet,
    block: DistanceBlock,
    sources: Int32[np.ndarray, "n w"],
    weights: Float32[np.ndarray, "n w"],
    query_sources: Int32[np.ndarray, " k"],
    query_weights: Float32[np.ndarray, " k"],
    hops: int,
) -> Explanation:
    """The explanation of a graph over all images: the part of it whose messages reach the query.

    Args:
        retrieval_set: with one query.
        block: the method's distances of that query.
        sources: the images that each image aggregates, and `weights` theirs.
        query_sources: the images that the query aggregates, and `query_weights` theirs.
        hops: layers before the query's own, from whose sources messages come as well.
    """
    nodes = np.unique(receptive_fields(sources, query_sources.astype(np.int64), hops)[0][1])
    nodes = nodes[nodes != retrieval_set.nodes[0]]
    to_query = np.zeros(len(nodes), np.float32)
    to_query[np.searchsorted(nodes, query_sources)] = query_weights
    target = np.repeat(np.arange(len(nodes)), sources.shape[1])
    edges = edges_of_entries(nodes, target, sources[nodes].ravel(), weights[nodes].ravel())
    return build_explanation(retrieval_set, block, nodes, edges, to_query)


def edges_of_matrix(weights: Float[np.ndarray, "n n"]) -> Edges:
    """The edges of a dense adjacency, its entries above 0: row i aggregates column j."""
    target, source = np.nonzero(weights > 0)
    return np.stack([source, target], axis=1), weights[target, source].astype(np.float32)


def edges_of_entries(
    nodes: Int[np.ndarray, " n"],
    target: Int[np.ndarray, " m"],
    source: Int[np.ndarray, " m"],
    weight: Float32[np.ndarray, " m"],
) -> Edges:
    """The edges among the nodes, of entries of a sparse adjacency over all images.

    Args:
        nodes: images, each once.
        target: of each entry, as an index into `nodes`.
        source: of each entry, as an image; an entry of an image that is no node is left out.
        weight: of each entry; one that is not above 0 is no edge.
    """
    place = positions(nodes, source)
    is_edge = (place >= 0) & (weight > 0)
    edges = np.stack([place[is_edge], target[is_edge]], axis=1).astype(np.int64)
    return edges, weight[is_edge]


def ranks(distance: Float32[np.ndarray, " g"]) -> Int64[np.ndarray, " g"]:
    """The rank of each gallery image, from 1; equal distances go by gallery row."""
    rank = np.empty(len(distance), np.int64)
    rank[np.argsort(distance, kind="stable")] = np.arange(1, len(distance) + 1)
    return rank
