"""SGGNN's network: features of query-gallery pairs, mixed once by the gallery's own similarities.

Sizes: b graphs, n nodes, d entries of an embedding, h of a pair's feature.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphreid.graphs.query_graphs import NodeBatchNorm, complete_edges, edge_softmax
from graphreid.methods.sggnn.options import Network


class SGGNNNetwork(nn.Module):
    """From the embeddings of a query and its candidates to a logit for each candidate.

    Args:
        inputs: entries of an embedding, d.
        options: of the network.
    """

    def __init__(self, inputs: int, options: Network) -> None:
        super().__init__()
        width = inputs if options.width is None else min(options.width, inputs)
        self.share = options.share
        self.norm = NodeBatchNorm(inputs)
        self.feature = nn.Linear(inputs, width)
        # the message network of two layers
        self.message = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.readout = nn.Linear(width, 1)

    def forward(
        self,
        query: Float[Tensor, "b d"],
        gallery: Float[Tensor, "b n d"],
        real: Bool[Tensor, "b n"],
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n n"]]:
        """Logits, and W: entry (i, j) is the weight of node j's message to node i.

        Args:
            query: its embedding, one a graph.
            gallery: the nodes' embeddings.
            real: False for padding.
        """
        squares = (query[:, None] - gallery).square()  # [b, n, d]
        pair = self.feature(self.norm(squares, real))  # d_i = FC(BN((f_p - f_i)^2)), [b, n, h]
        weights = self._similarity(squares, gallery, real)  # W, [b, n, n]
        messages = weights @ self.message(pair)  # sum_j W_ij t_j, [b, n, h]
        pair = (1 - self.share) * pair + self.share * messages  # d <- (1 - alpha) d + alpha sum
        return self.readout(pair)[..., 0], weights

    def _similarity(
        self,
        squares: Float[Tensor, "b n d"],
        gallery: Float[Tensor, "b n d"],
        real: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n n"]:
        """W, the softmax over j != i of the similarity S(g_i, g_j) of two gallery images.

        S is what the pair network itself gives to g_i and g_j: read-out, FC and BN of their squared
        differences. All three are linear in the squares, so S is a weighted squared distance, and
        one product gives all of a graph's. Terms that are the same for all j drop out of the
        softmax, among them BN's mean and bias.
        """
        with torch.autocast(gallery.device.type, enabled=False):
            # BN divides by the batch's deviation in training, and by the running one later
            running = None if self.training else self.norm.running_var
            variance = squares[real].var(0, correction=0) if running is None else running  # [d]
            of_entry = (self.readout.weight @ self.feature.weight)[0] * self.norm.weight
            of_entry = of_entry * torch.rsqrt(variance + self.norm.eps)  # [d]
            # sum_e w_e (g_i - g_j)_e^2 without its first term, which is the same for all j
            score = (gallery.square() @ of_entry)[:, None, :]
            score = score - 2 * (gallery * of_entry) @ gallery.mT  # [b, n, n]
            return edge_softmax(score, complete_edges(real))
