"""FA-GCN statement by statement, in float64 and with loops; equations are those of the paper of
FA-GCN and EC-GCN.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def unit(vectors: F64) -> F64:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def affinity(vectors: F64, k: int) -> F64:
    """Eq. 1, and A~ = D^-1 (A + I) as a dense matrix."""
    n = len(vectors)
    similar = vectors @ vectors.T
    a = np.zeros((n, n))
    for i in range(n):
        others = [j for j in np.argsort(-similar[i], kind="stable") if j != i]
        for j in others[:k]:
            a[i, j] = max(similar[i, j], 0.0)
    tilde = a + np.eye(n)
    for i in range(n):
        tilde[i] /= tilde[i].sum()
    return tilde


def aggregated(vectors: F64, k: int, weights: list[F64]) -> F64:
    """Eq. 2 on one graph of all vectors; weights as torch has them, [d_out, 2 d_in]."""
    a = affinity(vectors, k)
    z = vectors * np.sqrt(vectors.shape[1])
    for w in weights:
        z = np.maximum(np.concatenate([z, a @ z], axis=1) @ w.T, 0)
    return z


def online(query: F64, gallery: F64, k: int, weights: list[F64]) -> F64:
    """A query's z where no gallery image hears it: the gallery's layers are its own."""
    root = np.sqrt(gallery.shape[1])
    similar = gallery @ query
    near = np.argsort(-similar, kind="stable")[:k]
    alone = affinity(gallery, k)
    z, others = query * root, gallery * root
    for w in weights:
        total, heard = 1.0, z.copy()
        for j in near:
            weight = max(similar[j], 0.0)
            total += weight
            heard = heard + weight * others[j]
        z = np.maximum(w @ np.concatenate([z, heard / total]), 0)
        others = np.maximum(np.concatenate([others, alone @ others], axis=1) @ w.T, 0)
    return z


def precision(z: F64, identity: NDArray[np.int64]) -> F64:
    """M: the inverse of the Ledoit-Wolf covariance (2004, eqs. 14) of z less its identity's mean,
    which is taken for 0-mean.
    """
    residuals: list[F64] = []
    for name in np.unique(identity):
        some = z[identity == name]
        if len(some) > 1:
            residuals += list(some - some.mean(axis=0))
    x = np.array(residuals)
    n, d = x.shape
    s = x.T @ x / n
    mu = np.trace(s) / d
    delta = ((s - mu * np.eye(d)) ** 2).sum() / d
    beta = sum(((np.outer(row, row) - s) ** 2).sum() for row in x) / d / n**2
    shrinkage = min(beta, delta) / delta
    shrunk = (1 - shrinkage) * s + shrinkage * mu * np.eye(d)
    return np.linalg.inv(shrunk + 1e-6 * np.trace(shrunk) / d * np.eye(d))


def mahalanobis(z: F64, others: F64, m: F64) -> F64:
    """sqrt((z_p - z_g)^T M (z_p - z_g))."""
    return np.array([[np.sqrt((p - g) @ m @ (p - g)) for g in others] for p in z])
