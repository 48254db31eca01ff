"""ICG's losses (Eqs. 16-22).

L_feat = sum over the groups of L_ID + L_triplet + weight L_center     Eqs. 20-21
L_sep, L_par = cross-entropies of pixels with pseudo-labels            Eqs. 16-19
L = 0.2 L_feat + 0.1 L_sep + 0.1 L_par                                 Eq. 22
"""

from typing import cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from graphreid.models.icg.model import PartFeatures, PartNetwork, activation
from graphreid.models.icg.options import LossWeights
from graphreid.models.losses import batch_hard_triplet, center_loss, identity_loss, update_centers
from graphreid.models.options import Losses

UNKNOWN = -1
"""The label of a pixel that says nothing: padded, or erased."""


def pixel_loss(
    logits: Float[Tensor, "b k h w"], labels: Int64[Tensor, "b h w"]
) -> Float[Tensor, ""]:
    """Cross-entropy, the mean over the pixels that have a label; 0 where none has (Eqs. 17 and
    19).
    """
    known = (labels != UNKNOWN).sum().clamp(min=1)
    return functional.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum") / known


class ICGObjective(nn.Module):
    """From a batch to the losses.

    Args:
        network: gives the groups' features and the maps.
        losses: of a group of features.
        weights: of Eq. 22.
        threshold: an activation above it is foreground.
        bf16: whether the network runs in bf16.
    """

    def __init__(
        self,
        network: PartNetwork,
        losses: Losses,
        weights: LossWeights,
        *,
        threshold: float,
        bf16: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self.losses = losses
        self.weights = weights
        self.threshold = threshold
        self.bf16 = bf16
        for name, head in {"global": network.classifier, **network.classifiers}.items():
            self.register_buffer(f"centers_{name}", torch.randn_like(cast(nn.Linear, head).weight))

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Float[Tensor, ""]]:
        """The weighted parts of L (Eq. 22); in training the centers move.

        Args:
            batch: pixels [b, 3, H, W], classes [b] and the pixels' labels [b, h, w].
        """
        pixels, target, labels = batch
        weights = self.weights
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            made = self.network.part_features(pixels)
        parts = {
            group: weights.feature_weight * self._group_loss(group, made, target)
            for group in made.features
        }  # Eq. 21
        if made.separation is not None:
            # the pseudo mask has no gradient; an unknown pixel of the labels is unknown here too
            mask = (activation(made.f.detach()) > self.threshold).long()
            mask = mask.masked_fill(labels == UNKNOWN, UNKNOWN)
            separation = pixel_loss(made.separation, mask)  # L_sep, Eq. 17
            parts["separation"] = weights.separation_weight * separation
        if made.confidence is not None:
            assignment = pixel_loss(made.confidence, labels)  # L_par, Eq. 19
            parts["assignment"] = weights.part_weight * assignment
        return parts

    def _group_loss(self, group: str, made: PartFeatures, target: Tensor) -> Float[Tensor, ""]:
        """L of Eq. 20: identity loss after the group's batch norm, triplet and center loss
        before.
        """
        options = self.losses
        feature = made.features[group]
        logits = self.network.logits(group, self.network.after_norm(group, made))
        loss = identity_loss(logits, target, options.smoothing)
        triplet = batch_hard_triplet(feature, target, options.margin)
        loss = loss + options.triplet_weight * triplet
        if options.center_weight:
            centers = self.get_buffer(f"centers_{group}")
            loss = loss + options.center_weight * center_loss(feature, target, centers)
            update_centers(feature, target, centers, options.center_rate)
        return loss
