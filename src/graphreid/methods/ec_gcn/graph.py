"""EC-GCN's graph of each query: its nearest images, their neighbours, and edges by nearness.

Graphs here are large and of many sizes, so the graphs of a batch are packed: their nodes stand one
behind the other without padding, with positions among all nodes of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from graphreid.graphs.query_graphs import Candidates, hard_gallery_sampler, neighbors_within
from graphreid.methods.ec_gcn.options import Graph


@dataclass(frozen=True, eq=False)
class PackedQueryGraphs:
    """The graphs of b queries; m nodes in all.

    Attributes:
        nodes: gallery rows of each graph, first-hop images first, -1 for padding.
        first_hop: the part of `nodes` that gets a link probability.
        rows: the gallery row of each packed node.
        graph: the graph of each packed node, 0 .. b-1.
        neighbors: positions of the packed nodes from which each aggregates, -1 for none. The first
            column is the node itself, the others follow by nearness.
        scored: positions of the packed nodes that are first-hop images.
    """

    nodes: Int32[np.ndarray, "b n"]
    first_hop: Int32[np.ndarray, "b k1"]
    rows: Int32[np.ndarray, " m"]
    graph: Int64[np.ndarray, " m"]
    neighbors: Int32[np.ndarray, "m w"]
    scored: Int64[np.ndarray, " r"]

    def dense_adjacency(self) -> Float32[np.ndarray, "1 n n"]:
        """A~ of the only graph (Eq. 10); rows sum to 1."""
        n = len(self.rows)
        weights = np.zeros((1, n, n), np.float32)
        row, column = np.nonzero(self.neighbors >= 0)
        weights[0, row, self.neighbors[row, column]] = 1
        return weights / weights.sum(axis=2, keepdims=True)


def gallery_neighbors(options: Graph) -> int:
    """How many neighbours of each gallery image the graphs need."""
    return max(options.k2, options.links)


def most_nodes(options: Graph) -> int:
    """Nodes of a graph, at most: k_max = k1 k2."""
    return options.k1 * options.k2


def packed_query_graphs(candidates: Candidates, options: Graph) -> PackedQueryGraphs:
    """The graphs of the candidates' queries.

    Args:
        candidates: of each query the first-hop images (the first k1 are taken), of each gallery
            image `gallery_neighbors(options)` others.
        options: of the graphs.
    """
    first_hop = candidates.nearest[:, : options.k1]
    count_first = first_hop.shape[1]
    most = min(max(most_nodes(options), count_first), len(candidates.gallery_nearest))
    # V(p): R(p, k1), then R(g_i, k2) in turn (Eq. 8)
    nodes = hard_gallery_sampler(replace(candidates, nearest=first_hop), k2=options.k2, k=most)
    widest = int((nodes >= 0).sum(axis=1).max(initial=0))
    nodes = nodes[:, : max(widest, count_first)]  # [b, n]
    real = nodes >= 0
    graph = np.nonzero(real)[0]  # [m]
    # an edge v_i -> v_j iff v_j is among the e nearest of v_i and in V(p) (Eq. 10)
    e = options.links
    neighbors = neighbors_within(nodes, candidates, k2=e, most=e, hops=1)[real]  # [m, e]
    # positions in a graph become positions among all packed nodes
    size = real.sum(axis=1)
    offset = np.cumsum(size) - size
    neighbors = np.where(neighbors >= 0, neighbors + offset[graph, None], -1)
    # A + I: the equation's own loops are not printed, those of FA-GCN's Eq. 2 are taken
    itself = np.arange(len(neighbors))[:, None]
    if not options.self_loops:
        itself = np.where((neighbors >= 0).any(axis=1, keepdims=True), -1, itself)
    is_first_hop = np.zeros(real.shape, bool)
    is_first_hop[:, :count_first] = True
    return PackedQueryGraphs(
        nodes=nodes,
        first_hop=nodes[:, :count_first],
        rows=nodes[real],
        graph=graph,
        neighbors=np.concatenate([itself, neighbors], axis=1).astype(np.int32),
        scored=np.flatnonzero(is_first_hop[real]),
    )


def random_probability_sampler(
    nearest: Int32[np.ndarray, "b m"],
    positive: Bool[np.ndarray, "b m"],
    k1: int,
    generators: Sequence[np.random.Generator],
) -> Int32[np.ndarray, "b k"]:
    """RPGS: k1 of each query's m nearest images, positives and negatives equally likely (Eq. 9).

    They are drawn without replacement with P_j = 1 / (2 N_pos) for positives and 1 / (2 N_neg) for
    negatives; "g_j = p" in the paper means the same identity. Once one kind is used up, the other
    fills the rest.

    Args:
        nearest: gallery rows, nearest first.
        positive: which of them show the query's identity.
        k1: images of a query; all m where there are no more.
        generators: one for each query, so that its draw does not depend on the batch.

    Returns:
        The images drawn, in the order of `nearest`.
    """
    if nearest.shape[1] <= k1:
        return nearest
    count = positive.sum(axis=1, keepdims=True)
    of_kind = np.where(positive, count, nearest.shape[1] - count)  # 1 / P, less the common 1/2
    # the k1 largest of log P + Gumbel noise are k1 draws without replacement
    noise = np.stack([generator.gumbel(size=nearest.shape[1]) for generator in generators])
    keys = noise - np.log(of_kind)
    drawn = np.sort(np.argpartition(-keys, k1 - 1, axis=1)[:, :k1], axis=1)
    return np.take_along_axis(nearest, drawn, 1)
