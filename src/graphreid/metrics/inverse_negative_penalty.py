"""The inverse negative penalty; its mean over queries is the mINP."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class InverseNegativePenalty:
    """A query's number of positives / the rank of the last of them, in [0, 1] (Ye et al. 2021,
    "Deep Learning for Person Re-identification: A Survey and Outlook", Eq. 2); 0 where the last is
    not in the list.
    """

    text: ClassVar[str] = "mINP"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's inverse negative penalty, NaN without a positive."""
        positives = ranks.positives
        last = ranks.last
        values = np.where(last > 0, positives / np.maximum(last, 1), 0)
        return np.where(positives > 0, values, np.nan)
