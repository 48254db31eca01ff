"""FFGNN, the feature-fusing graph neural network: Eqs. 11-15 from top to bottom.

    X^0      = sqrt(d) x                          x: unit vectors of K + 1 images [b, n, d]
    Delta    = ReLU(BN(S X^t W_t))                Eq. 11; S is in `graph`
    X^{t+1}  = (1 - alpha) X^t + alpha Delta      Eq. 12, three times in the paper
    L        = L_sft + L_tri + L_verif            Eqs. 13-15 on the last X

The factor sqrt(d) is ours: Eq. 12 then mixes entries of one scale. Each iteration has its own W and
batch norm. ReLU and batch norm are not in Eq. 11 as printed. Eq. 11 sums over R(i), which must be
the nodes that the mask of Eq. 9 keeps.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from graphreid.methods.ffgnn.graph import Nodes, Square
from graphreid.methods.ffgnn.options import Network, Training
from graphreid.models.losses import batch_hard_triplet


def node_features(unit: Nodes) -> Nodes:
    """X^0: vectors of unit length times sqrt(d), so that the mean square of an entry is 1."""
    return unit * unit.shape[2] ** 0.5


class FeatureFusion(nn.Module):
    """X <- (1 - alpha) X + alpha ReLU(BN(S X W)) (Eqs. 11-12).

    Args:
        width: entries of a feature, d, in and out.
        options: iterations and alpha.
    """

    def __init__(self, width: int, options: Network) -> None:
        super().__init__()
        count = options.iterations
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(count))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(count))
        self.alpha = options.alpha
        if options.init == "identity":
            for w in self.maps:
                nn.init.eye_(w.get_parameter("weight"))

    def forward(self, x: Nodes, s: Square) -> Nodes:
        """The fused features of all nodes, from X^0 and S."""
        for w, norm in zip(self.maps, self.norms, strict=True):
            x = self._fuse(x, s @ w(x), norm)  # [b, n, d], Eqs. 11-12
        return x

    def of_anchor(self, x: Nodes, s: Square) -> Float[Tensor, "b d"]:
        """The fused features of node 0 alone: what `forward` gives it, with less work.

        The last iteration needs the anchor's row of S alone, and the one before it only the rows of
        the nodes from which the anchor takes up features.
        """
        steps = list(zip(self.maps, self.norms, strict=True))
        # S before W: a product with few rows of S is the smaller one first
        for w, norm in steps[:-2]:
            x = self._fuse(x, w(s @ x), norm)
        row = s[:, :1]  # [b, 1, n]
        if len(steps) > 1:
            sources = _sources_of_anchor(s)[..., None]  # [b, m, 1]
            w, norm = steps[-2]
            some = s.gather(1, sources.expand(-1, -1, s.shape[2]))  # [b, m, n]
            own = x.gather(1, sources.expand(-1, -1, x.shape[2]))  # [b, m, d]
            x = self._fuse(own, w(some @ x), norm)
            row = row.gather(2, sources.mT)  # [b, 1, m]
        w, norm = steps[-1]
        return self._fuse(x[:, :1], w(row @ x), norm)[:, 0]

    def _fuse(self, x: Nodes, message: Nodes, norm: nn.Module) -> Nodes:
        """Eq. 12; `message` is S X W."""
        # batch norm's statistics are over all nodes of all graphs
        normed = norm(message.flatten(0, 1)).view_as(message)
        return (1 - self.alpha) * x + self.alpha * torch.relu(normed)


class FusionObjective(nn.Module):
    """The fusion, and the classifier that its softmax loss needs in training.

    Args:
        width: entries of a feature, d.
        classes: training identities.
        options: of the fusion.
    """

    def __init__(self, width: int, classes: int, options: Network) -> None:
        super().__init__()
        self.fusion = FeatureFusion(width, options)
        self.classifier = nn.Linear(width, classes)


def _sources_of_anchor(s: Square) -> Int64[Tensor, "b m"]:
    """The nodes from which node 0 takes up features in one of the graphs at least, itself first; m
    is the largest number of them in a graph.
    """
    row = s[:, 0]
    is_source = row > 0
    order = row.masked_fill(~is_source, -1)
    order[:, 0] = torch.inf
    return order.topk(int(is_source.sum(1).max()), dim=1).indices


def losses(
    x: Nodes,
    logits: Float[Tensor, "b n classes"] | None,
    target: Int64[Tensor, "b n"],
    options: Training,
) -> dict[str, Float[Tensor, ""]]:
    """The losses that are on (Eqs. 13-15): means, where the paper prints sums.

    Args:
        x: the last iteration's features, float32.
        logits: of the identities; None where the softmax loss is off.
        target: the nodes' classes; a distractor has a negative one of its own.
        options: which losses, and the triplet loss's margin.
    """
    parts: dict[str, Float[Tensor, ""]] = {}
    if logits is not None:  # Eq. 13; a distractor is of no class
        known = target >= 0
        parts["identity"] = functional.cross_entropy(logits[known], target[known])
    if options.triplet:
        # Eq. 14 with the sign and the minimum over the other identities as meant, hinged
        each = [batch_hard_triplet(*graph, options.margin) for graph in zip(x, target, strict=True)]
        parts["triplet"] = torch.stack(each).mean()
    if options.verification:  # Eq. 15
        unit = functional.normalize(x, dim=2)
        same = target[:, :, None] == target[:, None]  # [b, n, n]
        # two distractors may show one person or two
        known = (target[:, :, None] >= 0) | (target[:, None] >= 0)
        parts["verification"] = (same.float() - unit @ unit.mT)[known].square().mean()
    return parts
