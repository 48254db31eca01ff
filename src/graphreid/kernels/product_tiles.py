"""The nearest rows of a set on the CPU: the product in tiles that stay in the cache, each scanned
where it was made.

A thread takes a tile, multiplies, and scans. A set against itself needs half of the tiles: each is
scanned by row and by column. In bfloat16 the product is several times as fast where the processor
has units for it; what it proposes is measured again, so the answer is the same.
"""

import functools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock, local
from typing import Literal

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from graphreid.kernels import candidates, nearest
from graphreid.kernels.pair_distances import Rows

Kind = Literal["float32", "bfloat16"]
KEYS = {"float32": np.int32, "bfloat16": np.int16}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

EDGE = 1024
"""Rows and columns of a tile: two of them fit the cache of a core, and the product is as fast as
with larger ones.
"""
QUEUED = 4096
"""Tiles that wait for a thread; each takes a kilobyte there."""
FEW = 256
"""Fewer queries than this are not worth rounding the whole base."""


@functools.cache
def faster_kind() -> Kind:
    """The type in which this processor's products are much faster, measured once: float32 unless
    bfloat16 is.
    """
    spent: dict[Kind, float] = {}
    kinds: tuple[Kind, ...] = ("float32", "bfloat16")
    for kind in kinds:
        left = torch.ones(256, 1024, dtype=DTYPES[kind])
        right = torch.ones(512, 1024, dtype=DTYPES[kind])
        times: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            torch.mm(left, right.T)
            times.append(time.perf_counter() - start)
        spent[kind] = min(times)
    return "bfloat16" if spent["bfloat16"] < spent["float32"] / 2 else "float32"


def room(k: int) -> int:
    """Candidates that a row may hold: the k nearest, those that the bound can't tell from them, and
    some to gather.
    """
    return 2 * k + 48


def kind_for(m: int, euclidean: bool) -> Kind:
    """What a search for `m` rows should multiply in."""
    return "float32" if euclidean or m < FEW else faster_kind()


def row_bytes(k: int, width: int, kind: Kind) -> int:
    """What each row that is searched for takes; `width` is 0 for the rows of the base."""
    key = KEYS[kind]().itemsize
    return (
        (room(k) + candidates.LOW) * (4 + key)
        + k * 4
        + 64
        + (width * 2 if kind == "bfloat16" else 0)
    )


def fixed_bytes(n: int, width: int, kind: Kind, threads: int) -> int:
    """What a search takes beside."""
    return (n * width * 2 if kind == "bfloat16" else 0) + threads * EDGE * EDGE * KEYS[
        kind
    ]().itemsize


class Factor:
    """One side of the product: its rows in the tiles' type, and how far these are from the truth.

    Args:
        rows: two arrays float32, the second's rows follow the first's.
        euclidean: whether the metric is; else the rows are of unit length, or zero.
        kind: the tiles' type.
    """

    def __init__(self, rows: Rows, euclidean: bool, kind: Kind) -> None:
        self.rows = rows
        self.parts = [torch.from_numpy(part) for part in rows]
        self.count, self.width = sum(map(len, rows)), rows[0].shape[1]
        self.kind: Kind = kind
        self.rounded = (
            torch.empty((self.count, self.width), dtype=torch.bfloat16)
            if kind == "bfloat16"
            else None
        )
        self.length = np.ones(self.count)
        self.loss = np.zeros(self.count)
        for start, stop in self.cuts(EDGE):
            if euclidean:
                part = self._part(start, stop)
                self.length[start:stop] = np.sqrt(
                    np.einsum("nd,nd->n", part.numpy(), part.numpy(), dtype=np.float64)
                )
            if self.rounded is not None:
                part, rounded = self._part(start, stop), self.rounded[start:stop]
                rounded.copy_(part)
                self.loss[start:stop] = (
                    torch.linalg.vector_norm(part - rounded, dim=1).numpy() * (1 + 1e-5) + 1e-30
                )
        self.half_squares = (
            torch.from_numpy((self.length**2 / 2).astype(np.float32)) if euclidean else None
        )

    def cuts(self, edge: int) -> list[tuple[int, int]]:
        """Ranges of at most `edge` rows, none of them in both arrays."""
        first = len(self.rows[0])
        ranges = [*range(0, first, edge), *range(first, self.count, edge)]
        return [
            (start, min(start + edge, first if start < first else self.count)) for start in ranges
        ]

    def block(self, start: int, stop: int) -> torch.Tensor:
        """Rows start .. stop-1 in the tiles' type; a range of `cuts`."""
        return self._part(start, stop) if self.rounded is None else self.rounded[start:stop]

    def _part(self, start: int, stop: int) -> torch.Tensor:
        first = len(self.rows[0])
        return (
            self.parts[0][start:stop]
            if start < first
            else self.parts[1][start - first : stop - first]
        )


def slack(left: Factor, right: Factor) -> NDArray[np.float64]:
    """For each row of `left`, how far under the k-th largest entry one may be that is among the k
    nearest all the same.

    |x.y - x^.y^| <= |x - x^||y| + |x^||y - y^|, and summing d products in float32 in any order
    loses at most d 2^-24 |x^||y^| (Higham 2002, 3.5). Where distances agree to the last bit of
    float32 the column decides.
    """
    long, loss = right.length.max(initial=0), right.loss.max(initial=0)
    rounded = left.length + left.loss
    bound = (
        left.loss * long + rounded * loss + 1.01 * left.width * 2.0**-24 * rounded * (long + loss)
    )
    if left.half_squares is not None:
        return 2 * bound + 2.0**-20 * (left.length + long) ** 2
    return 2 * bound + 5e-7


class Search:
    """A search for the rows of `left` among those of `right`.

    Args:
        right: the base.
        left: the queries; None for the base itself.
        own: int32 [m], the row of the base that each query is, or -1.
        k: how many, at least 1, and at most the rows there are.
        threads: how many.
    """

    def __init__(
        self, right: Factor, left: Factor | None, own: NDArray[np.int32], k: int, threads: int
    ) -> None:
        self.right, self.left = right, left or right
        self.alone = left is None
        self.own, self.k, self.threads = own, k, threads
        edge = EDGE if self.alone else min(EDGE, -(-self.left.count // threads))
        self.above, self.across = self.left.cuts(edge), self.right.cuts(EDGE)
        bound = slack(self.left, self.right)
        key = KEYS[right.kind]
        self.top = candidates.held(self.left.count, k, room(k), bound, key)
        self.low = candidates.held(self.left.count, 1, candidates.LOW, bound, key)
        self.groups = 64
        while self.groups < 2.5 * k:
            self.groups *= 2
        self.locks = [Lock() for _ in self.above]
        self.buffer = local()

    def run(
        self,
        track: Callable[[Iterable[None], int], Iterable[None]],
        index: NDArray[np.int32],
        near: NDArray[np.float32],
        far: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """The k nearest and their distances [m, k], and the largest distance [m]. Returns the rows
        that are lost.

        A row is lost, and what is written for it means nothing, if it had more candidates than
        room.
        """
        blocks = range(len(self.above))
        if self.alone:
            # the diagonal first: it gives every row a floor
            work, jobs = (
                self._pair,
                [(a, a + ahead) for ahead in blocks for a in blocks[: len(blocks) - ahead]],
            )
        else:
            work, jobs = self._row, [(a, 0) for a in blocks]
        lost = np.zeros(self.left.count, np.bool_)

        def steps() -> Iterator[None]:
            yield from _spread(work, jobs, self.threads)
            yield self._settle(lost, index, near, far)

        with _threads(self.threads):
            for _ in track(steps(), len(jobs) + 1):
                pass
        return lost

    def _pair(self, job: tuple[int, int]) -> None:
        a, b = job
        tile = self._product(a, b)
        first, start = self.above[a][0], self.above[b][0]
        with self.locks[a]:
            if a == b:
                candidates.begin(tile, first, self.groups, self.top, self.low)
            candidates.scan_rows(tile, first, start, self.own, self.top, self.low)
        if a != b:
            with self.locks[b]:
                candidates.scan_columns(tile, first, start, self.top, self.low)

    def _row(self, job: tuple[int, int]) -> None:
        a, _ = job
        first = self.above[a][0]
        for b, (start, _) in enumerate(self.across):
            tile = self._product(a, b)
            if b == 0:
                candidates.begin(tile, first, self.groups, self.top, self.low)
            candidates.scan_rows(tile, first, start, self.own, self.top, self.low)

    def _product(self, a: int, b: int) -> NDArray[np.signedinteger]:
        (top, bottom), (start, stop) = self.above[a], self.across[b]
        shape = (bottom - top, stop - start)
        if not hasattr(self.buffer, "tile"):
            self.buffer.tile = torch.empty(EDGE * EDGE, dtype=DTYPES[self.right.kind])
        tile = self.buffer.tile[: shape[0] * shape[1]].view(shape)
        torch.mm(self.left.block(top, bottom), self.right.block(start, stop).T, out=tile)
        if self.left.half_squares is not None and self.right.half_squares is not None:
            # -|x - y|^2 / 2: as large for the row as for the column
            tile.sub_(self.left.half_squares[top:bottom, None]).sub_(
                self.right.half_squares[start:stop]
            )
        return tile.view(torch.int16 if self.right.kind == "bfloat16" else torch.int32).numpy()

    def _settle(
        self,
        lost: NDArray[np.bool_],
        index: NDArray[np.int32],
        near: NDArray[np.float32],
        far: NDArray[np.float32],
    ) -> None:
        m, k = self.left.count, self.k
        lost[:] = candidates.finish(self.top) | candidates.finish(self.low)
        order, place = np.arange(m, dtype=np.int32), np.empty(0, np.int32)
        if self.alone:
            order = nearest.walk(self.top.column, self.top.size, k)
            place = np.empty(m, np.int32)
            place[order] = np.arange(m, dtype=np.int32)
        sides = self.left.rows, self.right.rows, self.right.half_squares is not None
        first = np.empty((m, k), np.float32)
        nearest.first_distances(*sides, self.top, lost, order, place, first)
        nearest.settle(*sides, self.top, self.low, lost, first, index, near, far)


def _spread(
    work: Callable[[tuple[int, int]], None], jobs: list[tuple[int, int]], threads: int
) -> Iterator[None]:
    """Do the jobs, begun in their order, each by one thread."""
    if threads == 1:
        yield from map(work, jobs)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for start in range(0, len(jobs), QUEUED):
            yield from pool.map(work, jobs[start : start + QUEUED])


@contextmanager
def _threads(count: int) -> Generator[None]:
    """Within it compiled loops use `count` threads, and torch's setting is put back after it."""
    loops, products = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(min(count, loops))
    try:
        yield
    finally:
        numba.set_num_threads(loops)
        torch.set_num_threads(products)
