"""Average precision with a mean over identities: the macro mAP."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class MacroAveragePrecision:
    """Average precision, of which each identity's queries give one mean, and these means the macro
    mAP: an identity with many queries counts no more than one with few.
    """

    text: ClassVar[str] = "macro-mAP"
    cut: ClassVar[bool] = True
    average: ClassVar[Literal["queries", "identities"]] = "identities"

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """Each query's average precision, NaN without a positive."""
        return AveragePrecision().values(ranks)
