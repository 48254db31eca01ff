"""Ranked lists of example queries: which queries the report shows, and the first images that each
method found for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from graphreid.metrics.relevance import IGNORED, POSITIVE, Relevance
from graphreid.metrics.report import Report
from graphreid.seeding import generator
from graphreid.types import JUNK

Mark = Literal["right", "wrong", "same camera", "junk"]

LISTED = 10
"""Images that count, in each list."""
MAX_ENTRIES = 14
"""Images of a list, with those that do not count."""
MAX_QUERIES = 48
"""Queries on a page."""
GROUP_SIZE = 6
"""Queries of a group, at most."""


@dataclass(frozen=True)
class ListEntry:
    """An image in a ranked list.

    Attributes:
        row: its gallery row.
        mark: "right", "wrong", or why it does not count: "same camera" (of the query's own identity
            and camera) or "junk".
        rank: its rank among the images that count, from 1; None where it does not count.
    """

    row: int
    mark: Mark
    rank: int | None


@dataclass(frozen=True)
class RankedList:
    """The first images that one method found for a query.

    Attributes:
        method: its name.
        ap: the query's average precision.
        first_rank: rank of the first right image among those that count, from 1; 0 where there is
            none.
        entries: the images, nearest first.
    """

    method: str
    ap: float
    first_rank: int
    entries: tuple[ListEntry, ...]


@dataclass(frozen=True)
class ExampleQuery:
    """A query with its ranked list by each method.

    Attributes:
        query: its row.
        positives: how many right images it has.
        lists: one a method.
    """

    query: int
    positives: int
    lists: tuple[RankedList, ...]


@dataclass(frozen=True)
class QueryGroup:
    """Example queries of one kind.

    Attributes:
        kind: such as "Most improved".
        chosen: how the queries were chosen.
        examples: none where no query is of that kind.
    """

    kind: str
    chosen: str
    examples: tuple[ExampleQuery, ...]


def query_groups(
    before: Report, after: Report | None, relevance: Relevance, *, others: int = 1, seed: int = 0
) -> tuple[QueryGroup, ...]:
    """Example queries of one method, or of a method compared with the first.

    Args:
        before: the first method's report, with `order`.
        after: the other method's, with `order`; None to show the first alone.
        relevance: the positives of each query, and what does not count.
        others: how many methods are compared with the first on the page; they share MAX_QUERIES.
        seed: of the random queries.

    Returns:
        Most improved, most harmed, hardest, random; each query is in one group at most.
    """
    count = max(1, min(GROUP_SIZE, MAX_QUERIES // (4 * others)))
    last = before if after is None else after
    compared = [before] if after is None else [before, after]
    made: list[QueryGroup] = []
    taken: set[int] = set()
    for kind, chosen, ranked in _kinds(before, after, last, seed):
        rows = [row for row in ranked.tolist() if row not in taken][:count]
        taken.update(rows)
        examples = tuple(
            ExampleQuery(
                row,
                int(last.positives[row]),
                tuple(_ranked_list(each, row, relevance) for each in compared),
            )
            for row in rows
        )
        made.append(QueryGroup(kind, chosen, examples))
    return tuple(made)


def _kinds(
    before: Report, after: Report | None, last: Report, seed: int
) -> Sequence[tuple[str, str, Int64[np.ndarray, " rows"]]]:
    """(Kind, how it is chosen, the queries of that kind, first choice first)."""
    valid = np.flatnonzero(last.evaluated)
    hardest = valid[np.argsort(last.ap[valid], kind="stable")]
    drawn = generator(seed).permutation(valid)
    kinds = [
        ("Hardest", f"lowest average precision with {last.method}", hardest),
        ("Random", f"drawn with seed {seed}", drawn),
    ]
    if after is None:
        return kinds
    gain = np.zeros(len(last.ap))
    gain[valid] = after.ap[valid] - before.ap[valid]
    best = np.argsort(-gain, kind="stable")
    worst = np.argsort(gain, kind="stable")
    return [
        ("Most improved", "largest gain in average precision", best[gain[best] > 0]),
        ("Most harmed", "largest loss in average precision", worst[gain[worst] < 0]),
        *kinds,
    ]


def _ranked_list(report: Report, query: int, relevance: Relevance) -> RankedList:
    marks = relevance.marks(query, query + 1)[0]
    entries: list[ListEntry] = []
    rank = 0
    order = [] if report.order is None else report.order[query].tolist()
    for row in order:
        if row < 0 or rank >= LISTED or len(entries) >= MAX_ENTRIES:
            break
        if marks[row] == IGNORED:
            mark: Mark = "junk" if relevance.gallery.role[row] == JUNK else "same camera"
            entries.append(ListEntry(row, mark, None))
            continue
        rank += 1
        entries.append(ListEntry(row, "right" if marks[row] == POSITIVE else "wrong", rank))
    return RankedList(
        report.method, float(report.ap[query]), int(report.first_rank[query]), tuple(entries)
    )
