"""Shen et al. 2018 as the project decided it, with loops over pairs, in float64."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def pair(u: F64, v: F64, weights: dict[str, F64]) -> F64:
    """d = FC(BN((u - v)^2)) in evaluation mode."""
    root = np.sqrt(weights["norm.running_var"] + 1e-5)
    normed = ((u - v) ** 2 - weights["norm.running_mean"]) / root * weights[
        "norm.weight"
    ] + weights["norm.bias"]
    return weights["feature.weight"] @ normed + weights["feature.bias"]


def distances(
    query: F64, gallery: F64, weights: dict[str, F64], k: int, share: float, lam: float
) -> tuple[F64, F64]:
    """Of one query that is not in the gallery: distances and probabilities."""
    query, gallery = (
        query / np.linalg.norm(query),
        gallery / np.linalg.norm(gallery, axis=1, keepdims=True),
    )
    original = 1 - gallery @ query
    near = np.argsort(original, kind="stable")[:k]
    root = np.sqrt(len(query))
    p, g = root * query, root * gallery[near]
    n = len(near)

    def similarity(u: F64, v: F64) -> float:
        return float((weights["readout.weight"] @ pair(u, v, weights))[0])

    d = np.stack([pair(p, g[i], weights) for i in range(n)])
    t = np.maximum(d @ weights["message.0.weight"].T + weights["message.0.bias"], 0)
    t = np.maximum(t @ weights["message.2.weight"].T + weights["message.2.bias"], 0)
    mixed = np.empty_like(d)
    for i in range(n):
        w = np.array(
            [np.exp(similarity(g[i], g[j])) if j != i or n == 1 else 0.0 for j in range(n)]
        )
        mixed[i] = (1 - share) * d[i] + share * (w / w.sum()) @ t
    probability = np.zeros(len(gallery))
    probability[near] = 1 / (
        1 + np.exp(-(mixed @ weights["readout.weight"].T + weights["readout.bias"])[:, 0])
    )
    return original + lam * (1 - probability), probability
