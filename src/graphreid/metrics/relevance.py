"""Relevance: which gallery images are positives of a query, and which do not count for it."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int8, Int64
from numpy.typing import NDArray

from graphreid.metrics.protocol import Protocol
from graphreid.types import DISTRACTOR, JUNK, NORMAL, Labels

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1
"""A pair of a query and a gallery image: of one identity, of two, or one that does not count."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Gallery columns of each query: those of query i stand at start[i] .. start[i+1].

    Attributes:
        column: int64 [m].
        start: int64 [q + 1].
    """

    column: Int64[np.ndarray, " m"]
    start: Int64[np.ndarray, " starts"]

    def of(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of the queries start .. stop-1, and where each query's begin and end in them."""
        begins = self.start[start : stop + 1]
        return self.column[begins[0] : begins[-1]], begins - begins[0]


class Relevance:
    """Which gallery images are positives of each query, and which do not count.

    Args:
        query: labels of the queries.
        gallery: labels of the gallery.
        own: int64 [q], the gallery row that is the query itself, or -1 (`Gallery.rows_of`).
        protocol: which images count.

    Attributes:
        positives: each query's images of its identity, those that count.
        removed: each query's own image, and what the protocol removes for its camera.
        junk: int64 [j], images that count for no query.

    Raises:
        ValueError: cameras on one side only, and the protocol needs them.
    """

    def __init__(
        self, query: Labels, gallery: Labels, *, own: Int64[np.ndarray, " q"], protocol: Protocol
    ) -> None:
        self.query = query
        self.gallery = gallery
        self.own = own
        self.protocol = protocol
        self.positives, self.removed = _positives_and_removed(query, gallery, own, protocol)
        self.junk = np.flatnonzero(gallery.role == JUNK)

    def marks(self, start: int, stop: int) -> Int8[np.ndarray, "b g"]:
        """POSITIVE, NEGATIVE or IGNORED for the queries start .. stop-1 and every gallery image."""
        marks = np.full((stop - start, len(self.gallery)), NEGATIVE, np.int8)
        for columns, value in ((self.positives, POSITIVE), (self.removed, IGNORED)):
            column, starts = columns.of(start, stop)
            marks[np.repeat(np.arange(stop - start), np.diff(starts)), column] = value
        marks[:, self.junk] = IGNORED
        return marks

    def unknown(self) -> Bool[np.ndarray, " q"]:
        """Queries whose identity is not in the gallery at all, not even in the query's own camera;
        junk queries are none.
        """
        mates = np.flatnonzero(
            (self.gallery.role == NORMAL) & ~_distractors(self.gallery, self.protocol)
        )
        names, count = np.unique(self.gallery.identity[mates], return_counts=True)
        place = np.minimum(np.searchsorted(names, self.query.identity), max(len(names) - 1, 0))
        found = (
            np.where(names[place] == self.query.identity, count[place], 0)
            if len(names)
            else np.zeros(len(self.query), int)
        )
        found = found - ((self.own >= 0) & np.isin(self.own, mates))
        return (self.query.role != JUNK) & ((found <= 0) | (self.query.role == DISTRACTOR))

    def require_positives(self) -> None:
        """Refuse labels by which no query has a positive.

        Raises:
            ValueError: why none has, and what to do.
        """
        if not len(self.positives.column):
            raise ValueError(f"no query can be evaluated: {self._why_no_positives()}")

    def _why_no_positives(self) -> str:
        queries = len(self.query)
        if (self.query.role != NORMAL).all():
            return f"all {queries} are junk or distractors (identity -1, or by their role)"
        any_camera = dataclasses.replace(self.protocol, camera="keep")
        positives, _ = _positives_and_removed(self.query, self.gallery, self.own, any_camera)
        same_camera = int((np.diff(positives.start) > 0).sum())
        if same_camera:
            return (
                f"{same_camera} of {queries} queries have images of their identity in the gallery, "
                "but only from their own camera, which the protocol removes; if the cameras mean "
                "nothing, use --rule no-camera"
            )
        return (
            f"none of the {queries} has an image of its identity in the gallery; check the "
            "identities"
        )


def _distractors(gallery: Labels, protocol: Protocol) -> NDArray[np.bool_]:
    distracts = gallery.role == DISTRACTOR
    if protocol.distractor is None:
        return distracts
    return distracts | (gallery.identity == protocol.distractor)


def _positives_and_removed(
    query: Labels, gallery: Labels, own: NDArray[np.int64], protocol: Protocol
) -> tuple[Columns, Columns]:
    if protocol.camera == "remove" and (query.camera is None) != (gallery.camera is None):
        side = "queries" if query.camera is None else "gallery"
        raise ValueError(
            f"the {side} have no cameras and the other side has: give both or neither, or use "
            f"--rule no-camera"
        )
    q = len(query)
    # all pairs of a query and a gallery image of one identity: [m] queries, [m] columns
    by_identity = np.argsort(gallery.identity, kind="stable")
    ordered = gallery.identity[by_identity]
    begins = np.searchsorted(ordered, query.identity)
    count = np.searchsorted(ordered, query.identity, "right") - begins
    row = np.repeat(np.arange(q), count)
    column = by_identity[np.arange(len(row)) - np.repeat(np.cumsum(count) - count - begins, count)]
    counts = (gallery.role[column] != JUNK) & (column != own[row])
    distracts = _distractors(gallery, protocol)
    positive = counts & ~distracts[column] & (query.role[row] == NORMAL)
    same_camera = np.zeros(len(row), bool)
    if protocol.camera == "remove" and query.camera is not None and gallery.camera is not None:
        same_camera = gallery.camera[column] == query.camera[row]
    itself = np.flatnonzero((own >= 0) & (gallery.role[own] != JUNK))
    removed_row = np.concatenate([row[counts & same_camera], itself])
    removed_column = np.concatenate([column[counts & same_camera], own[itself]])
    kept = positive & ~same_camera
    return _by_query(row[kept], column[kept], q), _by_query(removed_row, removed_column, q)


def _by_query(row: NDArray[np.int64], column: NDArray[np.int64], q: int) -> Columns:
    start = np.zeros(q + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=q), out=start[1:])
    return Columns(column[np.argsort(row, kind="stable")], start)
