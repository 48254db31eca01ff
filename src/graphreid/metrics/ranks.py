"""Ranks of each query's positives, counted on unsorted blocks of distances
(`kernels/rank_counts.py`), so that nothing of size (queries, gallery) is held.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from graphreid.metrics.protocol import Protocol
from graphreid.metrics.relevance import Relevance
from graphreid.ranking import cut_to_top
from graphreid.types import DistanceBlock


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the positives of each query stand in its ranking: what metrics are made of.

    Attributes:
        rank: int64 [p], 1-based ranks of the positives among the images that count, ascending for
            each query; then 0 for each positive that is not in the list (`Protocol.listed`).
        start: int64 [q + 1]: those of query i stand at start[i] .. start[i+1].
        identity: int64 [q], the queries' identities.
        protocol: which images counted.
    """

    rank: Int64[np.ndarray, " p"]
    start: Int64[np.ndarray, " starts"]
    identity: Int64[np.ndarray, " q"]
    protocol: Protocol

    @property
    def positives(self) -> Int64[np.ndarray, " q"]:
        """How many positives each query has."""
        return np.diff(self.start)

    @property
    def nth(self) -> Int64[np.ndarray, " p"]:
        """Which of its query's positives each is, from 1."""
        return np.arange(len(self.rank)) - np.repeat(self.start[:-1], self.positives) + 1

    @property
    def first(self) -> Int64[np.ndarray, " q"]:
        """The rank of each query's first positive, 0 without one (in the list)."""
        first = np.zeros(len(self.identity), np.int64)
        some = self.positives > 0
        first[some] = self.rank[self.start[:-1][some]]
        return first

    @property
    def last(self) -> Int64[np.ndarray, " q"]:
        """The rank of each query's last positive, 0 without one, or where it is not in the list."""
        last = np.zeros(len(self.identity), np.int64)
        some = self.positives > 0
        last[some] = self.rank[self.start[1:][some] - 1]
        return last

    def mean(self, values: Float64[np.ndarray, " p"]) -> Float64[np.ndarray, " q"]:
        """The mean over each query's positives of a value for each, NaN without a positive."""
        means = np.full(len(self.identity), np.nan)
        some = self.positives > 0
        sums = np.add.reduceat(values, self.start[:-1][some]) if some.any() else np.zeros(0)
        means[some] = sums / self.positives[some]
        return means


class RankCounter:
    """Counts the ranks of positives in blocks of distances as they come.

    Args:
        relevance: the positives of each query, and what does not count.

    Raises:
        ValueError: no query has a positive (the message says why, and what to do).
    """

    def __init__(self, relevance: Relevance) -> None:
        relevance.require_positives()
        self._relevance = relevance
        self._counted: list[tuple[int, NDArray[np.int64]]] = []

    def add(self, block: DistanceBlock) -> None:
        """Count a block.

        Raises:
            ValueError: a distance is NaN.
        """
        from graphreid.kernels import rank_counts as counting  # noqa: PLC0415  # the GPU path must import without numba

        only = self._relevance.protocol.listed
        if only is not None:
            block = cut_to_top(block, only)
        start, stop = block.start, block.start + len(block.distance)
        positives, starts = self._relevance.positives.of(start, stop)
        ranks, bad = counting.ranks(
            block.distance,
            positives,
            starts,
            *self._relevance.removed.of(start, stop),
            self._relevance.junk,
        )
        if bad.any():
            raise ValueError(
                f"the distances of query {start + int(bad.argmax())} hold NaN: they can't be ranked"
            )
        if only is not None:
            # ranks ascend, and what is at +inf comes last: rank 0 is what the list does not have
            query = np.repeat(np.arange(stop - start), np.diff(starts))
            found = np.bincount(
                query[block.distance[query, positives] < np.inf], minlength=stop - start
            )
            ranks[np.arange(len(ranks)) - starts[query] >= found[query]] = 0
        self._counted.append((start, ranks))

    def result(self) -> Ranks:
        """The ranks, once every query was counted.

        Raises:
            ValueError: distances of some queries are missing.
        """
        relevance = self._relevance
        ranks = np.concatenate(
            [np.zeros(0, np.int64), *(part for _, part in sorted(self._counted, key=_start))]
        )
        if len(ranks) != len(relevance.positives.column):
            raise ValueError("distances of some queries are missing: give a block for each of them")
        return Ranks(ranks, relevance.positives.start, relevance.query.identity, relevance.protocol)


def _start(counted: tuple[int, NDArray[np.int64]]) -> int:
    return counted[0]
