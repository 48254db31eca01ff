"""CAGCN's network: from a query's differences to its candidates to the logit of each pair.

Sizes: b graphs, n nodes, d entries of an embedding, h hidden entries, a entries of phi and phi'.
Embeddings have unit length times the root of d, so that an entry has about unit variance: the
scale of the batch-normed features that the paper starts from.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from graphreid.graphs.query_graphs import NodeBatchNorm, edge_softmax
from graphreid.methods.cagcn.options import Network
from graphreid.resources import slices


class CAGCNNetwork(nn.Module):
    """Adjacency (Eq. 2), residual graph convolutions (Eqs. 3-4), and a classifier for each node.

    Args:
        inputs: entries of an embedding, d.
        options: of the network.
    """

    def __init__(self, inputs: int, options: Network) -> None:
        super().__init__()
        width = inputs if options.width is None else min(options.width, inputs)
        self.options = options
        # the paper keeps d throughout; a narrower network begins with a linear map, ours
        self.project = None if inputs == width else nn.Linear(inputs, width, bias=False)
        self.first = ResidualBlock(width)
        self.layers = nn.ModuleList(ResidualBlock(width) for _ in range(options.layers - 1))
        self.classifier = PairClassifier(inputs, width)
        # phi and phi' of Eq. 2, one upon the other
        attention = options.edge_weight == "attention"
        self.phi = nn.Linear(inputs, 2 * options.attention_width, bias=False) if attention else None

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        gallery: Float[Tensor, "b n d"],
        edges: Bool[Tensor, "b n n"],
        real: Bool[Tensor, "b n"],
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n n"]]:
        """Logits and adjacency.

        Args:
            x: node features, f_p - f_g.
            gallery: the nodes' embeddings, f_g.
            edges: entry (i, j): node i aggregates from node j.
            real: False for padding.
        """
        v = x if self.options.edge_input == "pair" else gallery
        mapped = functional.linear(x, self.node_maps())  # [b, n, 2h]
        relations = functional.linear(v, self.edge_maps())  # [b, n, 2a]
        return self.from_maps(x, mapped, relations, edges, real)

    def from_maps(
        self,
        x: Float[Tensor, "b n d"] | None,
        mapped: Float[Tensor, "b n m"],
        relations: Float[Tensor, "b n e"],
        edges: Bool[Tensor, "b n n"],
        real: Bool[Tensor, "b n"],
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n n"]]:
        """The same where the products with `node_maps` and `edge_maps` are known already.

        Those maps are linear, so at inference they are made once for each image, not once for each
        pair. `x` is needed only where the network has no `project`.
        """
        a = self.adjacency(relations, edges)  # [b, n, n], rows sum to 1
        first, pair_input = mapped.chunk(2, dim=2)  # [b, n, h] each
        if x is None or self.project is not None:
            z = self.first(first, a, real)  # `first` is Z0 = X W0
        else:
            z = self.first(x, a, real, product=first)  # Z0 = X, and `first` is Z0 W
        for block in self.layers:
            z = block(z, a, real)  # [b, n, h]
        # the input beside the last layer: local and global information (below Eq. 4)
        return self.classifier(pair_input, z), a

    def adjacency(
        self, relations: Float[Tensor, "b n e"], edges: Bool[Tensor, "b n n"]
    ) -> Float[Tensor, "b n n"]:
        """A of Eq. 2, once for all layers; rows sum to 1.

        The section ends with "a binary adjacency matrix": `edge_weight="binary"` is that reading.
        """
        if self.phi is None:
            weight = edges.float()
            return weight / weight.sum(2, keepdim=True)
        phi, phi_prime = relations.chunk(2, dim=2)  # [b, n, a] each
        score = phi @ phi_prime.mT  # F(V_i, V_j), [b, n, n]
        if self.options.scale_attention:
            score = score / phi.shape[2] ** 0.5  # not in the paper: keeps the softmax soft
        return edge_softmax(score, edges)

    def node_maps(self) -> Float[Tensor, "m d"]:
        """All linear maps of a node's input: the network's first, and the classifier's."""
        first = self.first.map if self.project is None else self.project
        return torch.cat([first.weight, self.classifier.of_input.weight])

    def edge_maps(self) -> Float[Tensor, "e d"]:
        """phi and phi' of Eq. 2; no rows for binary edges."""
        return self.classifier.of_input.weight[:0] if self.phi is None else self.phi.weight

    @torch.inference_mode()
    def per_image_maps(
        self, vectors: Float32[np.ndarray, "g d"], device: str
    ) -> Float32[np.ndarray, "g c"]:
        """`node_maps` and `edge_maps` of single images; a pair's are the differences of the two.

        Args:
            vectors: of unit length.
            device: where to compute.
        """
        maps = torch.cat([self.node_maps(), self.edge_maps()]).T * vectors.shape[1] ** 0.5
        out = np.empty((len(vectors), maps.shape[1]), np.float32)
        for part in slices(0, len(vectors), 4096):
            out[part] = (torch.from_numpy(vectors[part]).to(device) @ maps).cpu().numpy()
        return out


class ResidualBlock(nn.Module):
    """Z + BN(ReLU(A Z W)), Eqs. 3-4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, width, bias=False)  # W
        self.norm = NodeBatchNorm(width)

    def forward(
        self,
        z: Float[Tensor, "b n h"],
        adjacency: Float[Tensor, "b n n"],
        real: Bool[Tensor, "b n"] | None = None,
        product: Float[Tensor, "b n h"] | None = None,
    ) -> Float[Tensor, "b n h"]:
        """The nodes after one step of reasoning; `product` is Z W where it is known."""
        messages = adjacency @ (self.map(z) if product is None else product)
        return z + self.norm(torch.relu(messages), real)


class PairClassifier(nn.Module):
    """An MLP (d + h) -> h -> h/2 -> 1 over [X, Z]; the paper says "3 fully connected layers"."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        # one linear map of the concatenation in two parts: the part of the input is linear in
        # f_p - f_g and can be made image by image
        self.of_input = nn.Linear(inputs, width, bias=False)
        self.of_state = nn.Linear(width, width)
        self.hidden = nn.Linear(width, max(width // 2, 1))
        self.out = nn.Linear(max(width // 2, 1), 1)

    def forward(
        self, of_input: Float[Tensor, "b n h"], z: Float[Tensor, "b n h"]
    ) -> Float[Tensor, "b n"]:
        """A logit for each node; the first argument is `self.of_input(X)`."""
        first = torch.relu(of_input + self.of_state(z))
        return self.out(torch.relu(self.hidden(first)))[..., 0]
