"""K-means (Lloyd 1982) over one identity's foreground pixels, on the device where they are."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

Points = Float[Tensor, "n d"]
Labels = Int64[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Clusters:
    """What K-means ended with.

    Attributes:
        label: int64 [n], the cluster of each point; none is empty.
        centers: float [k, d], the means of the clusters before the points were assigned last.
        steps: assignments that were made.
        converged: whether the last of them changed nothing.
    """

    label: Labels
    centers: Float[Tensor, "k d"]
    steps: int
    converged: bool


def kmeans(points: Points, centers: Float[Tensor, "k d"], *, steps: int = 20) -> Clusters:
    """Lloyd's iteration from given centers: assign each point to the nearest, move each center to
    its points' mean.

    A center that loses all its points takes the point that is farthest from its own center, of a
    cluster that has others; the first such center chooses first. Of equal distances the first
    center and the first point count. Distances that differ by no more than rounding are equal, so
    that every processor gives the same clusters.

    Args:
        points: at least as many as centers.
        centers: where to begin.
        steps: assignments, at most.

    Raises:
        ValueError: fewer points than centers.
    """
    k = len(centers)
    if len(points) < k:
        raise ValueError(f"{len(points)} points can't make {k} clusters: give at least as many")
    label = _assigned(points, centers)
    for step in range(2, steps + 1):
        one_hot = functional.one_hot(label, k).to(points.dtype)
        centers = one_hot.T @ points / one_hot.sum(0)[:, None]
        before = label
        label = _assigned(points, centers)
        if torch.equal(label, before):
            return Clusters(label, centers, step, True)
    return Clusters(label, centers, steps, False)


def _assigned(points: Points, centers: Float[Tensor, "k d"]) -> Labels:
    # |x - c|^2 = |x|^2 - 2 (x c - |c|^2 / 2)
    squares = points.square().sum(1)
    lengths = centers.square().sum(1)
    nearness = torch.addmm(lengths / -2, points, centers.T)
    # a processor chooses the order of a sum of d terms: values so near to each other may be equal
    # (Higham 2002, 3.5: each is at most d u |x||c| off)
    slack = points.shape[1] * torch.finfo(points.dtype).eps / 2 * (squares[:, None] + lengths)
    label = _first(nearness >= nearness.max(1, keepdim=True).values - slack)
    count = torch.bincount(label, minlength=len(centers))
    for lost in torch.nonzero(count == 0).flatten().tolist():
        own = label[:, None]
        gap = (squares - 2 * nearness.gather(1, own)[:, 0]).masked_fill(
            count[label] < 2, -torch.inf
        )
        farthest = int(_first(gap >= gap.max() - 2 * slack.gather(1, own)[:, 0]))
        count[label[farthest]] -= 1
        label[farthest] = lost
        count[lost] = 1
    return label


def _first(true: Bool[Tensor, "*n k"]) -> Int64[Tensor, "*n"]:
    """Where the first true value is, along the last dimension."""
    return true.int().argmax(-1)


def first_centers(
    points: Points,
    k: int,
    *,
    kind: Literal["rows", "plusplus"],
    row: Int64[Tensor, " n"],
    draw: np.random.Generator,
) -> Float[Tensor, "k d"]:
    """Where to begin.

    Args:
        points: at least k.
        k: how many centers.
        kind: "rows", the means of k bands with equally many points, from the top row to the last;
            or "plusplus", points drawn one after the other with a chance in proportion to the
            squared distance to the nearest drawn before (Arthur and Vassilvitskii 2007).
        row: each point's, for "rows".
        draw: random numbers, for "plusplus".
    """
    if kind == "rows":
        order = torch.argsort(row, stable=True)
        return torch.stack([part.mean(0) for part in points[order].tensor_split(k)])
    chosen = [int(draw.integers(len(points)))]
    gap = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
    for _ in range(1, k):
        gap = torch.minimum(gap, (points - points[chosen[-1]]).square().sum(1))
        mass = gap.double().cumsum(0).cpu().numpy()
        chosen.append(
            min(int(np.searchsorted(mass, draw.random() * mass[-1], side="right")), len(points) - 1)
        )
    return points[chosen]


def top_to_bottom(label: Labels, row: Int64[Tensor, " n"], k: int) -> Labels:
    """The clusters numbered anew by their mean row, the topmost 0; equal rows by their number
    before.
    """
    count = torch.bincount(label, minlength=k).clamp(min=1)
    mean = torch.bincount(label, weights=row.double(), minlength=k) / count
    place = torch.empty(k, dtype=torch.int64, device=label.device)
    place[torch.argsort(mean, stable=True)] = torch.arange(k, device=label.device)
    return place[label]
