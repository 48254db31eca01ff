"""FFGNN's graph: an image and its K nearest, with edges by their neighbours and their cosine.

Equations are those of the FFGNN paper. A batch of graphs is dense, [b, n, n] with n = K + 1; entry
(i, j) is the weight with which node i takes up the features of node j. The nodes are
`graphs.ego_graphs`.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from graphreid.graphs.ego_graphs import ROUNDING, EgoGraphs, top_k
from graphreid.graphs.query_graphs import Candidates, edges_to, neighbors_within
from graphreid.methods.ffgnn.options import Graph

Nodes = Float[Tensor, "b n d"]
Square = Float[Tensor, "b n n"]
Mask = Bool[Tensor, "b n n"]


def adjacency(unit: Nodes, options: Graph, reciprocal: Mask | None = None) -> Square:
    """S of graphs (Eqs. 2-10).

    Args:
        unit: the nodes' vectors, of unit length.
        options: of the edges.
        reciprocal: which nodes are in each other's k-reciprocal set by the whole gallery's
            neighbours; None finds them among the graph's nodes.
    """
    c = (unit @ unit.mT).clamp(min=0)  # [b, n, n], Eq. 3; a cosine below 0 would be no weight
    c.diagonal(dim1=1, dim2=2).fill_(1)  # to the last digit
    a = c
    if options.edges == "joint":
        k = options.reciprocal
        v = c * (reciprocal_neighbors(c, k) if reciprocal is None else reciprocal)  # Eqs. 5-6
        # a row of v has a node's own k, itself and, by the gallery's lists, the anchor too
        d = jaccard_similarity(v, k + 2)  # Eq. 7
        a = options.lam * d + (1 - options.lam) * c  # Eq. 8
    if options.mask:
        a = largest_entries(a, options.tau)  # Eqs. 9-10, not made symmetric: as printed
    return symmetrically_normalised(a)  # Eq. 2


def reciprocal_neighbors(similarity: Square, k: int) -> Mask:
    """Which nodes are each among the other's k most similar of the graph, or the same (Eq. 5; topk
    holds the node itself, as in Zhong et al. 2017).
    """
    ranked = similarity.clone()
    ranked.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest = top_k(ranked, min(k + 1, similarity.shape[2]), ROUNDING)
    return nearest & nearest.mT


def reciprocal_in_gallery(graphs: EgoGraphs, rows: NDArray[np.intp], k: int) -> Mask:
    """Which nodes of some graphs are among each other's k nearest in the whole gallery, or the
    same.

    The gallery's lists are its own: no query is in them. So an anchor counts as near to an image
    that is no farther from it than from its k-th neighbour.

    Args:
        graphs: all graphs.
        rows: those that are wanted.
        k: of the k-reciprocal sets.
    """
    images = graphs.nearest.index[rows]  # [b, K], gallery rows
    # one more than k: an anchor of the gallery is passed over in the lists
    lists = graphs.retrieval_set.neighbors(k + 1, side="gallery")
    b = images.shape[0]
    n = images.shape[1] + 1
    out = torch.zeros(b, n, n, dtype=torch.bool)
    out[:, 0, 0] = True
    if n == 1:
        return out
    own = graphs.own[rows]
    candidates = Candidates(images, lists.index, own)
    places = neighbors_within(images, candidates, k2=k, most=k, hops=1)  # [b, K, k]
    nearest = edges_to(torch.from_numpy(places), self_loops=True)  # [b, K, K]
    out[:, 1:, 1:] = nearest & nearest.mT
    first = images[:, :k]  # the anchor's own k nearest
    m = first.shape[1]
    everywhere = np.full(len(lists.index), np.inf, np.float32)  # the gallery has no k-th neighbour
    reach = lists.distance[:, k - 1] if lists.k >= k else everywhere
    mutual = torch.from_numpy(graphs.nearest.distance[rows, :m] <= reach[first])  # [b, m]
    out[:, 0, 1 : 1 + m] = mutual
    out[:, 1 : 1 + m, 0] = mutual
    return out


def jaccard_similarity(v: Float[Tensor, "b n m"], most: int) -> Square:
    """Sum of min(v_i, v_j) over sum of max(v_i, v_j), of all pairs of rows (Eq. 7).

    Args:
        v: rows with no entry below 0 and, each, some above.
        most: entries of a row above 0, at most.
    """
    b, n, m = v.shape
    value, place = v.topk(min(most, m), dim=2)  # [b, n, most], what is above 0
    columns = v.mT.reshape(b * m, n)
    place = place + m * torch.arange(b, device=v.device)[:, None, None]
    shared = torch.zeros(b, n, n, dtype=v.dtype, device=v.device)
    # entry by entry, for [b, n, n, m] would not fit
    for at in range(value.shape[2]):
        others = columns.index_select(0, place[:, :, at].flatten()).view(b, n, n)
        shared += torch.minimum(value[:, :, at, None], others)
    total = v.sum(2)
    # max(a, b) = a + b - min(a, b)
    return shared / (total[:, :, None] + total[:, None] - shared)


def largest_entries(weights: Square, count: int) -> Square:
    """The `count` largest entries of each row, and those equal to the last of them but for
    rounding; 0 elsewhere (Eqs. 9-10).
    """
    last = weights.topk(min(count, weights.shape[2]), dim=2).values[..., -1:]
    return weights * (weights >= last * (1 - ROUNDING))


def symmetrically_normalised(weights: Square) -> Square:
    """L^-1/2 A L^-1/2 with L the rows' sums, which must be above 0 (Eq. 2)."""
    scale = weights.sum(2).rsqrt()
    return scale[:, :, None] * weights * scale[:, None]
