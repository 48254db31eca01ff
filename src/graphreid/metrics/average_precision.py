"""Average precision; its mean over queries is the mAP."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class AveragePrecision:
    """The mean over a query's positives of the precision at each, in [0, 1] (Zheng et al. 2015);
    0 for a positive that is not in the list.
    """

    text: ClassVar[str] = "mAP"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's average precision, NaN without a positive."""
        found = ranks.rank > 0
        nth = ranks.nth
        precision = np.divide(nth, ranks.rank, out=np.zeros(len(nth)), where=found)  # [p]
        if ranks.protocol.ap == "trapezoid":
            # precision just before the positive; 1 where nothing comes before it
            before = np.where(ranks.rank > 1, (nth - 1) / np.maximum(ranks.rank - 1, 1), 1)
            precision = found * (precision + before) / 2
        return ranks.mean(precision)
