"""The k largest entries of each row, chosen alike on every processor."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROUNDING = 1e-6
"""Cosines of float32 vectors may differ by so much between processors, and no more."""


def top_k(
    score: Float[Tensor, "b n m"], count: int, slack: Float[Tensor, "b n m"] | float
) -> Bool[Tensor, "b n m"]:
    """Which `count` entries of each row are largest; of equal ones the first.

    Args:
        score: at least `count` entries in a row.
        count: entries of a row.
        slack: scores that differ by no more than this are equal: what a processor's rounding may
            add to a score, so that all processors choose alike.
    """
    last = score.topk(count, dim=2, sorted=False).values.amin(2, keepdim=True)
    chosen = score >= last - slack
    many = chosen.sum(2, dtype=torch.int32) > count  # the few rows with equal scores at the end
    larger = (score > last + slack)[many]
    equal = chosen[many] & ~larger
    left = count - larger.sum(1, keepdim=True)
    chosen[many] = larger | (equal & (equal.cumsum(1) <= left))
    return chosen
