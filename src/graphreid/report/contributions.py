"""What moved the most changed queries: the method's graph of each, and which gallery images it
listened to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphreid.gallery import Gallery
from graphreid.metrics.relevance import IGNORED, POSITIVE, Relevance
from graphreid.protocols import ONLINE, Explains, Explanation, Reranker
from graphreid.report.ranked_lists import Group
from graphreid.resources import Resources
from graphreid.types import Features

MOST, SHOWN, HEARD = 8, 6, 3
"""Graphs on a page, images of a graph, and images that each of these listens to, at most."""


@dataclass(frozen=True)
class Heard:
    """An image that another listens to: its gallery row, and how much."""

    row: int
    weight: float


@dataclass(frozen=True)
class Line:
    """An image of a query's graph.

    Attributes:
        row: its gallery row.
        mark: "right", "wrong" or "apart" (it does not count).
        before, after: its rank by the base distance and by the method's, among all images.
        probability: that it shows the query's identity, None where the method gives none.
        heard: how much the query hears it, None where the query is no node.
        hears: what it hears most, loudest first.
    """

    row: int
    mark: str
    before: int
    after: int
    probability: float | None
    heard: float | None
    hears: tuple[Heard, ...]


@dataclass(frozen=True)
class Message:
    """One query's graph by one method, the images that the method puts first: `kind` says why the
    query was chosen.
    """

    method: str
    kind: str
    query: int
    nodes: int
    edges: int
    lines: tuple[Line, ...]


def messages(
    sections: Sequence[tuple[str, str | None, tuple[Group, ...]]],
    methods: Mapping[str, Reranker],
    query: Features,
    gallery: Gallery,
    relevance: Relevance,
    *,
    resources: Resources,
) -> list[Message]:
    """The first query of the first two kinds of each section, for methods that explain and see one
    query at a time.

    A transductive method's graph of a query alone would be another than the one that its numbers
    are of.
    """
    made: list[Message] = []
    for name, _, groups in sections:
        method = methods.get(name)
        if not (isinstance(method, Explains) and method.setting == ONLINE):
            continue
        for group in groups[:2]:
            for case in group.cases[:1]:
                if len(made) < MOST:
                    told = method.explain(
                        query.take(np.array([case.query])), gallery, resources=resources
                    )
                    made.append(_message(name, group.kind, case.query, told, relevance))
    return made


def _message(
    method: str, kind: str, query: int, told: Explanation, relevance: Relevance
) -> Message:
    marks = relevance.marks(query, query + 1)[0]
    words = {POSITIVE: "right", IGNORED: "apart"}
    lines: list[Line] = []
    for place in np.argsort(told.after, kind="stable")[:SHOWN].tolist():
        mine = np.flatnonzero((told.edges[:, 0] == place) & (told.edges[:, 1] != place))
        loud = mine[np.argsort(-told.weights[mine], kind="stable")][:HEARD]
        row = int(told.nodes[place])
        lines.append(
            Line(
                row=row,
                mark=words.get(int(marks[row]), "wrong"),
                before=int(told.before[place]),
                after=int(told.after[place]),
                probability=None if told.probability is None else float(told.probability[place]),
                heard=None if told.heard is None else float(told.heard[place]),
                hears=tuple(
                    Heard(int(told.nodes[told.edges[edge, 1]]), float(told.weights[edge]))
                    for edge in loud.tolist()
                ),
            )
        )
    return Message(method, kind, query, len(told.nodes), len(told.edges), tuple(lines))


def rows(told: Sequence[Message]) -> list[int]:
    """The gallery rows that are shown."""
    return [
        row
        for each in told
        for line in each.lines
        for row in (line.row, *(heard.row for heard in line.hears))
    ]
