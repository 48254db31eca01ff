"""HRNet's two graphs over one set of images, whose relations to each other are learned: one of
images, and one of pairs.

The paper: HRNet, hybrid relationships among individual and pairwise pedestrian images (AAAI).
Equations are its own. An
attention over a concatenation, mu([a || b]^T H), is split into mu(a^T h + b^T h'), so that no
pair's vector is ever built.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from graphreid.graphs.adjacency import ROUNDING, top
from graphreid.models.losses import identity_loss

SLOPE = 0.2
"""Of LeakyReLU, mu."""
Rows = Float[Tensor, "b n d"]
Square = Float[Tensor, "b n n"]
Count = int | Literal["full"]


def nearest(x: Rows, count: Count) -> Bool[Tensor, "b n n"]:
    """Which nodes are the `count` nearest of each by Euclidean distance, the node itself the first
    (Eq. 1); of equal distances the first node.
    """
    n = x.shape[1]
    if count == "full" or count >= n:
        return torch.ones(x.shape[0], n, n, dtype=torch.bool, device=x.device)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        distance = torch.cdist(x.float(), x.float()).square()
        distance.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        squares = x.float().square().sum(2)
        return top(-distance, count, ROUNDING * (squares[:, :, None] + squares[:, None]))


class IndividualRelation(nn.Module):
    """X' = ReLU((A o C + I) X W): an image hears its nearest (Eqs. 1-3).

    Args:
        width: entries of a node, in and out.
        k: nodes that C links to each, itself counted, or "full".
        self_in_c: keep a node's link to itself in C; I adds to it.
        linked: A is a softmax over the links of C alone, and not over all nodes.
    """

    def __init__(self, width: int, k: Count, *, self_in_c: bool, linked: bool) -> None:
        super().__init__()
        self.attention = nn.Linear(width, 2, bias=False)  # the two halves of H_s
        self.map = nn.Linear(width, width, bias=False)
        self.k: Count = k
        self.self_in_c, self.linked = self_in_c, linked

    def forward(self, x: Rows) -> tuple[Rows, Square]:
        """X', and A o C."""
        c = nearest(x, self.k)
        if not self.self_in_c:
            c = c & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        one, other = self.attention(x).float().unbind(2)
        score = functional.leaky_relu(one[:, :, None] + other[:, None], SLOPE)
        if self.linked:
            score = score.masked_fill(
                ~c, torch.finfo(score.dtype).min
            )  # a node without links gets 0 of all, and no NaN
        weights = torch.softmax(score, 2) * c
        heard = self.map(x)
        return torch.relu(weights @ heard + heard), weights


class Propagation(nn.Module):
    """q_(i,n) v_n W_l + q_(i,i) v_i W_r: what a pair hears of the images that it is of (Eqs.
    8-9).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, 2 * width, bias=False)  # W_l above W_r
        self.of_pair = nn.Linear(width, 2, bias=False)  # the first halves of H_l and H_r
        self.of_image = nn.Linear(width, 2, bias=False)  # the second ones

    def forward(self, f: Rows, v: Rows, anchors: int) -> Float[Tensor, "b a n d"]:
        """For the pairs u = f_n - f_i of the first `anchors` n with all i; v are the images' own
        features.
        """
        pair, image = self.of_pair(f).float(), self.of_image(v).float()
        pair = pair[:, :anchors, None] - pair[:, None]
        of_anchor = functional.leaky_relu(pair[..., 0] + image[:, :anchors, None, 0], SLOPE)
        of_other = functional.leaky_relu(pair[..., 1] + image[:, None, :, 1], SLOPE)
        share = torch.sigmoid(of_anchor - of_other)[..., None]  # the softmax of two
        left, right = self.map(v).chunk(2, dim=2)
        return share * left[:, :anchors, None] + (1 - share) * right[:, None]


class PairwiseRelation(nn.Module):
    """u' of pairs u_(n,i) = f_n - f_i, and a logit that both show one identity (Eqs. 6-7 and 13).

    Args:
        width: entries of a node.
        alpha: how much of u is kept. beta: how much of the rest comes from other pairs, and not
            from the images.
        propagate: let pairs hear the images they are of (inter-graph propagation); without it, beta
            is 1.
        edges: pairs of an anchor that each hears, itself counted, or "full".
        absolute: read out |u'|, and not u' itself.
    """

    def __init__(
        self,
        width: int,
        alpha: float,
        beta: float,
        *,
        propagate: bool,
        edges: Count,
        absolute: bool,
    ) -> None:
        super().__init__()
        self.attention = nn.Linear(width, 2, bias=False)  # the two halves of H_p
        self.map = nn.Linear(width, width, bias=False)  # W_p
        self.propagation = Propagation(width) if propagate else None
        self.readout = nn.Linear(width, 1)
        self.alpha, self.beta, self.absolute = alpha, beta, absolute
        self.edges: Count = edges

    def forward(
        self, f: Rows, v: Rows, anchors: int
    ) -> tuple[Float[Tensor, "b a n"], Float[Tensor, "b a n n"]]:
        """Logits and G for the first `anchors` nodes, each with all nodes.

        Args:
            f: what pairs are differences of.
            v: the images' own, which pairs hear.
            anchors: a.
        """
        one, other = self.attention(f).float().unbind(2)
        # u_i^T h + u_j^T h' with u_i = f_a - f_i
        score = (one[:, :anchors, None] - one[:, None])[..., None] + (
            other[:, :anchors, None] - other[:, None]
        )[:, :, None]
        score = functional.leaky_relu(score, SLOPE)
        if self.edges != "full":
            score = score.masked_fill(~nearest(f, self.edges)[:, None], -torch.inf)
        g = torch.softmax(score, 3)
        mapped = self.map(f)
        # sum_j g_ij (f_a - f_j) W = f_a W - sum_j g_ij f_j W, for rows of g sum to 1
        heard = mapped[:, :anchors, None] - g @ mapped[:, None]
        if self.propagation is not None:
            heard = self.beta * heard + (1 - self.beta) * self.propagation(f, v, anchors)
        if self.absolute:
            new = self.alpha * (f[:, :anchors, None] - f[:, None]) + (1 - self.alpha) * torch.relu(
                heard
            )
            return self.readout(new.abs())[..., 0], g
        # the read-out of alpha u + (1 - alpha) ReLU(heard), that of u from the images'
        known = functional.linear(f, self.readout.weight)[..., 0]
        kept = self.alpha * (known[:, :anchors, None] - known[:, None]) + self.readout.bias
        return kept + (1 - self.alpha) * functional.linear(torch.relu(heard), self.readout.weight)[
            ..., 0
        ], g


@dataclass(frozen=True, eq=False)
class Related:
    """What the two graphs make of images.

    Attributes:
        images: the images after each layer, what went in first; with no graph of images, that
            alone.
        weights: A o C of the last layer; None with no graph of images.
        logits: that an anchor and a node show one identity; None with no graph of pairs.
        pairs: G, a graph an anchor.
    """

    images: list[Rows]
    weights: Square | None
    logits: Float[Tensor, "b a n"] | None
    pairs: Float[Tensor, "b a n n"] | None


class Relations(nn.Module):
    """Both graphs.

    Args:
        individual: layers of the graph of images; pairwise: the graph of pairs, or None.
    """

    def __init__(
        self, individual: list[IndividualRelation], pairwise: PairwiseRelation | None
    ) -> None:
        super().__init__()
        self.individual = nn.ModuleList(individual)
        self.pairwise = pairwise

    @torch.no_grad()
    def begin(self) -> None:
        """Let an image begin as the sum of itself and what it hears, and a pair's logit fall with
        the images' difference.
        """
        for layer in self.individual:
            nn.init.eye_(layer.get_parameter("map.weight"))
        if self.pairwise is not None:
            nn.init.eye_(self.pairwise.map.weight)
            width = self.pairwise.map.in_features
            if self.pairwise.propagation is not None:
                one = torch.eye(width)
                self.pairwise.propagation.map.weight.copy_(torch.cat([one, -one]))
            # entries of variance 1: a sum of some ten, of either sign
            nn.init.constant_(self.pairwise.readout.weight, -12 / width)
            nn.init.constant_(self.pairwise.readout.bias, 3)

    def forward(self, f: Rows, anchors: int) -> Related:
        """What becomes of images, and of the pairs of the first `anchors` with all."""
        images, weights, logits, pairs = [f], None, None, None
        for layer in self.individual:
            x, weights = layer(images[-1])
            images.append(x)
        if self.pairwise is not None:
            logits, pairs = self.pairwise(f, images[-1], anchors)
        return Related(images, weights, logits, pairs)


class RelationObjective(nn.Module):
    """Both graphs over a batch of images whose features are being learned, and their losses; see
    `relation_losses`.
    """

    def __init__(
        self, relations: Relations, width: int, classes: int, **options: float | bool
    ) -> None:
        super().__init__()
        self.relations, self.classifier, self.options = (
            relations,
            nn.Linear(width, classes),
            options,
        )

    def forward(
        self, features: Float[Tensor, "n d"], target: Int64[Tensor, " n"]
    ) -> dict[str, Float[Tensor, ""]]:
        """The losses, through which gradients flow into the features."""
        # as at test, where only directions are known
        x = functional.normalize(features, dim=1) * features.shape[1] ** 0.5
        related = self.relations(x[None], len(x))
        return relation_losses(related, target, self.classifier, **self.options)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items())


def relation_losses(
    related: Related,
    target: Int64[Tensor, " n"],
    classifier: nn.Linear,
    *,
    smoothing: float,
    margin: float,
    constraint: float,
    balance: bool,
) -> dict[str, Float[Tensor, ""]]:
    """L_in, lambda (L_c+ + L_c-) and L_pa of one batch in which every image is an anchor (Eq. 14,
    all of them means).

    Args:
        related: of one batch.
        target: the images' classes.
        classifier: of the graph of images.
        smoothing: of its labels.
        margin: omega of the consistent node constraint. constraint: lambda; 0 for none.
        balance: the pairs of one identity weigh as much as those of two, all together.
    """
    parts: dict[str, Float[Tensor, ""]] = {}
    if related.weights is not None:
        parts["individual"] = identity_loss(
            classifier(related.images[-1])[0].float(), target, smoothing
        )
        if constraint:
            layers = zip(related.images, related.images[1:], strict=False)
            apart = [consistency(x[0], after[0], target, margin) for x, after in layers]
            parts["constraint"] = constraint * torch.stack(apart).sum()
    if related.logits is not None:
        other = ~torch.eye(len(target), dtype=torch.bool, device=target.device)
        same = (target[:, None] == target)[other].float()
        logits = related.logits[0].float()[other]
        share = same.mean()
        weight = torch.where(same > 0, 0.5 / share, 0.5 / (1 - share)) if balance else None
        parts["pairwise"] = functional.binary_cross_entropy_with_logits(
            logits, same, weight
        )  # Eq. 13
    return parts


def consistency(
    before: Float[Tensor, "n d"],
    after: Float[Tensor, "n d"],
    target: Int64[Tensor, " n"],
    margin: float,
) -> Float[Tensor, ""]:
    """L_c+ + L_c-, the means over nodes (Eqs. 4-5): positives come nearer by the margin, and
    negatives go.

    Of each node the farthest positive and the nearest negative count, by the distances after; where
    it has none, nothing. Through the distances before no gradient flows.
    """
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(after.float(), after.float(), compute_mode=exact)
    known = torch.cdist(before.float(), before.float(), compute_mode=exact).detach()
    same = target[:, None] == target
    positive = same & ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    total = after.sum() * 0
    for sign, allowed in ((1, positive), (-1, ~same)):
        worst = (sign * distance).masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
        gap = sign * (distance.gather(1, worst) - known.gather(1, worst)) + margin
        gap = gap[allowed.any(1)].clamp(min=0)
        total = total + (gap.mean() if len(gap) else 0)
    return total
