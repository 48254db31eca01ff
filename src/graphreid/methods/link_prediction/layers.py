"""Layers over small graphs: node features [b, n, h], adjacency [b, n, n], and a mask [b, n] of the
nodes that are real.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class NodeBatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics are those of real nodes alone; padding nodes become 0 in
    training.
    """

    def forward(  # type: ignore[override]  # batch norm knows no mask
        self, z: Float[Tensor, "b n h"], real: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n h"]:
        """Normalise each of h entries; `real` None means that all nodes are."""
        if not self.training or real is None or bool(real.all()):
            return super().forward(z.flatten(0, 1)).view_as(z)
        rows = super().forward(z[real])
        return torch.zeros(z.shape, dtype=rows.dtype, device=z.device).masked_scatter(
            real[..., None], rows
        )


class ResidualGraphLayer(nn.Module):
    """Z + BN(ReLU(A Z W)), Ji et al. 2021, Eqs. 3-4; the same width in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, width, bias=False)
        self.norm = NodeBatchNorm(width)

    def forward(
        self,
        z: Float[Tensor, "b n h"],
        adjacency: Float[Tensor, "b n n"],
        real: Bool[Tensor, "b n"] | None = None,
        mapped: Float[Tensor, "b n h"] | None = None,
    ) -> Float[Tensor, "b n h"]:
        """The nodes after one step of reasoning; `mapped` is Z W where it is known already."""
        heard = adjacency @ (self.map(z) if mapped is None else mapped)
        return z + self.norm(torch.relu(heard), real)


class PairClassifier(nn.Module):
    """MLP (d + h) -> h -> h/2 -> 1 with ReLU over [X, Z]: a node's input beside its last features
    (Ji et al. 2021).
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        # one linear map of the concatenation, in two parts: the input's part is linear in f_p - f_g
        # and can be known already
        self.of_input = nn.Linear(inputs, width, bias=False)
        self.of_state = nn.Linear(width, width)
        self.hidden = nn.Linear(width, max(width // 2, 1))
        self.out = nn.Linear(max(width // 2, 1), 1)

    def forward(
        self, mapped: Float[Tensor, "b n h"], z: Float[Tensor, "b n h"]
    ) -> Float[Tensor, "b n"]:
        """A logit a node; `mapped` is of_input(X)."""
        first = torch.relu(mapped + self.of_state(z))
        return self.out(torch.relu(self.hidden(first)))[..., 0]
