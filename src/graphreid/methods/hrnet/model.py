"""HRNet's relationship learning: Eqs. 1-9 from top to bottom, and the read-out of Eq. 13.

    X'       = ReLU((A o C + I) X W_s)                      graph of images: Eqs. 1-3
    u'_{n,i} = alpha u_{n,i} + (1 - alpha) ReLU(beta sum_j g^n_{i,j} u_{n,j} W_p
                  + (1 - beta) (q^n_{i,n} v_n W_l + q^n_{i,i} v_i W_r))
                                                            graphs of pairs: Eqs. 6-9
    logit    = linear(u'), or of |u'|                       Eq. 13; |u'| is ours

An attention over a concatenation, mu([a || b]^T H), is split into mu(a^T h + b^T h'), so that no
pair's vector is ever built; and the pairs of all anchors are done at once. The losses are in
`losses`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from graphreid.methods.hrnet.graph import Nearest, Nodes, Square, local_edges, pair_edges
from graphreid.methods.hrnet.options import Graphs, Network

SLOPE = 0.2
"""Of LeakyReLU, mu, below 0."""


class IndividualRelation(nn.Module):
    """X' = ReLU((A o C + I) X W_s): an image aggregates from its nearest (Eqs. 1-3).

    Args:
        width: entries of a node, in and out.
        k: nodes that C keeps for each, itself counted, or "full".
        self_in_c: keep a node's edge to itself in C; I adds to it.
        over_edges: A is a softmax over the edges of C alone, and not over all nodes.
    """

    def __init__(self, width: int, k: Nearest, *, self_in_c: bool, over_edges: bool) -> None:
        super().__init__()
        self.attention = nn.Linear(width, 2, bias=False)  # the two halves of H_s
        self.map = nn.Linear(width, width, bias=False)  # W_s
        self.k: Nearest = k
        self.self_in_c = self_in_c
        self.over_edges = over_edges

    def forward(self, x: Nodes) -> tuple[Nodes, Square]:
        """X', and A o C."""
        c = local_edges(x, self.k, self_in_c=self.self_in_c)  # Eq. 1
        target, source = self.attention(x).float().unbind(2)  # [b, n] each
        score = functional.leaky_relu(target[:, :, None] + source[:, None], SLOPE)
        if self.over_edges:
            # a node without edges gets 0 from all, and no NaN
            score = score.masked_fill(~c, torch.finfo(score.dtype).min)
        a_c = torch.softmax(score, 2) * c  # [b, n, n], Eq. 2
        mapped = self.map(x)
        return torch.relu(a_c @ mapped + mapped), a_c  # Eq. 3


class InterGraphPropagation(nn.Module):
    """q_{i,n} v_n W_l + q_{i,i} v_i W_r: what a pair takes up from its two images (Eqs. 8-9)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, 2 * width, bias=False)  # W_l above W_r
        self.of_pair = nn.Linear(width, 2, bias=False)  # the first halves of H_l and H_r
        self.of_image = nn.Linear(width, 2, bias=False)  # the second ones

    def forward(self, f: Nodes, v: Nodes, anchors: int) -> Float[Tensor, "b a n d"]:
        """For the pairs u_{n,i} = f_n - f_i of the first `anchors` n with all i.

        Args:
            f: what pairs are differences of.
            v: the images' own features.
            anchors: a.
        """
        pair = self.of_pair(f).float()
        image = self.of_image(v).float()  # [b, n, 2]
        pair = pair[:, :anchors, None] - pair[:, None]  # [b, a, n, 2], linear in u
        to_anchor = functional.leaky_relu(pair[..., 0] + image[:, :anchors, None, 0], SLOPE)
        to_other = functional.leaky_relu(pair[..., 1] + image[:, None, :, 1], SLOPE)
        q = torch.sigmoid(to_anchor - to_other)[..., None]  # the softmax of two
        left, right = self.map(v).chunk(2, dim=2)
        return q * left[:, :anchors, None] + (1 - q) * right[:, None]


class PairwiseRelation(nn.Module):
    """u' of pairs u_{n,i} = f_n - f_i, and a logit that both show one identity (Eqs. 6-7, 13).

    Args:
        width: entries of a node.
        alpha: how much of u is kept.
        beta: how much of the rest comes from other pairs, and not from the images.
        propagate: with inter-graph propagation; without it, beta is 1.
        edges: pairs of an anchor that each has edges from, itself counted, or "full".
        absolute: read out |u'|, and not u' itself.
    """

    def __init__(
        self,
        width: int,
        alpha: float,
        beta: float,
        *,
        propagate: bool,
        edges: Nearest,
        absolute: bool,
    ) -> None:
        super().__init__()
        self.attention = nn.Linear(width, 2, bias=False)  # the two halves of H_p
        self.map = nn.Linear(width, width, bias=False)  # W_p
        self.propagation = InterGraphPropagation(width) if propagate else None
        self.readout = nn.Linear(width, 1)
        self.alpha = alpha
        self.beta = beta
        self.absolute = absolute
        self.edges: Nearest = edges

    def forward(
        self, f: Nodes, v: Nodes, anchors: int
    ) -> tuple[Float[Tensor, "b a n"], Float[Tensor, "b a n n"]]:
        """Logits and G for the first `anchors` nodes, each with all nodes.

        Args:
            f: what pairs are differences of.
            v: the images' own features, for inter-graph propagation.
            anchors: a.
        """
        g = self._attention(f, anchors)
        mapped = self.map(f)
        # sum_j g_ij (f_n - f_j) W = f_n W - sum_j g_ij f_j W, for rows of g sum to 1
        message = mapped[:, :anchors, None] - g @ mapped[:, None]  # [b, a, n, d]
        if self.propagation is not None:
            from_images = self.propagation(f, v, anchors)
            message = self.beta * message + (1 - self.beta) * from_images
        new = torch.relu(message)  # of Eq. 7, without the part of u that is kept
        if self.absolute:
            u = f[:, :anchors, None] - f[:, None]  # [b, a, n, d]
            updated = self.alpha * u + (1 - self.alpha) * new  # Eq. 7
            return self.readout(updated.abs())[..., 0], g
        # the read-out is linear: that of u is a difference of the images', and u is never built
        weight = self.readout.weight
        of_image = functional.linear(f, weight)[..., 0]  # [b, n]
        kept = self.alpha * (of_image[:, :anchors, None] - of_image[:, None]) + self.readout.bias
        return kept + (1 - self.alpha) * functional.linear(new, weight)[..., 0], g

    def _attention(self, f: Nodes, anchors: int) -> Float[Tensor, "b a n n"]:
        """G (Eq. 6): how much pair (n, i) takes up from pair (n, j)."""
        target, source = self.attention(f).float().unbind(2)  # [b, n] each
        # u_i^T h + u_j^T h' with u_i = f_n - f_i
        of_target = (target[:, :anchors, None] - target[:, None])[..., None]  # [b, a, n, 1]
        of_source = (source[:, :anchors, None] - source[:, None])[:, :, None]  # [b, a, 1, n]
        score = functional.leaky_relu(of_target + of_source, SLOPE)
        if self.edges != "full":
            score = score.masked_fill(~pair_edges(f, self.edges)[:, None], -torch.inf)
        return torch.softmax(score, 3)


@dataclass(frozen=True, eq=False)
class Related:
    """What the two graphs make of images.

    Attributes:
        images: the images after each layer, what went in first; with no graph of images, that
            alone.
        weights: A o C of the last layer; None with no graph of images.
        logits: that an anchor and a node show one identity; None with no graph of pairs.
        pairs: G, a graph an anchor; None with no graph of pairs.
    """

    images: list[Nodes]
    weights: Square | None
    logits: Float[Tensor, "b a n"] | None
    pairs: Float[Tensor, "b a n n"] | None


class HybridRelations(nn.Module):
    """Both graphs: images first, and pairs that take up features of the new images.

    Args:
        width: entries of an image's feature, d.
        graphs: the edges.
        network: which graphs there are, and their layers.
    """

    def __init__(self, width: int, graphs: Graphs, network: Network) -> None:
        super().__init__()
        self.individual = nn.ModuleList(
            IndividualRelation(
                width,
                "full" if graphs.graph == "full" else graphs.k,
                self_in_c=graphs.self_in_c,
                over_edges=network.attention == "linked",
            )
            for _ in range(network.layers if network.individual else 0)
        )
        # made in any case: the weights after it are drawn as they are with it
        pairwise = PairwiseRelation(
            width,
            network.alpha,
            network.beta,
            propagate=network.propagation,
            edges=graphs.edges,
            absolute=network.readout == "absolute",
        )
        self.pairwise = pairwise if network.pairwise else None
        if network.init == "identity":
            self._begin_as_identity()

    def forward(self, f: Nodes, anchors: int) -> Related:
        """What becomes of images, and of the pairs of the first `anchors` with all.

        Args:
            f: the images' features, of length sqrt(d).
            anchors: 1 for a query, all in training.
        """
        images = [f]
        weights = None
        logits = None
        pairs = None
        for layer in self.individual:
            x, weights = layer(images[-1])
            images.append(x)
        if self.pairwise is not None:
            # v is the new image, or f where there is no graph of images, as the text says
            logits, pairs = self.pairwise(f, images[-1], anchors)
        return Related(images, weights, logits, pairs)

    @torch.no_grad()
    def _begin_as_identity(self) -> None:
        """Let an image begin as the sum of itself and its neighbours, and a pair's logit fall with
        the images' difference.
        """
        for layer in self.individual:
            nn.init.eye_(layer.get_parameter("map.weight"))
        if self.pairwise is None:
            return
        nn.init.eye_(self.pairwise.map.weight)
        width = self.pairwise.map.in_features
        if self.pairwise.propagation is not None:
            one = torch.eye(width)
            self.pairwise.propagation.map.weight.copy_(torch.cat([one, -one]))
        # entries of variance 1: a sum of some ten, of either sign
        nn.init.constant_(self.pairwise.readout.weight, -12 / width)
        nn.init.constant_(self.pairwise.readout.bias, 3)
