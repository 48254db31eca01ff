"""EC-GCN statement by statement, in float64 and with loops, nothing shared between graphs; indices
are gallery rows.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def nearest(distance: F64, k: int, without: tuple[int, ...] = ()) -> list[int]:
    """R(x, k) from a row of distances to the gallery."""
    return [int(row) for row in np.argsort(distance, kind="stable") if row not in without][:k]


def drawing_probability(positive: list[bool]) -> F64:
    """P_j of Eq. 9."""
    right, wrong = sum(positive), len(positive) - sum(positive)
    return np.array([0.5 / right if each else 0.5 / wrong for each in positive])


def sampled(to_query: F64, among: F64, k1: int, k2: int) -> list[int]:
    """Eq. 8: R(p, k1), then R(g_i, k2) of each in turn less what is in already, k1 k2 at most."""
    nodes = nearest(to_query, k1)
    for image in list(nodes):
        nodes += [other for other in nearest(among[image], k2, (image,)) if other not in nodes]
    return nodes[: k1 * k2]


def adjacency(nodes: list[int], among: F64, e: int, loops: bool) -> F64:
    """Eq. 10, with rows that sum to 1."""
    n = len(nodes)
    a = np.zeros((n, n))
    for i, node in enumerate(nodes):
        near = nearest(among[node], e, (node,))
        for j, other in enumerate(nodes):
            a[i, j] = float(other in near)
        if loops or not a[i].any():
            a[i, i] = 1
        a[i] /= a[i].sum()
    return a


def link(x: F64, a: F64, weights: dict[str, F64]) -> F64:
    """Eq. 11 in evaluation mode, the whole graph through every layer, and the softmax of the head:
    p_p of each node.
    """
    z, layer = x, 0
    while f"maps.{layer}.weight" in weights:
        norm = {
            name: weights[f"norms.{layer}.{name}"]
            for name in ("running_mean", "running_var", "weight", "bias")
        }
        z = a @ z @ weights[f"maps.{layer}.weight"].T
        z = (z - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm[
            "weight"
        ] + norm["bias"]
        z = np.maximum(z, 0)
        layer += 1
    for at in (0, 2):
        z = z @ weights[f"head.{at}.weight"].T + weights[f"head.{at}.bias"]
        z = np.where(z > 0, z, weights[f"head.{at + 1}.weight"] * z)
    out = z @ weights["head.4.weight"].T + weights["head.4.bias"]
    both = np.exp(out - out.max(axis=1, keepdims=True))
    return both[:, 0] / both.sum(axis=1)


def focal(p: float, linked: bool, alpha: float, upsilon: float) -> float:
    """Eq. 12 for one node; p is the probability of a link."""
    return (
        -alpha * (1 - p) ** upsilon * np.log(p)
        if linked
        else -(1 - alpha) * p**upsilon * np.log(1 - p)
    )


def distances(
    query: F64,
    gallery: F64,
    weights: dict[str, F64],
    *,
    k1: int,
    k2: int,
    e: int,
    loops: bool,
    lam: float,
    euclidean: bool,
) -> tuple[F64, F64]:
    """Eq. 13 for one query that is not in the gallery: its distances and link probabilities."""
    if euclidean:
        original = np.linalg.norm(gallery - query, axis=1)
        among = np.linalg.norm(gallery[:, None] - gallery[None], axis=2)
    else:
        original, among = 1 - gallery @ query, 1 - gallery @ gallery.T
    nodes = sampled(original, among, k1, k2)
    x = np.sqrt(len(query)) * (gallery[nodes] - query)
    p = link(x, adjacency(nodes, among, e, loops), weights)
    probability = np.zeros(len(gallery))
    probability[nodes[:k1]] = p[:k1]
    if euclidean:
        original = (original - original.min()) / (original.max() - original.min())
    return original + lam * (1 - probability), probability
