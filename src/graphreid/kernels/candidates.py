"""Who may be among a row's nearest: the largest entries of a product, read tile by tile and held
under a bound on its error.

Numbers are compared as integers in the order of their values, their keys: int16 for bfloat16, int32
for float32 (a negative number's lower bits are flipped). If s is an exact product, p the one in the
tile before it was rounded to the tile's type, and |s - p| <= e, then the k largest s have p of at
least P - 2e, where P is the k-th largest p; and rounding keeps the order. So an entry counts whose
key is not under that of P - 2e, and P may be taken from the entries seen so far.

The smallest entries are held by the same code: the key of -x is ~key.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

I32 = NDArray[np.int32]
F64 = NDArray[np.float64]
Keys = NDArray[Any]

CHUNK = 64
"""Entries that are compared at once, before any is looked at by itself."""
LOW = 16
"""Room for a row's smallest entries."""


class Held(NamedTuple):
    """The entries held for each of m rows.

    Attributes:
        key, column: [m, room], the first size[i] of row i, in no order.
        size: int32 [m]; equal to `room` where a row has had more candidates than room, and is lost.
        floor: [m], the key under which nothing counts any more.
        slack: float64 [m], 2e, and what else of difference must not decide (equal distances after
            rounding).
        k: how many largest entries are looked for.
    """

    key: Keys
    column: I32
    size: I32
    floor: Keys
    slack: F64
    k: int


def held(rows: int, k: int, room: int, slack: F64, key: type[np.signedinteger[Any]]) -> Held:
    """Nothing held yet; `room` at least k + k/7, or every row is lost."""
    return Held(
        np.empty((rows, room), key),
        np.empty((rows, room), np.int32),
        np.zeros(rows, np.int32),
        np.full(rows, np.iinfo(key).min, key),
        slack,
        k,
    )


@njit(cache=True)
def value(key: Any, shift: int) -> Any:
    """The number that a key of shift + 1 bits stands for."""
    bits = np.int32(key)
    bits ^= (bits >> shift) & ((np.int64(1) << shift) - 1)
    return np.float64(np.int32(bits << (31 - shift)).view(np.float32))


@njit(cache=True)
def _floor(key: Any, slack: float, shift: int) -> Any:
    """The key under which nothing counts, if `key` is the k-th largest."""
    least = value(key, shift)
    if shift == 15:
        # before it was rounded it may have been half a step smaller
        least = (least + value(key - 1, shift)) / 2
    bits = np.int64(np.float32(least - slack).view(np.int32))
    if shift == 15:
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return bits ^ ((bits >> shift) & ((np.int64(1) << shift) - 1))


@njit(cache=True)
def _select(key: Keys, column: Keys, count: int, k: int) -> None:
    """Bring the k largest of the first `count` keys to the front, the k-th to place k - 1 (Hoare's
    quickselect).
    """
    low, high = 0, count - 1
    while low < high:
        pivot = key[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while key[i] > pivot:
                i += 1
            while key[j] < pivot:
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                column[i], column[j] = column[j], column[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            return


@njit(cache=True)
def _tighten(into: Held, i: int, shift: int) -> None:
    """Raise the floor of row i to what its entries say, and drop those under it."""
    key, column, count = into.key[i], into.column[i], into.size[i]
    if count < into.k or into.k == 0:
        return
    _select(key, column, count, into.k)
    floor = max(into.floor[i], _floor(key[into.k - 1], into.slack[i], shift))
    kept = into.k
    for e in range(into.k, count):
        if key[e] >= floor:
            key[kept], column[kept] = key[e], column[e]
            kept += 1
    into.size[i] = kept
    into.floor[i] = floor


@njit(cache=True)
def _take(
    tile: Keys, hits: Keys, turn: int, into: Held, first: int, start: int, own: I32, by_row: bool
) -> None:
    """Hold what counts of a tile; `turn` is -1 for the smallest, else 0.

    hits: [rows, chunks], how many entries of each chunk counted when the floors, which only rise,
    were no higher. `own` may be
    empty. One call does for a tile: numba counts the references to every array that it hands to a
    function.
    """
    kind = tile.dtype.type
    shift = kind(8 * tile.itemsize - 1)
    flip = kind((np.int64(1) << shift) - 1)
    keys, columns, sizes, floors = into.key, into.column, into.size, into.floor
    room = keys.shape[1]
    for r in range(tile.shape[0]):
        for chunk in range(hits.shape[1]):
            left = hits[r, chunk]
            c = chunk * CHUNK
            end = min(c + CHUNK, tile.shape[1])
            while left > 0 and c < end:
                key = kind(tile[r, c] ^ ((tile[r, c] >> shift) & flip) ^ turn)
                i, at = (first + r, start + c) if by_row else (start + c, first + r)
                c += 1
                if key < floors[i]:
                    continue
                left -= 1
                count = sizes[i]
                if count < room and (own.shape[0] == 0 or own[i] != at):
                    keys[i, count], columns[i, count] = key, at
                    sizes[i] = count + 1
                    if count + 1 == room:
                        _tighten(into, i, shift)
                        if sizes[i] > room - (room >> 3):
                            sizes[i], floors[i] = room, flip


@njit(cache=True, nogil=True)
def begin(tile: Keys, first: int, groups: int, top: Held, low: Held) -> None:
    """A first floor for rows that hold nothing, from `groups` maxima of the tile's row (one of them
    may be the row itself).
    """
    kind = tile.dtype.type
    shift = kind(8 * tile.itemsize - 1)
    flip = kind((np.int64(1) << shift) - 1)
    if top.k >= groups or groups > tile.shape[1]:
        return
    for r in range(tile.shape[0]):
        largest = np.full(groups, ~flip, tile.dtype)
        smallest = np.full(groups, ~flip, tile.dtype)
        for start in range(0, tile.shape[1] - groups + 1, groups):
            part = tile[r, start : start + groups]
            for c in range(groups):
                key = kind(part[c] ^ ((part[c] >> shift) & flip))
                largest[c] = max(largest[c], key)
                smallest[c] = max(smallest[c], kind(~key))
        low.floor[first + r] = _floor(smallest.max(), low.slack[first + r], shift)
        if top.k:
            _select(largest, smallest, groups, top.k + 1)
            top.floor[first + r] = _floor(largest[top.k], top.slack[first + r], shift)


@njit(cache=True, nogil=True)
def scan_rows(tile: Keys, first: int, start: int, own: I32, top: Held, low: Held) -> None:
    """Hold what counts in a tile for its rows, which are held as first, first + 1 ..; its columns
    are start, start + 1 ..

    own: the column that row i is itself, or -1; it is only held among the smallest.
    """
    kind = tile.dtype.type
    shift = kind(8 * tile.itemsize - 1)
    flip = kind((np.int64(1) << shift) - 1)
    hits = np.zeros((tile.shape[0], (tile.shape[1] + CHUNK - 1) // CHUNK), tile.dtype)
    lows = np.zeros_like(hits)
    for r in range(tile.shape[0]):
        floor, under = top.floor[first + r], low.floor[first + r]
        for chunk in range(hits.shape[1]):
            part = tile[r, chunk * CHUNK : (chunk + 1) * CHUNK]
            more, fewer = kind(0), kind(0)
            for c in range(part.shape[0]):
                key = kind(part[c] ^ ((part[c] >> shift) & flip))
                more = kind(more + kind(key >= floor))
                fewer = kind(fewer + kind(kind(~key) >= under))
            hits[r, chunk], lows[r, chunk] = more, fewer
    _take(tile, hits, 0, top, first, start, own, True)
    _take(tile, lows, -1, low, first, start, own[:0], True)


@njit(cache=True, nogil=True)
def scan_columns(tile: Keys, first: int, start: int, top: Held, low: Held) -> None:
    """The same for the tile's columns, which are held as start, start + 1 ..; for them its rows are
    first, first + 1 ..
    """
    kind = tile.dtype.type
    shift = kind(8 * tile.itemsize - 1)
    flip = kind((np.int64(1) << shift) - 1)
    hits = np.zeros((tile.shape[0], (tile.shape[1] + CHUNK - 1) // CHUNK), tile.dtype)
    lows = np.zeros_like(hits)
    for r in range(tile.shape[0]):
        for chunk in range(hits.shape[1]):
            part = tile[r, chunk * CHUNK : (chunk + 1) * CHUNK]
            floor, under = top.floor[start + chunk * CHUNK :], low.floor[start + chunk * CHUNK :]
            more, fewer = kind(0), kind(0)
            for c in range(part.shape[0]):
                key = kind(part[c] ^ ((part[c] >> shift) & flip))
                more = kind(more + kind(key >= floor[c]))
                fewer = kind(fewer + kind(kind(~key) >= under[c]))
            hits[r, chunk], lows[r, chunk] = more, fewer
    none = np.empty(0, np.int32)
    _take(tile, hits, 0, top, first, start, none, False)
    _take(tile, lows, -1, low, first, start, none, False)


@njit(cache=True)
def _sort(into: Held, i: int) -> None:
    """Order row i by key, the largest first (in a function of its own: within `finish` numba would
    assign without a copy).
    """
    count = into.size[i]
    order = np.argsort(~into.key[i, :count])
    into.key[i, :count] = into.key[i, :count][order]
    into.column[i, :count] = into.column[i, :count][order]


@njit(cache=True, parallel=True)
def finish(into: Held) -> NDArray[np.bool_]:
    """Drop what no longer counts, order each row by key, the largest first, and say which rows are
    lost.
    """
    lost = np.zeros(into.key.shape[0], np.bool_)
    shift = 8 * into.key.itemsize - 1
    for i in prange(into.key.shape[0]):
        lost[i] = into.size[i] == into.key.shape[1]
        if not lost[i]:
            _tighten(into, i, shift)
            _sort(into, i)
    return lost
