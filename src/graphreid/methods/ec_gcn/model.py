"""EC-GCN's network: graph convolutions on packed query graphs, and a link classifier.

Sizes: m nodes of all graphs of a batch, r of them scored, d entries of an embedding, h hidden ones.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor, nn

from graphreid.graphs.sparse_adjacency import SparseAdjacency
from graphreid.methods.ec_gcn.options import WIDEST, Network
from graphreid.resources import slices


class ECGCNNetwork(nn.Module):
    """Layers ReLU(BN(A~ Z W)) (Eq. 11), then three linear maps to "link" and "no link".

    Args:
        inputs: entries of an embedding, d.
        options: of the network.
    """

    def __init__(self, inputs: int, options: Network) -> None:
        super().__init__()
        # the paper's width is 4096 whatever d is
        width = min(inputs, WIDEST) if options.width is None else options.width
        self.maps = nn.ModuleList(
            nn.Linear(width if layer else inputs, width, bias=False)
            for layer in range(options.layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(options.layers))
        # "three linear layers with PReLU", to the two classes of Eq. 12
        self.head = nn.Sequential(
            nn.Linear(width, width),
            nn.PReLU(),
            nn.Linear(width, width),
            nn.PReLU(),
            nn.Linear(width, 2),
        )

    def first_product(
        self,
        mapped: Float[Tensor, "g h"],
        neighbors: Int32[np.ndarray, "m w"],
        of_query: Float[Tensor, "m h"],
    ) -> Float[Tensor, "m h"]:
        """A~ (F - 1 f_p^T) W of the first layer, from F W taken once for each image.

        Node features are differences to the query. Rows of A~ sum to 1, so the product equals
        A~ (F W) - 1 (f_p^T W). It subtracts near-equal numbers: float32 or better.

        Args:
            mapped: F W, a row for each image.
            neighbors: the images of each node's neighbours, rows of `mapped`; -1 for none.
            of_query: f_p W, of each node's query.
        """
        mean = SparseAdjacency(neighbors, None, str(mapped.device)) @ mapped  # A~ F W, [m, h]
        return mean - of_query

    def forward(
        self, product: Float[Tensor, "m h"], adjacencies: Sequence[SparseAdjacency]
    ) -> Float[Tensor, "r h"]:
        """Node features after the last layer (Eq. 11).

        Args:
            product: A~ X W of the first layer (`first_product`).
            adjacencies: A~ of each further layer; it may give fewer nodes than it takes, where the
                next layers need no more.
        """
        z = torch.relu(self.norms[0](product))  # layer 1, [m, h]
        for a, linear, norm in zip(adjacencies, self.maps[1:], self.norms[1:], strict=True):
            # Z^l = ReLU(BN(A~ Z^(l-1) W^l)); the rows of z become fewer from layer to layer
            z = torch.relu(norm(linear(a @ z)))
        return z

    def link_logits(self, z: Float[Tensor, "r h"]) -> Float[Tensor, " r"]:
        """The logit of a link: of a softmax over two classes, the difference."""
        out = self.head(z)  # [r, 2]
        return out[:, 0] - out[:, 1]

    @torch.inference_mode()
    def per_image_map(
        self, vectors: Float32[np.ndarray, "g d"], device: str
    ) -> Float32[np.ndarray, "g h"]:
        """F W of the first layer; embeddings are scaled by the root of d as in training."""
        # in fp32 whatever the weights are: `first_product` subtracts near-equal rows
        weight = self.maps[0].weight.float().T * vectors.shape[1] ** 0.5
        out = np.empty((len(vectors), weight.shape[1]), np.float32)
        for part in slices(0, len(vectors), 4096):
            out[part] = (torch.from_numpy(vectors[part]).to(device) @ weight).cpu().numpy()
        return out
