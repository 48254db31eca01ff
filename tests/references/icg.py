"""ICG's equations, statement by statement, in float64 and with loops; weights by the network's
names.
"""

import numpy as np
from numpy.typing import NDArray

from tests.references import losses

F64 = NDArray[np.float64]
Weights = dict[str, F64]


def length(x: F64) -> float:
    return float(np.sqrt((x * x).sum()))


def activation(f: F64) -> F64:
    """Eq. 3, of one map [c, h, w]."""
    _, h, w = f.shape
    norm = np.array([[length(f[:, y, x]) for x in range(w)] for y in range(h)])
    return norm / norm.max()


def unit_pixels(f: F64, mask: NDArray[np.bool_]) -> F64:
    """Eq. 5: the foreground's pixels, row by row."""
    _, h, w = f.shape
    return np.array(
        [f[:, y, x] / length(f[:, y, x]) for y in range(h) for x in range(w) if mask[y, x]]
    )


def softmax(scores: F64) -> F64:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def confidence(f: F64, weight: F64, bias: F64) -> F64:
    """Eqs. 7 and 16: P [k, h, w] of one map, with a 1x1 convolution [k, c]."""
    _, h, w = f.shape
    p = np.zeros((len(weight), h, w))
    for y in range(h):
        for x in range(w):
            p[:, y, x] = softmax(weight @ f[:, y, x] + bias)
    return p


def foreground(p: F64) -> F64:
    """Eq. 8."""
    total = np.zeros(p.shape[1:])
    for k in range(1, len(p)):
        total = total + p[k]
    return total


def pooled(f: F64, weight: F64) -> F64:
    """Eqs. 4 and 9, as a weighted mean over pixels."""
    total = np.zeros(len(f))
    for y in range(f.shape[1]):
        for x in range(f.shape[2]):
            total = total + f[:, y, x] * weight[y, x]
    return total / weight.sum()


def visible(p: F64) -> list[bool]:
    """l_k: a part is seen if it is the most probable one somewhere."""
    best = {int(p[:, y, x].argmax()) for y in range(p.shape[1]) for x in range(p.shape[2])}
    return [k in best for k in range(1, len(p))]


def matrix(parts: F64, seen: list[bool], bilinear: F64) -> F64:
    """M (Eq. 10)."""
    n = len(parts)
    m = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if seen[i] and seen[j]:
                m[i, j] = 1 / (
                    1 + np.exp(-(bilinear @ parts[i]) @ parts[j] / np.sqrt(len(parts[j])))
                )
    return m


def normalised(m: F64) -> F64:
    """Eq. 12."""
    n = len(m)
    d = np.diag(m.sum(axis=1))
    root = np.diag(1 / np.sqrt(np.diag(np.eye(n) + d)))
    return root @ (m + np.eye(n)) @ root


def structure(parts: F64, seen: list[bool], weights: Weights, layers: int) -> F64:
    """F_s (Eqs. 10-12)."""
    hat, h = normalised(matrix(parts, seen, weights["bilinear.weight"])), parts
    for layer in range(layers):
        h = hat @ h @ weights[f"layers.{layer}.weight"].T  # Eq. 11
        h = np.where(h > 0, h, 0.01 * h)
    rows = [row for row, there in enumerate(seen) if there] or list(range(len(parts)))
    mean = sum(h[row] for row in rows) / len(rows)
    return weights["readout.weight"] @ mean + weights["readout.bias"]


def distance(q: list[F64], g: list[F64], fixed: int) -> float:
    """Eqs. 13-15 of two images' blocks; a part that is not seen is all zeros."""
    total, count = 0.0, 0
    for place, (one, other) in enumerate(zip(q, g, strict=True)):
        exists = place < fixed or (bool(one.any()) and bool(other.any()))  # Eq. 14
        if exists:
            total += 1 - float(one @ other) / (length(one) * length(other))  # Eq. 13
            count += 1
    return total / count  # Eq. 15


def pixel_loss(p: F64, labels: NDArray[np.int64]) -> float:
    """Eqs. 17 and 19 as a mean over the pixels [b, h, w] with a label; p [b, k, h, w]."""
    terms = [-np.log(p[b, k, y, x]) for (b, y, x), k in np.ndenumerate(labels) if k >= 0]
    return float(np.mean(terms)) if terms else 0.0


def group_loss(
    feature: F64, logits: F64, target: NDArray[np.int64], centers: F64, options: dict[str, float]
) -> float:
    """Eq. 20."""
    identity = losses.identity_loss(logits, target, options["smoothing"])
    triplet = losses.batch_hard_triplet(feature, target, options["margin"])
    return float(
        identity + triplet + options["center_weight"] * losses.center_loss(feature, target, centers)
    )


def objective(
    groups: list[float], separation: float, assignment: float, alphas: tuple[float, float, float]
) -> float:
    """Eqs. 21-22."""
    return alphas[0] * sum(groups) + alphas[1] * separation + alphas[2] * assignment


def kmeans(points: F64, centers: F64, steps: int) -> tuple[NDArray[np.int64], F64]:
    """Lloyd's iteration; a center without points takes the point farthest from its own, of a
    cluster that has others.
    """
    label = np.zeros(len(points), np.int64)
    for step in range(steps):
        gap = np.array([[((x - c) ** 2).sum() for c in centers] for x in points])
        new = gap.argmin(axis=1)
        for lost in range(len(centers)):
            if not (new == lost).any():
                free = [i for i in range(len(points)) if (new == new[i]).sum() > 1]
                new[max(free, key=lambda i: gap[i, new[i]])] = lost
        if step and (new == label).all():
            break
        label = new
        if step < steps - 1:
            centers = np.array([points[label == k].mean(axis=0) for k in range(len(centers))])
    return label, centers
