"""MAP@R."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class MAPAtR:
    """Average precision over a query's first R images alone, where R is the number of its
    positives: the sum of the precision at each positive among them / R, in [0, 1] (Musgrave et al.
    2020, "A Metric Learning Reality Check").
    """

    text: ClassVar[str] = "MAP@R"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's MAP@R, NaN without a positive."""
        r = np.repeat(ranks.positives, ranks.positives)  # [p], of each positive's query
        among = (ranks.rank > 0) & (ranks.rank <= r)
        return ranks.mean(np.divide(ranks.nth, ranks.rank, out=np.zeros(len(r)), where=among))
