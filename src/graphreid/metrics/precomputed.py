"""What another program answered, in a file: evaluated as a method is, by the same protocol.

A ranking is an .npz file as `graphreid rerank` writes it, or a plain .npy array of whole numbers:
row i lists gallery rows for query i, the nearest first. Distances are an .npy array of floating
point numbers, a row a query and a column a gallery image; they are read some queries at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from numpy.typing import NDArray

from graphreid.features.array_files import RowReader, read_npz
from graphreid.gallery import Gallery, RetrievalSet
from graphreid.protocols import ONLINE, TRANSDUCTIVE
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, Text, positions

UNKNOWN = "unknown"
ORDER, QUERY_ITEM, GALLERY_ITEM = "order", "query_item", "gallery_item"
_VALUES = 1 << 18
"""Values of a file that are checked in one go."""


def is_precomputed(text: str) -> bool:
    """Whether a METHOD text is the path of such a file."""
    return Path(text).suffix in (".npz", ".npy")


@final
@dataclass(eq=False)
class Precomputed:
    """A file of answers, checked by `load_precomputed`.

    Attributes:
        path: the file.
        kind: what it holds.
        gallery: text [n], the item of each gallery row that the file speaks of.
        listed: length of its lists, where they leave images out that count; None where they do not.
        setting: as the file says, else "unknown".
    """

    path: Path
    kind: Literal["ranking", "distances"]
    gallery: Text
    listed: int | None = None
    setting: str = UNKNOWN
    version: ClassVar[int] = 1

    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE, UNKNOWN})
    takes: ClassVar[str] = "distances"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    @property
    def score(self) -> str:
        """What its distances are."""
        return "distance" if self.kind == "distances" else "place in the list"

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
    ) -> "Precomputed":
        """Nothing is learned."""
        del train, labels, validation, resources
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks; in a ranking an image's place, from
        0, and +inf without one.

        Args:
            query: the queries that the file was checked with.
            gallery: images that the file speaks of, all or some, in any order.
            resources: how much memory.
        """
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        column = gallery.rows_of(self.gallery)
        here = np.flatnonzero(column >= 0)
        with _opened(self.path) as rows:
            for start, stop in retrieval_set.blocks(
                rows.shape[1] * 24, what=f"reading {self.path.name}"
            ):
                given = rows.take(stop - start)
                distance = np.full((stop - start, len(gallery)), np.inf, np.float32)
                if self.kind == "distances":
                    distance[:, column[here]] = given[:, here]
                else:
                    row, place = np.nonzero(given >= 0)
                    at = column[given[row, place]]
                    kept = at >= 0
                    distance[row[kept], at[kept]] = place[kept]
                yield retrieval_set.distance_block(start, distance)


def load_precomputed(
    path: str | Path,
    query: Shaped[np.ndarray, " q"],
    gallery: Text,
    counted: Bool[np.ndarray, " n"] | None = None,
) -> Precomputed:
    """A file of answers as a method, once all of it was looked at.

    Args:
        path: the file.
        query: text [q], the queries' items.
        gallery: text [n], the item of each row of the gallery's file.
        counted: which of these can be right or wrong (junk can't); None for all.

    Raises:
        ValueError: not such a file, another number of queries or images, other items, NaN, a row
            that is not in the gallery, or one that a list has twice; the message names the file and
            the row.
    """
    file = Path(path)
    setting = _check_items(file, query, gallery)
    with _opened(file) as rows:
        if rows.dtype.kind not in "fiu":
            raise ValueError(
                f"{file}: it holds {rows.dtype}: a ranking is of whole numbers, distances of "
                f"floating point ones"
            )
        ranking = rows.dtype.kind in "iu"
        if not ranking and file.suffix == ".npz":
            raise ValueError(
                f"{file}: {ORDER} is {rows.dtype}: it must be rows of the gallery, whole numbers"
            )
        count, width = rows.shape
        what = "lists" if ranking else "rows of distances"
        if count != len(query):
            raise ValueError(
                f"{file}: {count} {what} for {len(query)} queries: there must be one each, in "
                f"their order"
            )
        if not ranking and width != len(gallery):
            raise ValueError(
                f"{file}: {width} distances a row for {len(gallery)} images in the gallery's file: "
                f"give one each"
            )
        if not 0 < width <= len(gallery):
            raise ValueError(
                f"{file}: lists of {width} for {len(gallery)} images: list each image once at most"
            )
        if not ranking:
            _check_distances(file, rows)
            return Precomputed(file, "distances", gallery)
        mask = np.ones(len(gallery), bool) if counted is None else counted
        whole = _check_lists(file, rows, positions(gallery, query), mask)
    return Precomputed(file, "ranking", gallery, None if whole else width, setting)


def _opened(file: Path) -> RowReader:
    return RowReader(file, ORDER if file.suffix == ".npz" else None)


def _check_items(file: Path, query: Shaped[np.ndarray, " q"], gallery: Text) -> str:
    """The setting that a ranking of `graphreid rerank` names. Its items must be the ones that are
    evaluated.
    """
    if file.suffix != ".npz":
        return UNKNOWN
    columns: dict[str, NDArray[Any]] = read_npz(file, (QUERY_ITEM, GALLERY_ITEM, "setting"))
    for name, items, side in ((QUERY_ITEM, query, "queries"), (GALLERY_ITEM, gallery, "gallery")):
        given = columns.get(name)
        if given is None:
            continue
        if given.shape != items.shape:
            raise ValueError(
                f"{file}: {given.size} of {name}, and {len(items)} {side} items: rank the files "
                f"that are evaluated"
            )
        other = given.astype(str) != items
        if other.any():
            row = int(other.argmax())
            raise ValueError(
                f"{file}: {name} is {str(given[row])!r} in row {row}, where the {side} have "
                f"{str(items[row])!r}: "
                "rank the files that are evaluated"
            )
    setting = str(columns.get("setting", ""))
    return setting if setting in (ONLINE, TRANSDUCTIVE) else UNKNOWN


def _check_distances(file: Path, rows: RowReader) -> None:
    for start, part in _parts(rows):
        bad = np.isnan(part)
        if bad.any():
            row, column = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"{file}: NaN in row {start + row}, column {column}: it can't be ranked"
            )


def _check_lists(
    file: Path, rows: RowReader, own: Int64[np.ndarray, " q"], counted: Bool[np.ndarray, " n"]
) -> bool:
    """Whether each list has all images that count, but for the query itself."""
    n = len(counted)
    whole = True
    for start, part in _parts(rows):
        for bad, says in (
            ((part < -1) | (part >= n), f"the gallery has rows 0 to {n - 1}, and -1 is for none"),
            (
                (part[:, :-1] == -1) & (part[:, 1:] >= 0),
                "-1, for none, may stand at the end of a list alone",
            ),
        ):
            if bad.any():
                row, place = np.argwhere(bad)[0].tolist()
                raise ValueError(
                    f"{file}: {part[row, place]} in row {start + row}, place {place}: {says}"
                )
        ordered = np.sort(part, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        if twice.any():
            row, place = np.argwhere(twice)[0].tolist()
            raise ValueError(
                f"{file}: image {ordered[row, place]} stands twice in row {start + row}: list each "
                f"image once"
            )
        mine = own[start : start + len(part)]
        there = (part >= 0) & counted[part] & (part != mine[:, None])
        wanted = counted.sum() - ((mine >= 0) & counted[mine])
        whole = whole and bool((there.sum(axis=1) == wanted).all())
    return whole


def _parts(rows: RowReader) -> Iterator[tuple[int, NDArray[Any]]]:
    count, width = rows.shape
    step = max(1, _VALUES // width)
    for start in range(0, count, step):
        yield start, rows.take(min(step, count - start))
