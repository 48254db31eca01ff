"""Bootstrap intervals over identities: one for means, paired differences and shares of an error."""

import numpy as np
from jaxtyping import Float64, Int64

from graphreid.seeding import generator

RESAMPLES = 2000

Interval = tuple[float, float]


def ratio_interval(
    numerator: Float64[np.ndarray, " q"],
    denominator: Float64[np.ndarray, " q"],
    identity: Int64[np.ndarray, " q"],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of sum(numerator) / sum(denominator): identities are drawn with
    replacement, each with all its queries (queries of one identity are not independent).

    Args:
        numerator: a query's part, such as its value times its weight.
        denominator: likewise, such as its weight; its sum is not negative in any resample.
        identity: the queries' identities.
        level: the share of resamples within the interval.
        seed: of the resamples. The same identities and the same seed give the same resamples.
    """
    _, group = np.unique(identity, return_inverse=True)
    total = np.bincount(group, numerator)
    count = np.bincount(group, denominator)
    draws = (
        generator(seed)
        .multinomial(len(total), np.full(len(total), 1 / len(total)), RESAMPLES)
        .astype(np.float64)
    )  # [resamples, identities], how often each is drawn
    ratios = (draws @ total) / np.maximum(draws @ count, np.finfo(np.float64).tiny)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
