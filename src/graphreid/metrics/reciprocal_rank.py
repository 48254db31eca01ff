"""Reciprocal rank; its mean over queries is the MRR."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class ReciprocalRank:
    """1 / the rank of a query's first positive, in [0, 1]; 0 where none is in the list."""

    text: ClassVar[str] = "MRR"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's reciprocal rank, NaN without a positive."""
        first = ranks.first
        values = np.where(first > 0, 1 / np.maximum(first, 1), 0)
        return np.where(ranks.positives > 0, values, np.nan)
