"""The Mahalanobis distance as a Euclidean one: vectors are mapped by a root of its matrix."""

import numpy as np
from jaxtyping import Float64, Int64


def root_of_precision(
    z: Float64[np.ndarray, "n d"], identity: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, "d d"]:
    """L with M = L L^T: the squared Euclidean distance of z_p L and z_g L is
    (z_p - z_g)^T M (z_p - z_g).

    M is the inverse of the covariance of z less its identity's mean, which is shrunk (Ledoit and
    Wolf 2004); its diagonal is raised by a millionth of its mean, for entries that never differ.
    The paper names the Mahalanobis distance and not its matrix. Identities with one image are left
    out.

    Args:
        z: vectors.
        identity: whom each shows; some identity has two images.
    """
    from sklearn.covariance import LedoitWolf  # noqa: PLC0415  # start-up would pay for it

    _, place, count = np.unique(identity, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    mean = np.add.reduceat(z[order], np.cumsum(count) - count, axis=0) / count[:, None]
    residuals = (z - mean[place])[count[place] > 1]
    covariance: Float64[np.ndarray, "d d"] = (
        LedoitWolf(assume_centered=True, store_precision=False).fit(residuals).covariance_
    )
    covariance[np.diag_indices(len(covariance))] += (
        1e-6 * np.trace(covariance) / len(covariance) or 1.0
    )
    return np.linalg.inv(np.linalg.cholesky(covariance)).T
