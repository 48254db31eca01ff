"""The supervised contrastive loss (Khosla et al. 2020) of many images, in blocks of rows."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


def supervised_contrastive(
    features: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    temperature: float = 0.07,
    *,
    include_self: bool = False,
    rows: int = 2048,
) -> Float[Tensor, ""]:
    """Mean over images of -1/P_i times the sum over its P_i partners j of log softmax_a(z_i z_a /
    temperature) at j.

    Khosla et al. 2020, eq. (2), with vectors scaled to unit length. Loss and gradient are made in
    blocks of rows in one pass, so that the (n, n) matrix is never held.

    Args:
        features: the vectors, of any length.
        labels: identities.
        temperature: divides the cosines.
        include_self: an image is its own partner and stands in its own softmax; else it does
            neither, and images without partner are left out.
        rows: of a block.
    """
    unit = functional.normalize(features)
    loss: Tensor = _Contrastive.apply(unit, labels, temperature, include_self, rows)  # type: ignore[assignment]
    return loss


class _Contrastive(torch.autograd.Function):
    """The scores of partners add up to a product with the sum of their identity's vectors: blocks
    are for the softmax alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Float[Tensor, "n d"],
        labels: Int64[Tensor, " n"],
        temperature: float,
        include_self: bool,
        rows: int,
    ) -> Float[Tensor, ""]:
        _, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
        partners = count[place] - (0 if include_self else 1)
        counts = (partners > 0)[:, None]
        total = z.new_zeros(len(count), z.shape[1]).index_add_(0, place, z)[place]
        mean = (total if include_self else total - z) / partners.clamp(min=1)[:, None] * counts
        loss = -(z * mean).sum() / temperature
        # a pair of partners has two rows: either's gradient is the other's mean
        gradient = -2 * mean if ctx.needs_input_grad[0] else None
        for start in range(0, len(z), rows):
            block = z[start : start + rows]
            some = counts[start : start + rows]
            score = (block @ z.T).div_(temperature)
            if not include_self:
                own = torch.arange(len(block), device=z.device)
                score[own, start + own] = -torch.inf
            log_sum = score.logsumexp(1, keepdim=True)
            loss += log_sum[some].sum()
            if gradient is not None:
                softmax = score.sub_(log_sum).exp_().mul_(some)
                gradient[start : start + rows] += softmax @ z
                gradient += softmax.T @ block
        counted = max(int(counts.sum()), 1)
        if gradient is not None:
            ctx.save_for_backward(gradient / (counted * temperature))
        return loss / counted

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0], None, None, None, None
