"""The cumulative matching characteristic: rank-1, rank-5 and so on."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64, Int64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class CMC:
    """Whether a query has a positive among its first k images; the mean is rank-k accuracy.

    Attributes:
        k: the rank, from 1.

    Raises:
        ValueError: k is less than 1.
    """

    k: int = 1

    text: ClassVar[str] = "rank-{k}"
    cut: ClassVar[bool] = False
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}: ranks start at 1")

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """1 or 0 for each query, NaN without a positive, or where rankings are shorter than k."""
        listed = ranks.protocol.listed
        if listed is not None and self.k > listed:
            return np.full(len(ranks.identity), np.nan)
        return self.of_first(ranks.first, ranks.positives)

    def of_first(
        self, first: Int64[np.ndarray, " q"], positives: Int64[np.ndarray, " q"]
    ) -> Float64[np.ndarray, " q"]:
        """The same from the ranks of the first positives (0 for none) and the number of them."""
        return np.where(positives > 0, (first > 0) & (first <= self.k), np.nan)
