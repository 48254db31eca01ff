"""Ranked lists before and after: which queries to show, and what stands at the head of each of
their lists.
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

SHOWN = 10
"""Images that count, in each list."""
LONGEST = 14
"""Images in a list with those that do not count."""
CASES = 48
"""Queries on a page."""
MOST = 6
"""Queries of a kind."""


@dataclass(frozen=True)
class Entry:
    """An image in a list.

    Attributes:
        row: its gallery row.
        mark: "right", "wrong", or why it does not count ("same camera": of the query's own camera
            and identity).
        rank: its 1-based rank among the images that count, None where it does not.
    """

    row: int
    mark: Mark
    rank: int | None


@dataclass(frozen=True)
class Listing:
    """The head of one method's list: its average precision, the rank of its first right image, and
    its images.
    """

    method: str
    ap: float
    first_rank: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Case:
    """A query (its row), how many right images it has, and its list by each method."""

    query: int
    positives: int
    listings: tuple[Listing, ...]


@dataclass(frozen=True)
class Group:
    """Queries of a kind: its name, how they were chosen, and the cases (none where no query is of
    the kind).
    """

    kind: str
    chosen: str
    cases: tuple[Case, ...]


def groups(
    before: Report, after: Report | None, relevance: Relevance, *, others: int = 1, seed: int = 0
) -> tuple[Group, ...]:
    """Queries to show of one method, or of a method against the first.

    Args:
        before: the first method's report, with `order`.
        after: the other method's, with `order`; None to show the first alone.
        relevance: the positives of each query, and what does not count.
        others: how many methods are shown against the first on the page, which share CASES among
            them.
        seed: of the random queries.

    Returns:
        The groups, each query in one of them at most: most improved, most harmed, hardest, random.
    """
    count = max(1, min(MOST, CASES // (4 * others)))
    last = before if after is None else after
    compared = [before] if after is None else [before, after]
    made: list[Group] = []
    taken: set[int] = set()
    for kind, chosen, ranked in _kinds(before, after, last, seed):
        rows = [row for row in ranked.tolist() if row not in taken][:count]
        taken.update(rows)
        cases = tuple(
            Case(
                row,
                int(last.positives[row]),
                tuple(_listing(each, row, relevance) for each in compared),
            )
            for row in rows
        )
        made.append(Group(kind, chosen, cases))
    return tuple(made)


def _kinds(
    before: Report, after: Report | None, last: Report, seed: int
) -> Sequence[tuple[str, str, Int64[np.ndarray, " rows"]]]:
    """Kind, how it is chosen, and the queries of that kind, first choice first."""
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


def _listing(report: Report, query: int, relevance: Relevance) -> Listing:
    marks = relevance.marks(query, query + 1)[0]
    entries: list[Entry] = []
    rank = 0
    order = [] if report.order is None else report.order[query].tolist()
    for row in order:
        if row < 0 or rank >= SHOWN or len(entries) >= LONGEST:
            break
        if marks[row] == IGNORED:
            mark: Mark = "junk" if relevance.gallery.role[row] == JUNK else "same camera"
            entries.append(Entry(row, mark, None))
            continue
        rank += 1
        entries.append(Entry(row, "right" if marks[row] == POSITIVE else "wrong", rank))
    return Listing(
        report.method, float(report.ap[query]), int(report.first_rank[query]), tuple(entries)
    )
