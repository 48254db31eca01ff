"""Graphs of some queries without padding, one behind the other: what is judged, its neighbours, and
whom each node hears.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

from graphreid.graphs import adjacency
from graphreid.graphs import samplers as sampling
from graphreid.methods.link_prediction.candidates import Candidates


@dataclass(frozen=True, eq=False)
class Packed:
    """The graphs of b queries.

    Attributes:
        nodes: int32 [b, n], gallery rows, the images that are judged first; -1 behind a graph's
            last.
        near: int32 [b, k1], those that are judged alone.
        rows: int32 [m], the gallery row of each node of all graphs.
        graph: int64 [m], its graph.
        lists: int32 [m, e + 1], whom each node hears: itself or -1, then its links by nearness; -1
            is none.
        judged: int64 [r], which of the m are judged.
    """

    nodes: Int32[np.ndarray, "b n"]
    near: Int32[np.ndarray, "b k1"]
    rows: Int32[np.ndarray, " m"]
    graph: Int64[np.ndarray, " m"]
    lists: Int32[np.ndarray, "m w"]
    judged: Int64[np.ndarray, " r"]

    def dense(self) -> Float32[np.ndarray, "1 n n"]:
        """The adjacency of the only graph; its rows sum to 1."""
        n = len(self.rows)
        weights = np.zeros((1, n, n), np.float32)
        row, column = np.nonzero(self.lists >= 0)
        weights[0, row, self.lists[row, column]] = 1
        return weights / weights.sum(axis=2, keepdims=True)


@dataclass(frozen=True)
class Subgraphs:
    """How the graphs are made: a query's k1 images, and their neighbours as the two-hop sampler
    takes them.

    Attributes:
        k1: images that are judged. k2: neighbours of each that are nodes besides; no graph has more
            than k1 k2 nodes.
        links: nearest neighbours that a node hears where they are nodes of its graph.
        self_loops: every node hears itself too; one that hears nobody else always does.
    """

    k1: int
    k2: int
    links: int
    self_loops: bool

    @property
    def hops(self) -> int:
        """Neighbours of a gallery image that are asked for."""
        return max(self.k2, self.links)

    @property
    def most(self) -> int:
        """Nodes of a graph, at most."""
        return self.k1 * self.k2

    def build(self, near: Int32[np.ndarray, "b w"], candidates: Candidates) -> Packed:
        """The graphs of some queries.

        Args:
            near: images of each, the first k1 of which are judged.
            candidates: of the same queries.
        """
        near, lists, own = near[:, : self.k1], candidates.lists, candidates.own
        nodes = sampling.hard(
            near, lists, own, k2=self.k2, k=min(max(self.most, near.shape[1]), len(lists))
        )
        widest = int((nodes >= 0).sum(axis=1).max(initial=0))
        nodes = nodes[:, : max(widest, near.shape[1])]
        real = nodes >= 0
        count = real.sum(axis=1)
        graph = np.nonzero(real)[0]
        # places in a graph become places among all nodes
        heard = adjacency.links(nodes, lists, own, k2=self.links, wanted=self.links, hops=1)[real]
        heard = np.where(heard >= 0, heard + (np.cumsum(count) - count)[graph, None], -1)
        itself = np.arange(len(heard))[:, None]
        if not self.self_loops:
            itself = np.where((heard >= 0).any(axis=1, keepdims=True), -1, itself)
        judged = np.zeros(real.shape, bool)
        judged[:, : near.shape[1]] = True
        return Packed(
            nodes=nodes,
            near=nodes[:, : near.shape[1]],
            rows=nodes[real],
            graph=graph,
            lists=np.concatenate([itself, heard], axis=1).astype(np.int32),
            judged=np.flatnonzero(judged[real]),
        )
