"""What contributed to a changed ranking: a method's graph of the queries that it changed most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphreid.explanation_json import ExplanationGraph, explanation_graph
from graphreid.gallery import Gallery
from graphreid.metrics.relevance import IGNORED, POSITIVE, Relevance
from graphreid.protocols import ONLINE, Explains, Reranker
from graphreid.report.ranked_lists import QueryGroup
from graphreid.resources import Resources
from graphreid.types import Features

GRAPHS = 8
"""Graphs on a page, at most."""
NODES = 6
"""Images that are shown of a graph, at most."""
SOURCES = 3
"""Strongest sources that are shown of each image, at most."""


@dataclass(frozen=True)
class QueryGraph:
    """A method's graph of one query, as the page shows it.

    Attributes:
        query: the query's row.
        kind: why the query was chosen, such as "Most improved".
        graph: the method's graph.
        nodes: indices of the nodes that are shown, in the method's order.
        marks: "right", "wrong" or "ignored" (does not count) of each node that is shown.
    """

    query: int
    kind: str
    graph: ExplanationGraph
    nodes: tuple[int, ...]
    marks: tuple[str, ...]

    def items(self) -> list[str]:
        """The images that are shown."""
        sources = [
            edge.source
            for node in self.nodes
            for edge in self.graph.strongest_sources(node, SOURCES)
        ]
        return [self.graph.nodes[node].item for node in (*self.nodes, *sources)]


def query_graphs(
    sections: Sequence[tuple[str, str | None, tuple[QueryGroup, ...]]],
    methods: Mapping[str, Reranker],
    query: Features,
    gallery: Gallery,
    relevance: Relevance,
    *,
    resources: Resources,
) -> list[QueryGraph]:
    """Graphs of the first query of the first two groups of each section, GRAPHS at most.

    A method that makes no graph, or that is in its transductive setting, has none: its graph of a
    query alone would not be the one that its numbers come from.

    Args:
        sections: a method's name, the name of the one it is compared with, and groups of queries.
        methods: by name.
        query, gallery: what was evaluated.
        relevance: which pairs count, and which are right.
        resources: where and with how much.
    """
    chosen = [
        (name, method, group.kind, case.query)
        for name, _, groups in sections
        if isinstance(method := methods.get(name), Explains) and method.setting == ONLINE
        for group in groups[:2]
        for case in group.examples[:1]
    ]
    words = {POSITIVE: "right", IGNORED: "ignored"}
    made: list[QueryGraph] = []
    for name, method, kind, row in chosen[:GRAPHS]:
        single = query.take(np.array([row]))
        explanation = method.explain(single, gallery, resources=resources)
        graph = explanation_graph(
            explanation, gallery.features.items, method=name, query=str(single.items[0])
        )
        nodes = tuple(graph.first(NODES))
        marks = relevance.marks(row, row + 1)[0, explanation.nodes[list(nodes)]]
        shown = tuple(words.get(mark, "wrong") for mark in marks.tolist())
        made.append(QueryGraph(row, kind, graph, nodes, shown))
    return made
