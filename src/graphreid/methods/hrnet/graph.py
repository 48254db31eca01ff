"""HRNet's two graphs over the same images: one of the images, one of their pairs.

Equations are those of the HRNet paper. The nodes of the graph of images are a query and its nearest
(`graphs.ego_graphs`) at test, and a batch in training. The nodes of an anchor's graph of pairs are
its differences to all images, u_{n,i} = f_n - f_i. Masks are bool [b, n, n]: entry (i, j) says that
node i aggregates from node j.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from graphreid.graphs.ego_graphs import ROUNDING, top_k

Nodes = Float[Tensor, "b n d"]
Square = Float[Tensor, "b n n"]
Mask = Bool[Tensor, "b n n"]
Nearest = int | Literal["full"]
"""How many of its nearest nodes a node has edges from, or all."""


def nearest_nodes(x: Nodes, count: Nearest) -> Mask:
    """C (Eq. 1): which nodes are the `count` nearest of each by Euclidean distance, the node itself
    the first; of equal distances the first node.
    """
    b, n, _ = x.shape
    if count == "full" or count >= n:
        return torch.ones(b, n, n, dtype=torch.bool, device=x.device)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        distance = torch.cdist(x.float(), x.float()).square()
        distance.diagonal(dim1=1, dim2=2).fill_(-torch.inf)  # the node itself has rank 1
        squares = x.float().square().sum(2)
        return top_k(-distance, count, ROUNDING * (squares[:, :, None] + squares[:, None]))


def local_edges(x: Nodes, k: Nearest, *, self_in_c: bool) -> Mask:
    """C of the graph of images; without the node's edge to itself where `self_in_c` is off."""
    c = nearest_nodes(x, k)
    if self_in_c:
        return c
    return c & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)


def pair_edges(f: Nodes, count: Nearest) -> Mask:
    """Which pairs (n, j) a pair (n, i) has edges from: j near i, the same for every anchor n, for
    |u_{n,i} - u_{n,j}| = |f_i - f_j| (Fig. 4; "full" in the text).
    """
    return nearest_nodes(f, count)
