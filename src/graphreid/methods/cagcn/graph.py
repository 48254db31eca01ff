"""CAGCN's graph of each query: a sample of the gallery, with edges between gallery neighbours.

Nodes are the candidates of the hard gallery sampler (Eq. 1). A node has edges to candidates that
are among its own gallery neighbours (Eq. 2), whatever the query is.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int32
from torch import Tensor

from graphreid.graphs.query_graphs import (
    Candidates,
    complete_edges,
    edges_to,
    hard_gallery_sampler,
    nearest_sampler,
    neighbors_within,
)
from graphreid.methods.cagcn.options import Graph


class QueryGraphs(NamedTuple):
    """The graphs of b queries, padded to n nodes.

    Attributes:
        nodes: gallery rows, -1 for padding.
        real: False for padding.
        edges: entry (i, j): node i aggregates from node j.
    """

    nodes: Int32[np.ndarray, "b n"]
    real: Bool[Tensor, "b n"]
    edges: Bool[Tensor, "b n n"]


def first_hop(options: Graph) -> int:
    """How many nearest images of a query the sampler needs."""
    return options.k1 if options.sampler == "hgs" else options.k


def query_graphs(candidates: Candidates, options: Graph, device: str = "cpu") -> QueryGraphs:
    """The graphs of the candidates' queries.

    Args:
        candidates: `first_hop(options)` images of each query, and k2 of each gallery image.
        options: of the graphs.
        device: where the tensors go.
    """
    k = min(options.k, len(candidates.gallery_nearest))
    if options.sampler == "hgs":
        nodes = hard_gallery_sampler(candidates, k2=options.k2, k=k)  # G_c, Eq. 1
    else:
        nodes = nearest_sampler(candidates.nearest, k)  # N(p, k), Table 3
    # two hops may give fewer than k images: nothing fills the graph, padding is masked
    real = torch.from_numpy(nodes >= 0).to(device)
    if options.edges == "full":
        return QueryGraphs(nodes, real, complete_edges(real, self_loops=options.self_loops))
    # H(g_i), the indicator of Eq. 2. The paper applies its sampler to g_i; here its own k2
    # neighbours come first, the second hop only where fewer than k' of them are in G_c.
    neighbors = neighbors_within(
        nodes,
        candidates,
        k2=options.k2,
        most=min(options.links, k),
        hops=2 if options.edges == "hgs" else 1,
    )  # [b, n, k'], positions in the graph
    edges = edges_to(torch.from_numpy(neighbors).to(device), self_loops=options.self_loops)
    return QueryGraphs(nodes, real, edges)
