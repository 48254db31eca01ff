"""Calibration of link probabilities: their expected calibration error and Brier score."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int64

from graphreid.metrics.relevance import IGNORED, POSITIVE

BINS = 15


@dataclass(frozen=True, eq=False)
class Calibration:
    """How well link probabilities agree with what is right, over the pairs that were given a
    probability above 0.

    Pairs of probability 0 are those that a method did not score (beyond its candidates); there are
    so many of them, and so easy, that they would hide every error.

    Attributes:
        count: int64 [15], pairs in each of 15 bins of equal width over (0, 1].
        probability: float64 [15], the mean probability in each bin, NaN where it is empty.
        right: float64 [15], the share of right pairs in each bin, NaN where it is empty.
        brier: mean of (probability - right)^2, in [0, 1] (Brier 1950).
    """

    count: Int64[np.ndarray, " bins"]
    probability: Float64[np.ndarray, " bins"]
    right: Float64[np.ndarray, " bins"]
    brier: float

    @property
    def error(self) -> float:
        """Expected calibration error, the mean over pairs of their bin's |right - probability| (Guo
        et al. 2017, Eq. 3).
        """
        used = self.count > 0
        apart = np.abs(self.right[used] - self.probability[used])
        return float((apart * self.count[used]).sum() / self.count.sum())


class CalibrationBins:
    """Counts probabilities of pairs as they come, in bins."""

    def __init__(self) -> None:
        # pairs, the sum of their probabilities, and how many are right
        self._sums = np.zeros((3, BINS))
        self._squares = 0.0

    def add(self, probability: Float32[np.ndarray, "b g"], marks: Int8[np.ndarray, "b g"]) -> None:
        """Count the pairs that were given a probability above 0.

        Args:
            probability: in [0, 1].
            marks: POSITIVE, NEGATIVE or IGNORED (`Relevance.marks`).
        """
        given = (probability > 0) & (marks != IGNORED)
        value = probability[given].astype(np.float64)
        right = (marks[given] == POSITIVE).astype(np.float64)
        place = np.clip(np.ceil(value * BINS).astype(np.int64) - 1, 0, BINS - 1)
        weights = np.ones(len(value)), value, right
        self._sums += np.stack([np.bincount(place, weight, BINS) for weight in weights])
        self._squares += float(((value - right) ** 2).sum())

    def result(self) -> Calibration | None:
        """The calibration, None where no pair was counted."""
        count, probability, right = self._sums
        if not count.any():
            return None
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: an empty bin
            return Calibration(
                count.astype(np.int64),
                probability / count,
                right / count,
                float(self._squares / count.sum()),
            )
