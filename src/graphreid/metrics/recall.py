"""Recall@k as metric learning has it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float64

from graphreid.metrics.cmc import CMC
from graphreid.metrics.ranks import Ranks


@dataclass(frozen=True)
class Recall:
    """Whether a query has a positive among its first k images: the Recall@k of metric learning
    (Oh Song et al. 2016, "Deep Metric Learning via Lifted Structured Feature Embedding"), the same
    number as rank-k. It is not the share of the positives that were found.

    Attributes:
        k: how many images are looked at, from 1.

    Raises:
        ValueError: k is less than 1.
    """

    k: int = 1

    text: ClassVar[str] = "recall@{k}"
    cut: ClassVar[bool] = False
    average: ClassVar[Literal["queries", "identities"]] = "queries"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}: at least one image must be looked at")

    def values(self, ranks: Ranks) -> Float64[np.ndarray, " q"]:
        """1 or 0 for each query, NaN without a positive, or where rankings are shorter than k."""
        return CMC(self.k).values(ranks)
