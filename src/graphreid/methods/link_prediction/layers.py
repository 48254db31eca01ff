"""Layers over padded graphs: node features [b, n, h] and a mask [b, n] of the real nodes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class NodeBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of real nodes only; in training, padding becomes 0."""

    def forward(  # type: ignore[override]  # batch norm takes no mask
        self, z: Float[Tensor, "b n h"], real: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n h"]:
        """Each of h entries normalised; `real` None means that there is no padding."""
        if not self.training or real is None or bool(real.all()):
            return super().forward(z.flatten(0, 1)).view_as(z)
        rows = super().forward(z[real])
        return torch.zeros(z.shape, dtype=rows.dtype, device=z.device).masked_scatter(
            real[..., None], rows
        )
