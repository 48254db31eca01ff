"""Query graphs: a graph for each query, whose nodes are gallery images near it.

Samplers of nodes, edges between them, and layers that leave padding out.

Nodes are int32 [b, n]: the gallery rows of b graphs, in the order in which they were sampled, -1
where a sampler finds fewer than n. Edges are bool [b, n, n]: entry (i, j) says that node i
aggregates from node j.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from graphreid.gallery import RetrievalSet

CHUNKS = 16
"""Parts that a loop with memory per thread is cut into: enough to keep any laptop's cores busy."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The neighbour lists that samplers choose from, nearest first.

    Attributes:
        nearest: int32 [q, k1], each query's nearest gallery images, without the query itself.
        gallery_nearest: int32 [g, k2 + 1], each gallery image's nearest others. It is one longer
            than k2, because a query that is in the gallery is skipped in it.
        own: int64 [q], the gallery row of a query that is in the gallery, else -1.
    """

    nearest: Int32[np.ndarray, "q k1"]
    gallery_nearest: Int32[np.ndarray, "g w"]
    own: Int64[np.ndarray, " q"]

    @classmethod
    def of(cls, retrieval_set: RetrievalSet, k1: int, k2: int) -> "Candidates":
        """The k1 nearest images of each query and the k2 nearest of each gallery image.

        The gallery keeps its own lists for later calls.
        """
        own = retrieval_set.own
        if (own >= 0).all():
            # every query is in the gallery, so its list is among the gallery's
            lists = retrieval_set.neighbors(max(k1, k2 + 1), side="gallery").index
            return cls(lists[own, :k1], lists[:, : k2 + 1], own)
        return cls(
            retrieval_set.neighbors(k1, side="query").index,
            retrieval_set.neighbors(k2 + 1, side="gallery").index,
            own,
        )

    def take(self, rows: NDArray[np.intp] | slice) -> "Candidates":
        """The candidates of some of the queries."""
        return Candidates(self.nearest[rows], self.gallery_nearest, self.own[rows])


def nearest_sampler(nearest: Int32[np.ndarray, "b k1"], k: int) -> Int32[np.ndarray, "b k"]:
    """The k nearest images of each query; `nearest` is `Candidates.nearest`."""
    missing = max(k - nearest.shape[1], 0)
    return np.pad(nearest[:, :k], ((0, 0), (0, missing)), constant_values=-1)


def hard_gallery_sampler(candidates: Candidates, *, k2: int, k: int) -> Int32[np.ndarray, "b k"]:
    """Two hops: the k1 nearest images of each query, then the k2 nearest of each of those, up to k.

    Ji et al., Context-Aware Graph Convolution Network for Target Re-identification, AAAI 2021,
    Eq. 1: the second hop adds N'(g_i, k2) for i = 1..k1 in order, less the images already there.

    Args:
        candidates: N(p, k1) and N(g, k2).
        k2: second-hop neighbours of each first-hop image; 0 for none.
        k: nodes of a graph, at most.
    """
    from graphreid.kernels import query_graphs  # noqa: PLC0415  # the GPU path must import without numba

    return query_graphs.two_hops(
        np.ascontiguousarray(candidates.nearest),
        np.ascontiguousarray(candidates.gallery_nearest),
        candidates.own,
        k2,
        k,
        CHUNKS,
    )


def neighbors_within(
    nodes: Int32[np.ndarray, "b n"], candidates: Candidates, *, k2: int, most: int, hops: int
) -> Int32[np.ndarray, "b n m"]:
    """The first `most` neighbours of each node that are nodes of the same graph.

    Args:
        nodes: gallery rows of each graph, -1 for padding.
        candidates: of the graphs' queries.
        k2: neighbours of an image that are looked at.
        most: neighbours of a node that are kept.
        hops: 1 looks at a node's own k2 neighbours; 2 goes on with the k2 neighbours of each.

    Returns:
        Their positions in the graph, nearest first; -1 where there are fewer.
    """
    from graphreid.kernels import query_graphs  # noqa: PLC0415  # the GPU path must import without numba

    return query_graphs.links(
        np.ascontiguousarray(nodes),
        np.ascontiguousarray(candidates.gallery_nearest),
        candidates.own,
        k2,
        most,
        hops,
        CHUNKS,
    )


def edges_to(
    neighbors: Int32[Tensor, "b n m"], *, self_loops: bool = False
) -> Bool[Tensor, "b n n"]:
    """Edges from each node to its listed neighbours (positions in the graph, -1 for none).

    A node without neighbours gets a self-loop; with `self_loops` every node does.
    """
    b, n, _ = neighbors.shape
    # one column more, which takes the entries of -1
    wide = torch.zeros(b, n, n + 1, dtype=torch.bool, device=neighbors.device)
    wide.scatter_(2, neighbors.long().masked_fill(neighbors < 0, n), value=True)
    return _with_self_loops(wide[..., :n], self_loops)


def complete_edges(real: Bool[Tensor, "b n"], *, self_loops: bool = False) -> Bool[Tensor, "b n n"]:
    """Edges between all real nodes of a graph.

    A node that is alone gets a self-loop, and so does padding; with `self_loops` every node does.
    """
    edges = real[:, :, None] & real[:, None, :]
    edges &= ~torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    return _with_self_loops(edges, self_loops)


def _with_self_loops(edges: Bool[Tensor, "b n n"], every_node: bool) -> Bool[Tensor, "b n n"]:
    diagonal = edges.diagonal(dim1=1, dim2=2)
    diagonal |= ~edges.any(2) | every_node
    return edges


def edge_softmax(
    score: Float[Tensor, "b n n"], edges: Bool[Tensor, "b n n"]
) -> Float[Tensor, "b n n"]:
    """Adjacency whose rows are softmaxes of the scores over a node's edges; 0 elsewhere."""
    return torch.softmax(score.float().masked_fill(~edges, -torch.inf), 2)


class NodeBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of real nodes only; in training, padding becomes 0."""

    def forward(  # type: ignore[override]  # batch norm takes no mask
        self, z: Float[Tensor, "b n h"], real: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n h"]:
        """Each of h entries normalised; `real` None means that there is no padding."""
        if not self.training or real is None or bool(real.all()):
            return super().forward(z.flatten(0, 1)).view_as(z)
        rows = super().forward(z[real])
        return torch.zeros(z.shape, dtype=rows.dtype, device=z.device).masked_scatter(
            real[..., None], rows
        )


def node_recall(
    nodes: Int32[np.ndarray, "b n"],
    query_identity: Int64[np.ndarray, " b"],
    gallery_identity: Int64[np.ndarray, " g"],
    own: Int64[np.ndarray, " b"],
) -> float:
    """The share of a query's gallery images of its identity that were sampled, in [0, 1].

    It is the mean over queries that have such images. All cameras count; the query itself (gallery
    row `own`) does not.
    """
    names, count = np.unique(gallery_identity, return_counts=True)
    at = np.minimum(np.searchsorted(names, query_identity), len(names) - 1)
    there = np.where(names[at] == query_identity, count[at], 0) - (own >= 0)
    found = ((nodes >= 0) & (gallery_identity[nodes] == query_identity[:, None])).sum(axis=1)
    return float(np.mean(found[there > 0] / there[there > 0]))
