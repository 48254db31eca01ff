"""What B sees of A in A+B, with all distances held, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def reranked(
    given: F64, base: F64, keep: int, tail: float, least: float, *, floor: bool = True
) -> F64:
    """given, base: (N, N), an anchor a row; the diagonal counts for nothing -> (N, N) with zeros on
    it.
    """
    out = base + tail - least
    for i, row in enumerate(given):
        others = [j for j in np.argsort(row, kind="stable") if j != i][:keep]
        kept = np.maximum(row[others] - least, 0)
        if floor:
            out[i] = np.maximum(out[i], kept.max())  # what was not kept came after what was
        out[i, others] = kept
    np.fill_diagonal(out, 0)
    return out
