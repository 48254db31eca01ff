"""Vectors of listed neighbours added up: a fixed number a row, without ever gathering them."""

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch.nn import functional

from graphreid.resources import Resources
from graphreid.types import Neighbors


def weighted_sum(
    vectors: Float32[np.ndarray, "n d"],
    lists: Int32[np.ndarray, "m k"],
    weights: Float32[np.ndarray, "m k"] | None = None,
    *,
    resources: Resources,
) -> Float32[np.ndarray, "m d"]:
    """Row i is the sum over a of weights[i, a] (1 if None) times vectors[lists[i, a]]; the same row
    alone and among others.
    """
    if not lists.shape[1]:
        return np.zeros((len(lists), vectors.shape[1]), np.float32)
    device = resources.device
    bags = torch.from_numpy(np.ascontiguousarray(lists)).to(device)
    weight = None if weights is None else torch.from_numpy(np.ascontiguousarray(weights)).to(device)
    with resources.limits():
        total = functional.embedding_bag(
            bags,
            torch.from_numpy(vectors).to(device),
            per_sample_weights=weight,
            mode="sum",
            include_last_offset=False,
        )
    return total.cpu().numpy()


def expanded(
    vectors: Float32[np.ndarray, "m d"],
    others: Float32[np.ndarray, "n d"],
    near: Neighbors,
    alpha: float,
    *,
    resources: Resources,
) -> Float32[np.ndarray, "m d"]:
    """Each vector plus max(0, 1 - distance)^alpha times each of its neighbours among `others`; not
    scaled.
    """
    weights = np.maximum(1 - near.distance, 0) ** np.float32(alpha)
    total = weighted_sum(others, near.index, weights, resources=resources)
    total += vectors
    return total
