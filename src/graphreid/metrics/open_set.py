"""Open-set evaluation: one threshold for all queries, what it lets through and what it turns away.

Pairs are counted in fine bins of their score as blocks of distances come, so nothing of size
(queries, gallery) is held. A bin is the first 20 bits of a float32, finer than 0.05 % of the value;
thresholds stand at edges of bins, where counts are exact.
The score of a pair is what thresholds are set on: 1 - link probability where a method gives one,
else its distance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt32

from graphreid.metrics.calibration import Calibration, CalibrationBins
from graphreid.metrics.relevance import IGNORED, NEGATIVE, POSITIVE, Relevance
from graphreid.types import JUNK, DistanceBlock

BITS = 20
BINS = 1 << BITS
_LOW = 32 - BITS
_SIGN = np.uint32(1 << 31)
_CHUNK = 1 << 19
"""Pairs looked at in one go: some 20 MB."""

Unknowns = Literal["given", "removed"]


@dataclass(frozen=True)
class Point:
    """A threshold and what it does.

    Attributes:
        threshold: pairs whose score is at most this are taken for one identity; a score is a
            distance, or 1 - probability.
        false: share of what should be turned away and is let through, in [0, 1]: FMR over wrong
            pairs, or FPIR over searches.
        true: share of what should be found and is, in [0, 1]: 1 - FNMR over right pairs, or DIR
            over searches.
    """

    threshold: float
    false: float
    true: float


@dataclass(frozen=True, eq=False)
class Separation:
    """Scores of right and of wrong pairs, and of each query's first image.

    Attributes:
        score: what is thresholded, "distance" or "1 - link probability".
        comparable: whether the scores of different queries may be compared with one threshold.
        right, wrong: int64 [2^20], right and wrong pairs in each bin.
        first: float32 [q], the score of the nearest image that counts, +inf where there is none.
        first_right: bool [q], whether it is right.
        nearest_wrong: float32 [q], the score of the nearest wrong image, +inf where there is none.
        mated: bool [q], queries with a right image.
        unknown: bool [q], queries whose identity is not in the gallery.
        calibration: of the link probabilities, None where a method gives none.
    """

    score: str
    comparable: bool
    right: Int64[np.ndarray, " bins"]
    wrong: Int64[np.ndarray, " bins"]
    first: Float32[np.ndarray, " q"]
    first_right: Bool[np.ndarray, " q"]
    nearest_wrong: Float32[np.ndarray, " q"]
    mated: Bool[np.ndarray, " q"]
    unknown: Bool[np.ndarray, " q"]
    calibration: Calibration | None

    def at_fmr(self, rate: float) -> Point:
        """The largest threshold (a bin's edge) at which at most a share `rate` of the wrong pairs
        passes.

        Raises:
            ValueError: scores can't be compared between queries, or there are too few wrong pairs
                to see that rate.
        """
        self._comparable()
        total = int(self.wrong.sum())
        allowed = _allowed(rate, total, "false-match rate", "wrong pairs")
        passed = np.cumsum(self.wrong)
        last = int(np.searchsorted(passed, allowed, "right")) - 1
        kept = int(self.right[: last + 1].sum()) / max(int(self.right.sum()), 1)
        return Point(_upper(last), int(passed[last]) / total, kept)

    def roc(
        self,
    ) -> tuple[Float64[np.ndarray, " t"], Float64[np.ndarray, " t"], Float64[np.ndarray, " t"]]:
        """Thresholds, false-match rates and false non-match rates at the edge of each bin that
        holds a pair, ascending.

        Raises:
            ValueError: scores can't be compared between queries.
        """
        self._comparable()
        used = np.flatnonzero(self.right + self.wrong)
        false = np.cumsum(self.wrong[used]) / max(int(self.wrong.sum()), 1)
        missed = 1 - np.cumsum(self.right[used]) / max(int(self.right.sum()), 1)
        return np.array([_upper(bin_) for bin_ in used.tolist()]), false, missed

    def equal_error(self) -> float:
        """The rate at which as many wrong pairs pass as right ones fail, in [0, 1]: their mean
        where they come closest.

        Raises:
            ValueError: scores can't be compared between queries.
        """
        _, false, missed = self.roc()
        place = int(np.abs(false - missed).argmin())
        return float((false[place] + missed[place]) / 2)

    def at_fpir(self, rate: float, *, unknowns: Unknowns = "given") -> Point:
        """Detection and identification rate (rank 1) at a false positive identification rate
        (ISO/IEC 19795-1).

        The threshold is the largest at which the first image of at most a share `rate` of the
        unknown queries passes; a known query is identified if its first image is right and passes.

        Args:
            rate: the false positive identification rate, in (0, 1).
            unknowns: "given" takes the queries whose identity is not in the gallery. "removed"
                takes every known query a second time with its right images hidden, for sets without
                unknown queries: it hides them from the ranking only, so that a graph method still
                    profits from their being there.

        Raises:
            ValueError: scores can't be compared between queries, or there are too few unknown or no
                known queries.
        """
        self._comparable()
        if not self.mated.any():
            raise ValueError("no query has a right image: there is nobody to identify")
        given = unknowns == "given"
        alarms = np.sort(self.first[self.unknown] if given else self.nearest_wrong[self.mated])
        if given and not len(alarms):
            raise ValueError(
                "every query's identity is in the gallery: add queries that are not, or use "
                "unknowns='removed'"
            )
        allowed = _allowed(
            rate, len(alarms), "false positive identification rate", "unknown queries"
        )
        threshold = np.nextafter(alarms[allowed], np.float32(-np.inf))
        found = (self.first_right & (self.first <= threshold))[self.mated]
        return Point(float(threshold), float(np.mean(alarms <= threshold)), float(found.mean()))

    def histogram(
        self, bins: int
    ) -> tuple[Float64[np.ndarray, " edges"], Float64[np.ndarray, " b"], Float64[np.ndarray, " b"]]:
        """Edges [bins + 1] over the finite scores, and the shares of right and of wrong pairs in
        each.
        """
        used = np.flatnonzero(self.right + self.wrong)
        value = np.array([_upper(bin_) for bin_ in used.tolist()])
        finite = np.isfinite(value)
        used = used[finite]
        value = value[finite]
        low = float(value.min())
        high = float(value.max())
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        shares = [
            np.histogram(value, edges, weights=each[used])[0] / max(int(each.sum()), 1)
            for each in (self.right, self.wrong)
        ]
        return edges, shares[0], shares[1]

    def _comparable(self) -> None:
        if not self.comparable:
            raise ValueError(
                "this method neither gives a link probability nor declares its distances "
                "comparable between queries: "
                "one threshold for all queries has no meaning"
            )


class ScoreHistograms:
    """Counts the scores of right and of wrong pairs in blocks of distances as they come, in memory
    that does not depend on how many pairs there are.

    Args:
        relevance: the positives of each query, and what does not count.
        comparable: whether the method declares its distances comparable between queries; a link
            probability always is.
        score: what a distance is called.
    """

    def __init__(self, relevance: Relevance, *, comparable: bool, score: str = "distance") -> None:
        q = len(relevance.query)
        self._relevance = relevance
        self._comparable = comparable
        self._score = score
        self._right = np.zeros(BINS, np.int64)
        self._wrong = np.zeros(BINS, np.int64)
        self._first = np.full(q, np.inf, np.float32)
        self._nearest_wrong = np.full(q, np.inf, np.float32)
        self._first_right = np.zeros(q, bool)
        self._mated = np.zeros(q, bool)
        self._junk = relevance.query.role == JUNK
        self._calibration = CalibrationBins()
        self._probabilities = False

    def add(self, block: DistanceBlock) -> None:
        """Count a block.

        Raises:
            ValueError: a distance is NaN.
        """
        rows = max(1, _CHUNK // block.distance.shape[1])
        for begin in range(0, len(block.distance), rows):
            part = slice(begin, begin + rows)
            self._add(
                block.start + begin,
                block.distance[part],
                None if block.probability is None else block.probability[part],
            )

    def result(self) -> Separation:
        """What was counted, once every query was."""
        return Separation(
            score="1 - link probability" if self._probabilities else self._score,
            comparable=self._comparable or self._probabilities,
            right=self._right,
            wrong=self._wrong,
            first=self._first,
            first_right=self._first_right,
            nearest_wrong=self._nearest_wrong,
            mated=self._mated,
            unknown=self._relevance.unknown(),
            calibration=self._calibration.result(),
        )

    def _add(
        self,
        start: int,
        distance: Float32[np.ndarray, "b g"],
        probability: Float32[np.ndarray, "b g"] | None,
    ) -> None:
        stop = start + len(distance)
        if np.isnan(distance).any():
            row = int(np.isnan(distance).any(axis=1).argmax())
            raise ValueError(f"the distances of query {start + row} hold NaN: they can't be ranked")
        mark = self._relevance.marks(start, stop)
        mark[self._junk[start:stop]] = IGNORED
        score = distance if probability is None else 1 - probability
        bins = _bins(score)
        right = mark == POSITIVE
        self._right += np.bincount(bins[right], minlength=BINS)
        self._wrong += np.bincount(bins[mark == NEGATIVE], minlength=BINS)
        first, self._first[start:stop] = _nearest(distance, score, mark != IGNORED)
        self._first_right[start:stop] = right[np.arange(len(right)), first]
        _, self._nearest_wrong[start:stop] = _nearest(distance, score, mark == NEGATIVE)
        self._mated[start:stop] = right.any(axis=1)
        if probability is not None:
            self._probabilities = True
            self._calibration.add(probability, mark)


def _nearest(
    distance: Float32[np.ndarray, "b g"],
    score: Float32[np.ndarray, "b g"],
    allowed: Bool[np.ndarray, "b g"],
) -> tuple[Int64[np.ndarray, " b"], Float32[np.ndarray, " b"]]:
    """Of each row the column of the smallest distance that is allowed, and its score: +inf where
    none is.
    """
    column = np.where(allowed, distance, np.float32(np.inf)).argmin(axis=1)
    rows = np.arange(len(distance))
    return column, np.where(allowed[rows, column], score[rows, column], np.float32(np.inf))


def _bins(score: Float32[np.ndarray, "b g"]) -> UInt32[np.ndarray, "b g"]:
    """Bits of a float32, turned so that they ascend with its value, without the last 12."""
    bits = (score + np.float32(0)).view(np.uint32)  # + 0: -0.0 is 0.0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN) >> np.uint32(_LOW)


def _upper(bin_: int) -> float:
    """The largest float32 of a bin; +inf where that is beyond the finite ones."""
    ordered = np.uint32(((bin_ + 1) << _LOW) - 1)
    bits = ordered ^ _SIGN if ordered & _SIGN else ~ordered
    value = float(np.asarray(bits, np.uint32).view(np.float32))
    return np.inf if np.isnan(value) else value


def _allowed(rate: float, total: int, what: str, of: str) -> int:
    if not 0 < rate < 1:
        raise ValueError(f"{what} is {rate}: it must be between 0 and 1")
    allowed = int(rate * total + 1e-9)
    if allowed < 1:
        raise ValueError(
            f"a {what} of {rate:g} can't be seen in {total} {of}: there must be "
            f"{int(np.ceil(1 / rate - 1e-9))}"
        )
    return allowed
