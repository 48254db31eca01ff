"""Conneau et al., ICLR 2018, Eq. 3, on distances, one pair at a time, float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def online(distance: F64, k: int) -> F64:
    """distance: (1 + G, 1 + G), the query first -> (G,)."""
    query, own = distance[0, 1:], distance[1:, 1:]
    mean_query = np.mean(np.sort(query)[:k])
    out = np.empty(len(query))
    for image in range(len(query)):
        others = np.sort(np.delete(own[image], image))[:k]
        out[image] = 2 * query[image] - mean_query - np.mean(others)
    return out
