"""Losses that more than one method trains with."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


def identity_loss(
    logits: Float[Tensor, "b classes"], labels: Int64[Tensor, " b"], smoothing: int | float = 0.1
) -> Float[Tensor, ""]:
    """Cross-entropy with label smoothing: the target is 1 - e + e/classes for the right class,
    e/classes for the others.

    Szegedy et al. 2016; Luo et al. 2019, eq. (2), has (classes - 1)/classes e off the right class's
    1: the same.
    """
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def batch_hard_triplet(
    features: Float[Tensor, "b d"], labels: Int64[Tensor, " b"], margin: int | float | None = 0.3
) -> Float[Tensor, ""]:
    """Mean over anchors of max(0, d_ap - d_an + margin), Euclidean, with the batch's hardest
    positive and negative.

    Hermans et al. 2017, eq. (5), which takes the sum. An anchor without a positive or without a
    negative is left out; where all are, the loss is 0. With margin None it is the mean of log(1 +
    exp(d_ap - d_an)).
    """
    # differences, not |a|^2 + |b|^2 - 2ab: near images would lose their digits, and the root's
    # gradient with them
    distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    counts = positive.any(1) & ~same.all(1)
    farthest = distance.masked_fill(~positive, -torch.inf).amax(1)[counts]
    nearest = distance.masked_fill(same, torch.inf).amin(1)[counts]
    if not len(farthest):
        return features.sum() * 0
    gap = farthest - nearest
    return functional.softplus(gap).mean() if margin is None else (gap + margin).clamp(min=0).mean()


def center_loss(
    features: Float[Tensor, "b d"], labels: Int64[Tensor, " b"], centers: Float[Tensor, "classes d"]
) -> Float[Tensor, ""]:
    """Mean over the batch of the squared distance to the class's center.

    Wen et al. 2016, eq. (2), without its factor 1/2 and divided by the batch's size, as the
    baseline's code has it.
    """
    return (features - centers[labels]).square().sum(1).mean()


@torch.no_grad()
def update_centers(
    features: Float[Tensor, "b d"],
    labels: Int64[Tensor, " b"],
    centers: Float[Tensor, "classes d"],
    rate: int | float,
) -> None:
    """Update the centers in place by one SGD step at `rate` on the unweighted center loss; the
    gradient is 2/B times the summed differences.
    """
    pull = (features - centers[labels]) * (2 * rate / len(labels))
    centers.index_add_(0, labels, pull)
