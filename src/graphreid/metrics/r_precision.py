"""R-precision."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class RPrecision:
    """The share of positives among a query's first R images, where R is the number of its
    positives, in [0, 1] (Musgrave et al. 2020, "A Metric Learning Reality Check").
    """

    text: ClassVar[str] = "R-precision"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's R-precision, NaN without a positive."""
        r = np.repeat(ranks.positives, ranks.positives)  # [p], of each positive's query
        return ranks.mean(((ranks.rank > 0) & (ranks.rank <= r)).astype(np.float64))
