"""Distances of listed candidates, for the sources that have them by pairs."""

import numpy as np
from jaxtyping import Float32, Int32, Int64

from graphreid.gallery import Side
from graphreid.protocols import DistanceSource


def by_pairs(
    source: DistanceSource,
    rows: Int64[np.ndarray, " b"],
    lists: Int32[np.ndarray, "b r"],
    *,
    side: Side,
) -> Float32[np.ndarray, "b r"]:
    """Distances of each row to the images in its list; +inf where -1."""
    left = np.repeat(rows.astype(np.int32), lists.shape[1])
    right = np.maximum(lists, 0).reshape(-1)
    distance = source.pairs(left, right, side=side).reshape(lists.shape)
    return np.where(lists < 0, np.float32(np.inf), distance)
