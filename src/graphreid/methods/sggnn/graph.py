"""SGGNN's graph of each query: its nearest gallery images, all joined with each other."""

import numpy as np
from jaxtyping import Int32

from graphreid.graphs.query_graphs import Candidates, nearest_sampler
from graphreid.methods.sggnn.options import Graph


def graph_nodes(candidates: Candidates, options: Graph) -> Int32[np.ndarray, "b n"]:
    """Gallery rows of the candidates' graphs, nearest first; -1 for padding.

    The paper samples gallery images at random in training (as Ji et al. 2021 describe it); here
    training has the nearest too. Edges need no list: the graph is complete (`model.py`, W).
    """
    return nearest_sampler(candidates.nearest, min(options.k, len(candidates.gallery_nearest)))
