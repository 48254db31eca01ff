"""THE exact nearest-neighbour search: by blocks, on the CPU or a GPU, within the memory that
`Resources` gives.

A matrix product proposes candidates; their distances are then taken again with float64 sums and
rounded to float32. A pair's distance is therefore the same whichever block, batch or device it came
from, and equal distances go by index. A row whose candidates might not hold all of its nearest
(many near-equal distances) is searched again among all images that the product's error bound
admits, so the answer is exact, not probable.

On the CPU a large search goes by tiles (`kernels/product_tiles.py`), in bfloat16 where the
processor is fast at it; a small one, and one on a GPU, by blocks of rows and `torch.topk`. The
answer is the same.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32, Int64
from numpy.typing import NDArray

from graphreid.resources import Resources
from graphreid.types import Neighbors

Metric = Literal["cosine", "euclidean"]
Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""A set of vectors in two arrays: the second's rows follow the first's."""

MARGIN = 16
"""Candidates beyond k: enough that fewer than one row in a thousand of real embeddings is searched
twice.
"""
LOWEST = 4
"""Candidates for the farthest image."""
LARGE = 2**31
"""Multiplications from which on tiles are worth their while."""

_way: Literal["rows", "float32", "bfloat16"] | None = None
"""Tests force blocks of rows, or tiles of a type; None chooses."""


def search(
    base: Float32[np.ndarray, "n d"],
    k: int,
    *,
    more: Float32[np.ndarray, "e d"] | None = None,
    queries: Float32[np.ndarray, "m d"] | None = None,
    own: Int64[np.ndarray, " m"] | None = None,
    metric: Metric = "cosine",
    resources: Resources | None = None,
) -> Neighbors:
    """The k nearest rows of `base` for each query, nearest first, equal distances by index.

    Args:
        base: rows to search; for "cosine" of unit length (a zero row has distance 1 to all).
        k: how many; cut to the rows there are (one fewer where a row is left out).
        more: rows that follow those of `base`: a set in two arrays need not be joined.
        queries: rows to search for; None searches each row of the base among the others.
        own: the row of the base that each query is itself and must not find, or -1.
        metric: "cosine" is 1 - cos in [0, 2], "euclidean" is not squared.
        resources: where and with how much memory.

    Returns:
        Neighbors of [m, min(k, n)] (min(k, n - 1) where any row is left out). `farthest` counts
        every row of the base; it is to within the product's rounding, the others to the last bit.

    Raises:
        ValueError: k is less than 0, or the memory does not hold one row of distances.
    """
    resources = resources or Resources()
    if k < 0:
        raise ValueError(f"k is {k}: it must not be negative")
    rows: Rows = base, base[:0] if more is None else more
    n = len(rows[0]) + len(rows[1])
    m = n if queries is None else len(queries)
    itself = np.arange(n) if queries is None else np.full(m, -1) if own is None else own
    k = min(k, n - 1 if (itself >= 0).any() else n)
    out = Neighbors(
        np.empty((m, k), np.int32), np.empty((m, k), np.float32), np.empty(m, np.float32)
    )
    with resources.limits():
        remaining = _by_tiles(rows, queries, itself, metric, resources, out)
        if len(remaining):
            _by_rows(rows, queries, itself, metric, resources, out, remaining)
    return out


def nearest_in(
    distance: Float32[np.ndarray, "m n"],
    base: Float32[np.ndarray, "n d"],
    k: int,
    *,
    queries: Float32[np.ndarray, "m d"],
    own: Int64[np.ndarray, " m"],
    resources: Resources,
) -> Neighbors:
    """What `search` gives for "cosine", from distances that `block_distances` has given; these are
    left as they are.
    """
    k = min(k, len(base) - 1 if (own >= 0).any() else len(base))
    with resources.limits():
        searcher = _Searcher((base, base[:0]), "cosine", resources)
        searcher.bound += 2.0**-22  # 1 - s was rounded
        return Neighbors(
            *searcher.block(queries, own, k, torch.from_numpy(distance).to(resources.device).neg())
        )


def _by_tiles(
    base: Rows,
    queries: NDArray[np.float32] | None,
    own: NDArray[np.int64],
    metric: Metric,
    resources: Resources,
    out: Neighbors,
) -> NDArray[np.intp]:
    """Search in tiles, into `out`, if that pays and fits the memory; returns the rows that remain
    to be searched.
    """
    (m, k), n, width = out.index.shape, len(base[0]) + len(base[1]), base[0].shape[1]
    on_cpu = torch.device(resources.device).type == "cpu"
    if _way == "rows" or not on_cpu or not k or (_way is None and n * m * width < LARGE):
        return np.arange(m)
    from graphreid.kernels import product_tiles as tiles  # noqa: PLC0415  # numba is for the CPU alone

    threads = torch.get_num_threads()
    others = 0 if queries is None else width
    kind = _way or tiles.kind_for(m, metric == "euclidean")
    if not _fits(
        resources, m * tiles.row_bytes(k, others, kind), tiles.fixed_bytes(n, width, kind, threads)
    ):
        kind = "float32"
    if not _fits(
        resources, m * tiles.row_bytes(k, others, kind), tiles.fixed_bytes(n, width, kind, threads)
    ):
        return np.arange(m)
    right = tiles.Factor(base, metric == "euclidean", kind)
    left = (
        None
        if queries is None
        else tiles.Factor((queries, queries[:0]), metric == "euclidean", kind)
    )
    tiled = tiles.Search(right, left, own.astype(np.int32), k, threads)
    lost = tiled.run(
        lambda steps, total: resources.track("neighbours", steps, total),
        out.index,
        out.distance,
        out.farthest,
    )
    return np.flatnonzero(lost)


def _fits(resources: Resources, needed: int, fixed: int) -> bool:
    try:
        return resources.rows(1, fixed_bytes=fixed, most=needed, what="tiles") >= needed
    except ValueError:
        return False


def _by_rows(
    base: Rows,
    queries: NDArray[np.float32] | None,
    own: NDArray[np.int64],
    metric: Metric,
    resources: Resources,
    out: Neighbors,
    remaining: NDArray[np.intp],
) -> None:
    """Search for the remaining rows in blocks, into `out`."""
    n, k = len(base[0]) + len(base[1]), out.k
    searcher = _Searcher(base, metric, resources)
    # a block's distances, torch.topk's own copy, what joins the base's two parts, and the
    # candidates
    rows = resources.rows(
        n * (12 if len(base[1]) else 8) + (k + MARGIN) * 24, what=f"a search among {n} images"
    )
    starts = range(0, len(remaining), rows)
    for start in resources.track("neighbours", starts, len(starts)):
        part = remaining[start : start + rows]
        vectors = taken(base, part) if queries is None else queries[part]
        out.index[part], out.distance[part], out.farthest[part] = searcher.block(
            vectors, own[part], k
        )


def taken(rows: Rows, index: NDArray[np.intp]) -> NDArray[np.float32]:
    """The vectors at `index`."""
    first = len(rows[0])
    if not len(rows[1]):
        return rows[0][index]
    return np.where(
        (index < first)[:, None],
        rows[0][np.minimum(index, first - 1)],
        rows[1][np.maximum(index - first, 0)],
    )


def block_distances(
    queries: Float32[np.ndarray, "b d"],
    base: Float32[np.ndarray, "n d"],
    metric: Metric,
    resources: Resources,
) -> Float32[np.ndarray, "b n"]:
    """All distances of a block of queries, by one matrix product (`search` and `listed_distances`
    round more carefully).
    """
    left, right = (
        torch.from_numpy(queries).to(resources.device),
        torch.from_numpy(base).to(resources.device),
    )
    with resources.limits():
        return _to_distance(left @ right.T, left, right, metric).cpu().numpy()


def listed_distances(
    left: Float32[np.ndarray, "m d"],
    right: Float32[np.ndarray, "n d"],
    columns: Int32[np.ndarray, "m k"],
    metric: Metric,
    resources: Resources,
) -> Float32[np.ndarray, "m k"]:
    """Distances of row i of `left` to the rows `columns[i]` of `right`, to the last bit of float32;
    +inf where -1.
    """
    if torch.device(resources.device).type == "cpu":
        from graphreid.kernels import pair_distances as pairs  # noqa: PLC0415  # numba is for the CPU alone

        return pairs.listed((left, left[:0]), (right, right[:0]), columns, metric == "euclidean")
    return _listed_on_device(
        left, torch.from_numpy(right).to(resources.device), columns, metric, resources
    )


def _listed_on_device(
    left: NDArray[np.float32],
    right: Float[torch.Tensor, "n d"],
    columns: NDArray[np.int32],
    metric: Metric,
    resources: Resources,
) -> NDArray[np.float32]:
    out = np.empty(columns.shape, np.float32)
    rows = resources.rows(columns.shape[1] * left.shape[1] * 16 + 1, what="listed distances")
    for start in range(0, len(left), rows):
        part = slice(start, start + rows)
        chosen = torch.from_numpy(columns[part]).to(resources.device).long()
        out[part] = (
            _careful(torch.from_numpy(left[part]).to(resources.device), right, chosen, metric)
            .cpu()
            .numpy()
        )
    return out


def pair_distances(
    left: Float32[np.ndarray, "m d"],
    rows: Int32[np.ndarray, " e"],
    right: Float32[np.ndarray, "n d"],
    columns: Int32[np.ndarray, " e"],
    metric: Metric,
    resources: Resources,
    *,
    more: Float32[np.ndarray, "f d"] | None = None,
) -> Float32[np.ndarray, " e"]:
    """Distances of `left[rows[e]]` to `right[columns[e]]`, to the last bit of float32.

    With `more`, its rows follow those of `left`, and those of `right`: both are then one set in two
    arrays.
    """
    more = left[:0] if more is None else more
    if torch.device(resources.device).type == "cpu":
        from graphreid.kernels import pair_distances as pairs  # noqa: PLC0415

        return pairs.flat((left, more), rows, (right, more), columns, metric == "euclidean")
    out = np.empty(len(rows), np.float32)
    step = resources.rows(left.shape[1] * 24, most=2**20, what="pair distances")
    one, other = (
        torch.from_numpy(np.concatenate([side, more]) if len(more) else side)
        for side in (left, right)
    )
    one, other = one.to(resources.device), other.to(resources.device)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        near = torch.from_numpy(columns[part]).to(resources.device).long()[:, None]
        chosen = one[torch.from_numpy(rows[part]).to(resources.device).long()]
        out[part] = _careful(chosen, other, near, metric)[:, 0].cpu().numpy()
    return out


class _Searcher:
    """The base on its device, and how far the product may be from the true value there."""

    def __init__(self, base: Rows, metric: Metric, resources: Resources) -> None:
        self.host = base
        self.metric: Metric = metric
        self.resources = resources
        parts = [torch.from_numpy(part).to(resources.device) for part in base if len(part)]
        # joined where gathering needs it; a processor multiplies by one part after the other
        self.parts = parts if torch.device(resources.device).type == "cpu" else [torch.cat(parts)]
        # |fl(x.y) - x.y| <= d 2^-24 |x||y| in any order of summation (Higham 2002, 3.5), and tf32
        # is not used
        self.half_squares, self.longest = None, 1.0
        if metric == "euclidean":
            squares = torch.cat([torch.einsum("nd,nd->n", part, part) for part in self.parts])
            self.half_squares, self.longest = squares / 2, float(squares.max()) ** 0.5
        self.bound = base[0].shape[1] * 2.0**-24 * 1.01
        if metric == "cosine":
            self.bound += 1e-7  # distances that are one float32 go by index

    def block(
        self,
        queries: NDArray[np.float32],
        own: NDArray[np.int64],
        k: int,
        score: Float[torch.Tensor, "b n"] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Index, distance and farthest of a block; `score` grows as distance falls, and is changed
        if it is given.
        """
        left = torch.from_numpy(queries).to(self.resources.device)
        if score is None:
            products = [left @ part.T for part in self.parts]
            score = products[0] if len(products) == 1 else torch.cat(products, dim=1)
            del products
            if self.half_squares is not None:
                score -= self.half_squares
        lowest = (
            score.topk(min(LOWEST, score.shape[1]), largest=False)
            .indices.to(torch.int32)
            .cpu()
            .numpy()
        )
        farthest = self._listed(queries, lowest).max(axis=1)
        rows = np.flatnonzero(own >= 0)
        score[torch.from_numpy(rows), torch.from_numpy(own[rows])] = -torch.inf
        wide = min(k + MARGIN, score.shape[1])
        value, candidate = score.topk(wide, sorted=True)
        columns = candidate.to(torch.int32).masked_fill_(value == -torch.inf, -1).cpu().numpy()
        index, distance = self._ordered(queries, columns, k)
        if wide < score.shape[1] and k:
            # the best that was left out could still belong to the first k: look again among all
            # that the bound admits
            floor = value[:, k - 1] - 2 * self._row_bound(left)
            for row in torch.nonzero(value[:, -1] >= floor).flatten().tolist():
                all_columns = (
                    torch.nonzero(score[row] >= floor[row]).to(torch.int32).T.cpu().numpy()
                )
                index[row : row + 1], distance[row : row + 1] = self._ordered(
                    queries[row : row + 1], all_columns, k
                )
        return index, distance, farthest

    def _ordered(
        self, queries: NDArray[np.float32], columns: NDArray[np.int32], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        distance = self._listed(queries, np.ascontiguousarray(columns))
        order = np.lexsort((columns, distance), axis=1)[:, :k]
        return np.take_along_axis(columns, order, 1), np.take_along_axis(distance, order, 1)

    def _listed(
        self, queries: NDArray[np.float32], columns: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        if torch.device(self.resources.device).type == "cpu":
            from graphreid.kernels import pair_distances as pairs  # noqa: PLC0415  # numba is for the CPU alone

            return pairs.listed(
                (queries, queries[:0]), self.host, columns, self.metric == "euclidean"
            )
        return _listed_on_device(queries, self.parts[0], columns, self.metric, self.resources)

    def _row_bound(self, left: Float[torch.Tensor, "b d"]) -> Float[torch.Tensor, " b"]:
        if self.metric == "cosine":
            return torch.full((len(left),), self.bound, device=left.device)
        length = torch.linalg.vector_norm(left, dim=1) + self.longest
        # of the product and of half the base's squares; and distances that are one float32 go by
        # index
        return self.bound * self.longest * length + 2.0**-21 * length**2


def _to_distance(
    product: Float[torch.Tensor, "b n"],
    left: Float[torch.Tensor, "b d"],
    right: Float[torch.Tensor, "n d"],
    metric: Metric,
) -> Float[torch.Tensor, "b n"]:
    if metric == "cosine":
        return product.neg_().add_(1).clamp_(min=0)
    product.mul_(-2).add_(torch.einsum("bd,bd->b", left, left)[:, None]).add_(
        torch.einsum("nd,nd->n", right, right)
    )
    return product.clamp_(min=0).sqrt_()


def _careful(
    left: Float[torch.Tensor, "b d"],
    base: Float[torch.Tensor, "n d"],
    columns: Int64[torch.Tensor, "b k"],
    metric: Metric,
) -> Float[torch.Tensor, "b k"]:
    chosen = base[columns.clamp(min=0)].double()
    if metric == "cosine":
        distance = (1 - torch.einsum("bd,bkd->bk", left.double(), chosen)).clamp_(min=0)
    else:
        distance = torch.linalg.vector_norm(left.double()[:, None] - chosen, dim=2)
    return distance.float().masked_fill_(columns < 0, torch.inf)
