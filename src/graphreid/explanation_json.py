"""An explanation as JSON: one form for the command line, the HTTP interface and the report.

`types.Explanation` has gallery rows and arrays; here every image has its item, so that the reader
needs no gallery.
"""

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, Field

from graphreid.types import Explanation, Text


class ExplanationNode(BaseModel):
    """An image in a query's graph."""

    item: str
    rank_before: int = Field(description="rank in the gallery by the base distance, from 1")
    rank_after: int = Field(description="rank in the gallery by the method's distance, from 1")
    probability: float | None = Field(
        description="that it shows the query's identity, in [0, 1]; null where the method predicts "
        "no links"
    )
    query_weight: float | None = Field(
        description="weight of the edge from this image to the query; null where the query is no "
        "node of the graph"
    )


class ExplanationEdge(BaseModel):
    """A weighted edge: the target aggregates the source."""

    source: int = Field(description="index into nodes")
    target: int = Field(description="index into nodes")
    weight: float


class ExplanationGraph(BaseModel):
    """The graph that a method made of one query, with each image's rank before and after."""

    method: str = Field(description="the METHOD text")
    query: str = Field(description='the item; "query" for a vector or an image that has none')
    version: int | None = Field(
        description="of the gallery on disk that was searched; null for a gallery in memory"
    )
    nodes: list[ExplanationNode]
    edges: list[ExplanationEdge]

    def first(self, count: int) -> list[int]:
        """Indices of the `count` nodes that the method ranks first, in that order."""
        order = sorted(range(len(self.nodes)), key=lambda node: self.nodes[node].rank_after)
        return order[:count]

    def strongest_sources(self, target: int, count: int) -> list[ExplanationEdge]:
        """The heaviest edges to a node, heaviest first; not the edge from itself."""
        edges = [edge for edge in self.edges if edge.target == target != edge.source]
        return sorted(edges, key=lambda edge: -edge.weight)[:count]


def explanation_graph(
    explanation: Explanation,
    gallery_items: Text,
    *,
    method: str,
    query: str,
    version: int | None = None,
) -> ExplanationGraph:
    """An explanation by the images' items.

    Args:
        explanation: of one query.
        gallery_items: the item of each gallery row.
        method: the METHOD text.
        query: the query's item.
        version: of a gallery on disk.
    """
    return ExplanationGraph(
        method=method,
        query=query,
        version=version,
        nodes=[
            ExplanationNode(
                item=str(gallery_items[row]),
                rank_before=int(explanation.rank_before[node]),
                rank_after=int(explanation.rank_after[node]),
                probability=_entry(explanation.probability, node),
                query_weight=_entry(explanation.query_weights, node),
            )
            for node, row in enumerate(explanation.nodes.tolist())
        ],
        edges=[
            ExplanationEdge(source=source, target=target, weight=weight)
            for (source, target), weight in zip(
                explanation.edges.tolist(), explanation.weights.tolist(), strict=True
            )
        ],
    )


def _entry(values: Float32[np.ndarray, " n"] | None, index: int) -> float | None:
    return None if values is None else float(values[index])
