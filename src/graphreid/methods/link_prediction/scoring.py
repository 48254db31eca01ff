"""Scoring by link predictors: from the logits of a query's graph to distances and explanations.

A link predictor gives each gallery image in a query's graph the probability that it shows the
query's identity. The distance is d = d_o + lam (1 - probability), d_o that of the embeddings
(CAGCN, Eq. 5; EC-GCN, Eq. 13).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32
from torch import nn

from graphreid.gallery import RetrievalSet
from graphreid.graphs.explanation import build_explanation, edges_of_matrix, single_query
from graphreid.resources import slices
from graphreid.types import DistanceBlock, Explanation

N = TypeVar("N", bound=nn.Module)

GRAPHS = 32
"""Graphs that go through a network together: more do not fit a processor's caches."""
UNCALIBRATED = (1.0, 0.0)
"""Slope and offset that leave a network's logits as they are."""


class ScoredGraphs(NamedTuple):
    """The graphs of b queries with what a network gives their nodes.

    Attributes:
        nodes: gallery rows, -1 for padding.
        logits: of a link; -inf for a node that the method does not score.
        adjacency: entry (i, j): the weight with which node i aggregates from node j. For an
            explanation m = n; otherwise a method may leave it out, m = 0.
    """

    nodes: Int32[np.ndarray, "b n"]
    logits: Float32[np.ndarray, "b n"]
    adjacency: Float32[np.ndarray, "b m m"]


@runtime_checkable
class Scorer(Protocol):
    """A network with the queries and the gallery that it scores.

    Attributes:
        retrieval_set: queries and gallery.
    """

    retrieval_set: RetrievalSet

    @property
    def graph_bytes(self) -> int:
        """Memory that one query's graph takes."""
        ...

    def score(self, queries: slice) -> ScoredGraphs:
        """The graphs of some of the queries."""
        ...


def link_probability(
    logits: Float32[np.ndarray, "b n"], calibration: Sequence[float]
) -> Float32[np.ndarray, "b n"]:
    """sigmoid(slope logit + offset), in [0, 1]; a logit of -inf gives exactly 0.

    Args:
        logits: of a network.
        calibration: slope and offset; (1, 0) leaves the network's own probability.
    """
    slope, offset = calibration
    scored = np.where(np.isneginf(logits), np.float32(0), logits)
    probability = 1 / (1 + np.exp(-np.clip(slope * scored + offset, -60, 60)))
    return np.where(np.isneginf(logits), 0, probability).astype(np.float32)


def distance_blocks(
    scorer: Scorer, lam: float, calibration: Sequence[float], name: str
) -> Iterator[DistanceBlock]:
    """Distances and link probabilities of all queries, in blocks.

    Args:
        scorer: with the queries.
        lam: weight of 1 - probability.
        calibration: slope and offset of the logits.
        name: of the method, for progress and messages.
    """
    retrieval_set = scorer.retrieval_set
    row_bytes = len(retrieval_set.gallery) * 4 + scorer.graph_bytes
    for start, stop in retrieval_set.blocks(row_bytes, what=f"{name} graphs"):
        parts = [scorer.score(part) for part in slices(start, stop, GRAPHS)]
        nodes = np.concatenate([part.nodes for part in parts])
        logits = np.concatenate([part.logits for part in parts])
        probability = link_probability(logits, calibration)
        yield fused_distances(retrieval_set, start, nodes, probability, lam)


def fused_distances(
    retrieval_set: RetrievalSet,
    start: int,
    nodes: Int32[np.ndarray, "b n"],
    probability: Float32[np.ndarray, "b n"],
    lam: float,
) -> DistanceBlock:
    """d_o + lam (1 - probability) of the queries from `start` on.

    An image outside the graph has probability 0: its distance is d_o + lam, in the order of d_o.
    """
    distance = base_distances(retrieval_set, start, start + len(nodes))
    of_gallery = np.zeros_like(distance)
    row, column = np.nonzero(nodes >= 0)
    of_gallery[row, nodes[row, column]] = probability[row, column]
    distance += np.float32(lam) * (1 - of_gallery)
    return retrieval_set.distance_block(start, distance, of_gallery)


def base_distances(
    retrieval_set: RetrievalSet, start: int, stop: int
) -> Float32[np.ndarray, "b g"]:
    """d_o of the queries start .. stop-1, on a scale that lam fits.

    With the cosine metric d_o is 1 - cosine as it is, and distances of different queries compare.
    A Euclidean distance has no scale of its own: each query's are mapped to [0, 1] over the
    gallery (ours: the papers print no scale). Those compare within a query alone; between queries
    the probability does.
    """
    distance = retrieval_set.block(start, stop)
    if retrieval_set.metric == "cosine":
        return distance
    own = retrieval_set.own[start:stop]
    rows = np.flatnonzero(own >= 0)
    itself = rows, own[rows]  # not part of the range
    distance[itself] = np.inf
    smallest = distance.min(axis=1, keepdims=True)
    distance[itself] = -np.inf
    span = distance.max(axis=1, keepdims=True) - smallest
    distance[itself] = 0
    usable = np.isfinite(span) & (span > 0)
    distance -= np.where(usable, smallest, 0)
    distance *= np.where(usable, 1 / np.where(usable, span, 1), 0).astype(np.float32)
    return distance


def explain_links(scorer: Scorer, lam: float, calibration: Sequence[float]) -> Explanation:
    """The graph of the scorer's only query, from the same forward pass as its distances.

    Raises:
        ValueError: there is not exactly one query.
    """
    retrieval_set = single_query(scorer.retrieval_set)
    nodes, logits, adjacency = scorer.score(slice(0, 1))
    probability = link_probability(logits, calibration)
    block = fused_distances(retrieval_set, 0, nodes, probability, lam)
    real = nodes[0] >= 0
    edges = edges_of_matrix(adjacency[0][np.ix_(real, real)])
    return build_explanation(retrieval_set, block, nodes[0, real], edges)
