"""FA-GCN, the feature aggregation graph convolutional network: Eqs. 2-7 from top to bottom.

    Z^0      = sqrt(d) F                          F: the embeddings at unit length [n, d]
    Z^{l+1}  = ReLU([Z^l || A~ Z^l] W^l)          Eq. 2; A~ is in `graph`
    cls      = Z^L W + B                          Eq. 3, for training alone
    L_fa     = w L_ce(cls) + L_sup(Z^L)           Eqs. 4-7

The factor sqrt(d) is ours: entries of unit size suit weights that begin at random. The widths are
all d (the paper does not say), and w is 1 in the paper.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from graphreid.graphs.sparse_adjacency import SparseAdjacency
from graphreid.methods.fa_gcn.contrastive_loss import supervised_contrastive
from graphreid.methods.fa_gcn.graph import AffinityGraph, LayerGraph, node_features

ROWS = 4096
"""Nodes that go through a layer together at test."""


class FeatureAggregation(nn.Module):
    """Layers Z' = ReLU([Z || A~ Z] W) (Eq. 2), and a classifier for training (Eq. 3).

    Args:
        width: entries of an embedding, d; every layer gives as many.
        layers: L.
        classes: training identities; 0 leaves the classifier out.
    """

    def __init__(self, width: int, layers: int, classes: int = 0) -> None:
        super().__init__()
        # W^l maps [Z || A~ Z], 2d entries, to d
        self.layers = nn.ModuleList(nn.Linear(2 * width, width, bias=False) for _ in range(layers))
        self.classifier = nn.Linear(width, classes) if classes else None  # W^{L+1} and B

    def forward(self, z: Float[Tensor, "n d"], graph: Sequence[LayerGraph]) -> Float[Tensor, "m d"]:
        """Z^L of some nodes, from Z^0 of all nodes.

        Args:
            z: Z^0.
            graph: for each layer its nodes and their rows of A~.
        """
        for layer, (itself, adjacency) in enumerate(graph):
            aggregated = adjacency @ z  # [m, d], their rows of A~ Z; m is smaller in every layer
            z = self.update(layer, z[itself], aggregated)
        return z

    def update(
        self, layer: int, z: Float[Tensor, "m d"], aggregated: Float[Tensor, "m d"]
    ) -> Float[Tensor, "m d"]:
        """Z' of some nodes from their Z and their rows of A~ Z."""
        both = torch.cat([z, aggregated], 1)  # [m, 2d]
        return torch.relu(self.layers[layer](both))  # [m, d], Eq. 2

    @torch.inference_mode()
    def update_rows(
        self,
        layer: int,
        z: Float32[np.ndarray, "m d"],
        aggregated: Float32[np.ndarray, "m d"],
        device: str,
    ) -> Float32[np.ndarray, "m d"]:
        """`update` at test, for arrays of any length."""
        out = np.empty_like(z)
        for start in range(0, len(z), ROWS):
            part = slice(start, start + ROWS)
            own = torch.from_numpy(z[part]).to(device)
            out[part] = (
                self.update(layer, own, torch.from_numpy(aggregated[part]).to(device)).cpu().numpy()
            )
        return out

    def aggregate(
        self, unit: Float32[np.ndarray, "n d"], graph: AffinityGraph, device: str
    ) -> list[Float32[np.ndarray, "n d"]]:
        """Z^0 .. Z^L of all images of a graph, at test.

        Args:
            unit: their embeddings at unit length.
            graph: A~.
            device: where the network is.
        """
        states = [node_features(unit)]
        adjacency = graph.adjacency(device)
        for layer in range(len(self.layers)):
            z = states[-1]  # [n, d]
            aggregated = (adjacency @ torch.from_numpy(z).to(device)).cpu().numpy()  # A~ Z
            states.append(self.update_rows(layer, z, aggregated, device))
        return states

    def aggregate_query(
        self,
        unit: Float32[np.ndarray, "q d"],
        gallery: Sequence[Float32[np.ndarray, "g d"]],
        graph: AffinityGraph,
        device: str,
    ) -> Float32[np.ndarray, "q d"]:
        """Z^L of queries that have edges from gallery images, while none has an edge from them.

        So the gallery's states are its own, and a query's do not depend on other queries.

        Args:
            unit: the queries' embeddings at unit length.
            gallery: Z^0 .. Z^L of the gallery on its own.
            graph: the queries' rows of A~: the query itself, then gallery images.
            device: where the network is.
        """
        z = node_features(unit)  # [q, d]
        # of the query's row of A~ the gallery's part; its own entry follows below
        adjacency = SparseAdjacency(graph.sources[:, 1:], graph.weights[:, 1:], device)
        for layer, images in enumerate(gallery[:-1]):
            from_gallery = (adjacency @ torch.from_numpy(images).to(device)).cpu().numpy()
            aggregated = graph.weights[:, :1] * z + from_gallery  # [q, d], A~ Z
            z = self.update_rows(layer, z, aggregated, device)
        return z


def losses(
    network: FeatureAggregation,
    z: Float[Tensor, "b d"],
    target: Int64[Tensor, " b"],
    *,
    identity_weight: float,
    tau: float,
    include_self: bool,
    rows: int,
) -> dict[str, Float[Tensor, ""]]:
    """The parts of L_fa (Eq. 7): the contrastive loss, and the identity loss where there is a
    classifier.

    Args:
        network: whose classifier counts.
        z: Z^L of a batch.
        target: its images' classes.
        identity_weight: 1 in Eq. 7.
        tau: the temperature of Eq. 6, which the paper does not give.
        include_self: an image is in its own softmax, as Eq. 6 is printed.
        rows: rows of the pairs' matrix that are held at once.
    """
    parts = {
        "contrastive": supervised_contrastive(z, target, tau, include_self=include_self, rows=rows)
    }
    if network.classifier is not None:
        cross_entropy = functional.cross_entropy(network.classifier(z), target)  # Eqs. 3-4
        parts["identity"] = identity_weight * cross_entropy
    return parts
