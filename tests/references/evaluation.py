"""The evaluation protocol, one query at a time, by sorting."""

import numpy as np
from numpy.typing import NDArray


def average_precision(right: NDArray[np.bool_], trapezoid: bool) -> float:
    """right: the images that count, in ranked order."""
    total, found = 0.0, 0
    for place, hit in enumerate(right, start=1):
        if hit:
            found += 1
            now = found / place
            before = (found - 1) / (place - 1) if place > 1 else 1.0
            total += (now + before) / 2 if trapezoid else now
    return total / found


def query(
    distance: NDArray[np.float64],
    identity: int,
    camera: int | None,
    identities: NDArray[np.int64],
    cameras: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which of the images that count are right, in ranked order; identity -1 is junk."""
    order = np.argsort(distance, kind="stable")
    counts = identities[order] != -1
    if camera is not None:
        counts &= ~((identities[order] == identity) & (cameras[order] == camera))
    return (identities[order] == identity)[counts]
