"""Heat maps of edge weights: a method's graph of a few images, in order of identity."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from graphreid.types import NORMAL, Labels

IDENTITIES = 11
IMAGES = 6
"""Identities, and images of each: as many as a figure of HRNet's paper has (Fig. 5)."""


def pick_rows(labels: Labels) -> Int64[np.ndarray, " n"] | None:
    """The images of a heat map: IMAGES of each of the first IDENTITIES that have so many.

    Where no two identities have so many images, each has as many as the second largest.

    Returns:
        int64 [n], rows, those of an identity together; None for fewer than two identities.
    """
    rows = np.flatnonzero(labels.role == NORMAL)
    names, count = np.unique(labels.identity[rows], return_counts=True)
    if len(names) < 2:
        return None
    each = min(IMAGES, int(np.sort(count)[-2]))
    chosen = names[count >= each][:IDENTITIES]
    return np.concatenate([rows[labels.identity[rows] == name][:each] for name in chosen]).astype(
        np.int64
    )


def draw_heatmap(
    axes: Any, weights: Float[np.ndarray, "n n"], identity: Int64[np.ndarray, " n"]
) -> None:
    """Draw edge weights on axes of matplotlib, with a line wherever the identity changes.

    The colour scale ends at the largest weight off the diagonal, so that edges from an image to
    itself do not hide the others.

    Args:
        axes: of matplotlib.
        weights: [n, n], row i has the weights with which image i aggregates each image.
        identity: int64 [n], ascending in groups.
    """
    n = len(weights)
    off_diagonal = weights[~np.eye(n, dtype=bool)]
    axes.imshow(
        weights,
        cmap="Blues",
        vmin=0,
        vmax=max(float(off_diagonal.max(initial=0)), 1e-12),
        interpolation="nearest",
    )
    for edge in np.flatnonzero(np.diff(identity)) + 0.5:
        axes.axhline(edge, color="#888888", linewidth=0.3)
        axes.axvline(edge, color="#888888", linewidth=0.3)
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[], xlabel="source image", ylabel="target image")


def identity_ratio(weights: Float[np.ndarray, "n n"], identity: Int64[np.ndarray, " n"]) -> float:
    """Mean weight of the edges within an identity, divided by that of all edges, without edges from
    an image to itself. 1 means that the graph does not prefer an identity's own images.
    """
    other = ~np.eye(len(weights), dtype=bool)
    same = (identity[:, None] == identity) & other
    total = float(weights[other].mean())
    return float(weights[same].mean()) / total if total and same.any() else 1.0
