"""Small data that several tests share."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graphreid.testing.data import all_distances, blobs, labelled, stacked
from graphreid.types import Features

__all__ = [
    "SMALL",
    "all_distances",
    "blobs",
    "cosine_distances",
    "labelled",
    "query_and_gallery",
    "shaken",
    "stacked",
]

SMALL: dict[str, dict[str, Any]] = {
    "cagcn": {
        "k1": 8,
        "k2": 4,
        "k": 12,
        "links": 4,
        "layers": 2,
        "width": 8,
        "attention_width": 4,
        "epochs": 1,
    },
    "ec-gcn": {"k1": 8, "k2": 3, "links": 4, "layers": 2, "width": 8, "epochs": 1},
    "fa-ec-gcn": {
        "fa_k": 4,
        "fa_epochs": 2,
        "k1": 8,
        "k2": 3,
        "links": 4,
        "layers": 2,
        "width": 8,
        "epochs": 1,
    },
    "fa-gcn": {"k": 4, "epochs": 2},
    "ffgnn": {"k": 12, "reciprocal": 4, "tau": 5, "epochs": 1},
    "hrnet": {"nodes": 12, "k": 4, "identities": 4, "images": 3, "epochs": 2},
    "parts": {"parts": 2, "width": 4, "fixed": 2},
    "sggnn": {"k": 12, "width": 8, "epochs": 1},
}
"""Options that make a method quick to fit on small data."""


def cosine_distances(query: Features, gallery: Features) -> NDArray[np.float64]:
    """All distances of the union in float64, queries first, (N, N)."""
    x = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.maximum(1 - x @ x.T, 0)


def query_and_gallery(queries: int, n: int) -> list[list[int]]:
    """For each query the rows of itself and the gallery, out of n rows with the queries first."""
    return [[query, *range(queries, n)] for query in range(queries)]


def shaken(network: nn.Module, scale: float = 1.0) -> nn.Module:
    """The network with statistics and norms that matter, as if it had been fitted, and weights
    times `scale`.
    """
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.uniform_(-0.5, 0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif "norm" in name and value.is_floating_point():
            value.uniform_(-1, 1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(scale)
    return network
