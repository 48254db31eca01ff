"""A sparse adjacency that supports `@` as a dense one does, and the receptive fields of its nodes.

Rows are lists: row i has an edge from each node in its list, and sums over these sources.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


class SparseAdjacency:
    """Row i of `adjacency @ z` is the sum over a of weights[i, a] z[lists[i, a]]; no matrix is
    made, and nothing is gathered.

    Args:
        lists: int32 [m, w], the sources of each row, rows of z; -1 is none.
        weights: float32 [m, w]; None: those of a row alike, with sum 1.
        device: where z is.
    """

    def __init__(
        self,
        lists: Int32[np.ndarray, "m w"],
        weights: Float32[np.ndarray, "m w"] | None = None,
        device: str = "cpu",
    ) -> None:
        there = lists >= 0
        equal = (there / np.maximum(there.sum(axis=1, keepdims=True), 1)).astype(np.float32)
        given: NDArray[np.float32] = equal if weights is None else weights
        self.lists = torch.from_numpy(np.where(there, lists, 0).astype(np.int64)).to(device)
        self.weights = torch.from_numpy(np.where(there, given, np.float32(0))).to(device)

    def __matmul__(self, z: Float[Tensor, "n h"]) -> Float[Tensor, "m h"]:
        """The product, with gradient to z."""
        product: Tensor = _Product.apply(z, self)  # type: ignore[assignment]  # torch's stubs say Any
        return product

    def product(self, z: Float[Tensor, "n h"]) -> Float[Tensor, "m h"]:
        """The product, without gradient."""
        if not self.lists.numel():
            return z.new_zeros(len(self.lists), z.shape[1])
        return functional.embedding_bag(
            self.lists, z, per_sample_weights=self.weights.to(z.dtype), mode="sum"
        )

    def transposed_product(self, gradient: Float[Tensor, "m h"], n: int) -> Float[Tensor, "n h"]:
        """The transpose times a gradient, summed in the same order each time.

        Args:
            gradient: of the product.
            n: rows of z.
        """
        if not self.lists.numel():
            return gradient.new_zeros(n, gradient.shape[1])
        sources = self.lists.flatten()
        order = torch.argsort(sources, stable=True)
        count = torch.bincount(sources, minlength=n)
        weights = self.weights.flatten()[order].to(gradient.dtype)
        targets = order // self.lists.shape[1]
        start = count.cumsum(0) - count
        return functional.embedding_bag(
            targets, gradient.contiguous(), start, per_sample_weights=weights, mode="sum"
        )


class _Product(torch.autograd.Function):
    """torch's own gradient of an embedding bag is three times as slow on a processor."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, adjacency: SparseAdjacency) -> Tensor:
        ctx.adjacency = adjacency
        ctx.rows = len(z)
        return adjacency.product(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.adjacency.transposed_product(gradients[0], ctx.rows), None


ReceptiveField = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Nodes that a layer must give, [m], and the sources of each, [m, w]: places among the nodes of the
layer before.
"""


def receptive_fields(
    lists: Int32[np.ndarray, "n w"], wanted: Int64[np.ndarray, " m"], layers: int
) -> list[ReceptiveField]:
    """What each layer must give so that the last gives `wanted`: the nodes at most so many hops
    away that matter.

    Args:
        lists: the sources of each of n nodes; -1 is none.
        wanted: nodes.
        layers: of the network.

    Returns:
        A field a layer, the first layer's first. Its lists are places among all n nodes.
    """
    fields: list[ReceptiveField] = []
    nodes = wanted
    sources = lists[wanted]
    for _ in range(layers - 1):
        needed = np.zeros(len(lists), bool)
        needed[sources[sources >= 0]] = True
        before = np.flatnonzero(needed)
        place = np.full(len(lists) + 1, -1, np.int32)  # the last entry stands for -1
        place[before] = np.arange(len(before), dtype=np.int32)
        fields.append((nodes, place[sources]))
        nodes = before
        sources = lists[before]
    return [(nodes, sources), *reversed(fields)]
