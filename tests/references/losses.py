"""The baseline's losses written from their equations: a loop over samples, float64, no library's
loss.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def identity_loss(logits: Array, labels: NDArray[np.int64], smoothing: float) -> float:
    """Luo et al. 2019, eq. (1) and (2): -sum_i q_i log p_i."""
    total = 0.0
    for row, label in zip(logits, labels.tolist(), strict=True):
        classes = len(row)
        log_p = row - row.max() - np.log(np.exp(row - row.max()).sum())
        for i in range(classes):
            q = 1 - (classes - 1) / classes * smoothing if i == label else smoothing / classes
            total -= q * log_p[i]
    return total / len(labels)


def batch_hard_triplet(features: Array, labels: NDArray[np.int64], margin: float | None) -> float:
    """Hermans et al. 2017, eq. (5), as a mean over the anchors that have a positive and a
    negative.
    """
    terms: list[float] = []
    for a in range(len(features)):
        positive = [
            float(np.linalg.norm(features[a] - features[p]))
            for p in range(len(features))
            if p != a and labels[p] == labels[a]
        ]
        negative = [
            float(np.linalg.norm(features[a] - features[n]))
            for n in range(len(features))
            if labels[n] != labels[a]
        ]
        if positive and negative:
            gap = max(positive) - min(negative)
            terms.append(np.logaddexp(0, gap) if margin is None else max(0.0, gap + margin))
    return float(np.mean(terms)) if terms else 0.0


def center_loss(features: Array, labels: NDArray[np.int64], centers: Array) -> float:
    """Wen et al. 2016, eq. (2), without the half, a mean over the batch."""
    return float(
        np.mean(
            [
                ((x - centers[label]) ** 2).sum()
                for x, label in zip(features, labels.tolist(), strict=True)
            ]
        )
    )


def focal_loss(logits: Array, targets: Array, alpha: float | None, gamma: float) -> float:
    """Lin et al. 2017, eq. (5), as a mean over all."""
    terms: list[float] = []
    for logit, target in zip(logits.tolist(), targets.tolist(), strict=True):
        p = 1 / (1 + np.exp(-logit))
        p_t = p if target else 1 - p
        a_t = 1.0 if alpha is None else alpha if target else 1 - alpha
        terms.append(-a_t * (1 - p_t) ** gamma * np.log(p_t))
    return float(np.mean(terms))


def supervised_contrastive(
    features: Array, labels: NDArray[np.int64], temperature: float, include_self: bool
) -> float:
    """Eqs. 5-6 of FA-GCN on vectors of unit length; without the image itself, the mean over those
    with a partner.
    """
    z = features / np.linalg.norm(features, axis=1, keepdims=True)
    terms: list[float] = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if include_self or a != i]
        partners = [j for j in others if labels[j] == labels[i]]
        total = np.log(sum(np.exp(z[i] @ z[a] / temperature) for a in others))
        if partners:
            terms.append(-sum(z[i] @ z[j] / temperature - total for j in partners) / len(partners))
    return float(np.mean(terms)) if terms else 0.0
