"""The losses on HRNet's graphs: L_in, L_pa and the consistent node constraint (Eqs. 4-5, 13-14).

L_cl and L_tr of Eq. 14 are those of the embedder (`models.bot`): on given embeddings they have
nothing to train. All losses are means.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from graphreid.methods.hrnet.model import HybridRelations, Related
from graphreid.methods.hrnet.options import Losses


class RelationObjective(nn.Module):
    """Both graphs over a batch of images, every image an anchor, and their losses.

    Args:
        relations: the graphs.
        width: entries of a feature, d.
        classes: identities.
        options: of the losses.
    """

    def __init__(
        self, relations: HybridRelations, width: int, classes: int, options: Losses
    ) -> None:
        super().__init__()
        self.relations = relations
        self.classifier = nn.Linear(width, classes)
        self.options = options

    def forward(
        self, features: Float[Tensor, "n d"], target: Int64[Tensor, " n"]
    ) -> dict[str, Float[Tensor, ""]]:
        """The losses, through which gradients flow into the features.

        Args:
            features: of any length: as at test, their directions count.
            target: classes.
        """
        x = functional.normalize(features, dim=1) * features.shape[1] ** 0.5
        related = self.relations(x[None], len(x))
        return relation_losses(related, target, self.classifier, self.options)

    def extra_repr(self) -> str:
        """The options, which tell one run's checkpoints from another's."""
        return str(self.options)


def relation_losses(
    related: Related, target: Int64[Tensor, " n"], classifier: nn.Linear, options: Losses
) -> dict[str, Float[Tensor, ""]]:
    """L_in, lambda (L_c+ + L_c-) and L_pa of one batch in which every image is an anchor (Eq. 14).

    Args:
        related: of one batch, b = 1 and a = n.
        target: the images' classes.
        classifier: of the graph of images.
        options: weights and margins.
    """
    parts: dict[str, Float[Tensor, ""]] = {}
    if related.weights is not None:
        logits = classifier(related.images[-1])[0].float()  # [n, classes]
        parts["individual"] = functional.cross_entropy(
            logits, target, label_smoothing=options.smoothing
        )
        if options.constraint:
            layers = zip(related.images, related.images[1:], strict=False)
            each = [
                consistent_node_constraint(before[0], after[0], target, options.margin)
                for before, after in layers
            ]
            parts["constraint"] = options.constraint * torch.stack(each).sum()
    if related.logits is not None:
        parts["pairwise"] = _verification(related.logits[0], target, balance=options.balance)
    return parts


def _verification(
    logits: Float[Tensor, "n n"], target: Int64[Tensor, " n"], *, balance: bool
) -> Float[Tensor, ""]:
    """L_pa (Eq. 13), an image's pair with itself left out."""
    other = ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    same = (target[:, None] == target)[other].float()
    share = same.mean()
    weight = torch.where(same > 0, 0.5 / share, 0.5 / (1 - share)) if balance else None
    return functional.binary_cross_entropy_with_logits(logits.float()[other], same, weight)


def consistent_node_constraint(
    before: Float[Tensor, "n d"],
    after: Float[Tensor, "n d"],
    target: Int64[Tensor, " n"],
    margin: float,
) -> Float[Tensor, ""]:
    """L_c+ + L_c-, the means over nodes (Eqs. 4-5): a layer should bring positives nearer by the
    margin, and move negatives away.

    Of each node the farthest positive and the nearest negative count, by the distances after the
    layer; a node that has none is left out. z stops the gradient of the distances before.

    Args:
        before: a layer's input.
        after: its output.
        target: classes.
        margin: omega.
    """
    # differences, not |a|^2 + |b|^2 - 2ab: near images would lose their digits
    exact = "donot_use_mm_for_euclid_dist"
    m_after = torch.cdist(after.float(), after.float(), compute_mode=exact)  # [n, n]
    m_before = torch.cdist(before.float(), before.float(), compute_mode=exact).detach()
    same = target[:, None] == target
    positive = same & ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    total = after.sum() * 0
    # sign 1: L_c+ of positives; sign -1: L_c- of negatives
    for sign, allowed in ((1, positive), (-1, ~same)):
        hardest = (sign * m_after).masked_fill(~allowed, -torch.inf).argmax(1, keepdim=True)
        gap = sign * (m_after.gather(1, hardest) - m_before.gather(1, hardest)) + margin
        gap = gap[allowed.any(1)].clamp(min=0)
        total = total + (gap.mean() if len(gap) else 0)
    return total
