"""A graph a query, made of its neighbourhood: the settings from which nodes and edges follow."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int32
from torch import Tensor

from graphreid.graphs import adjacency
from graphreid.graphs import samplers as sampling
from graphreid.methods.link_prediction.candidates import Candidates

Sampler = Literal["hgs", "plain"]
Edges = Literal["hgs", "knn", "full"]
Nodes = Int32[np.ndarray, "b n"]
Places = Int32[np.ndarray, "b n l"]


@dataclass(frozen=True)
class LocalGraphs:
    """How the graphs are made.

    Attributes:
        sampler: "hgs", the two-hop hard gallery sampler, or "plain", the k nearest.
        k1, k2, k: first-hop images, neighbours of a gallery image, and nodes at most.
        edges: whom a node hears: "hgs", its first `links` two-hop neighbours in the graph; "knn",
            of its own k2 neighbours alone; "full", all others.
        links: edges of a node, at most.
        self_loops: every node hears itself too; one that hears nobody else always does.
    """

    sampler: Sampler
    k1: int
    k2: int
    k: int
    edges: Edges
    links: int
    self_loops: bool

    @property
    def near(self) -> int:
        """Candidates of a query that the sampler looks at."""
        return self.k1 if self.sampler == "hgs" else self.k

    def build(self, candidates: Candidates) -> tuple[Nodes, Places]:
        """Nodes (gallery rows, -1 is padding) and edges (places of the nodes heard, -1 is none; of
        no width for "full").
        """
        near, lists, own = candidates.near, candidates.lists, candidates.own
        k = min(self.k, len(lists))
        nodes = (
            sampling.hard(near, lists, own, k2=self.k2, k=k)
            if self.sampler == "hgs"
            else sampling.plain(near, k)
        )
        if self.edges == "full":
            return nodes, np.empty((*nodes.shape, 0), np.int32)
        hops = 2 if self.edges == "hgs" else 1
        return nodes, adjacency.links(
            nodes, lists, own, k2=self.k2, wanted=min(self.links, k), hops=hops
        )

    def joined(
        self, nodes: Nodes, places: Places, device: str = "cpu"
    ) -> tuple[Bool[Tensor, "b n n"], Bool[Tensor, "b n"]]:
        """Which nodes hear which, and which are real."""
        real = torch.from_numpy(nodes >= 0).to(device)
        if self.edges == "full":
            return adjacency.complete(real, self.self_loops), real
        return adjacency.linked(torch.from_numpy(places).to(device), self.self_loops), real
