"""`PersistentGallery`: a gallery on disk that grows and shrinks while it is searched, by several
processes at once.

The table (`store`) is the truth. What a process has in memory, and the neighbour lists that are
kept beside the table, are brought up to date by the difference between the images that they are of
and those that the table has now.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.resources import Resources
from graphreid.store import knn_cache as cache
from graphreid.store.incremental_knn import Lists, built, updated
from graphreid.store.table import MARK, PICTURES, TEXTS, Config, Rows, Store, create
from graphreid.types import Features, Labels, Neighbors, Text, codes

Texts = dict[str, list[str | None]]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A gallery as it is at one version of its table.

    Attributes:
        version: of the table.
        serial: int64 [n], ascending, which row of the table each image is.
        texts: camera, identity, path and extra (a JSON object) of each image, None where it has
            none.
        gallery: what re-rankers work on; None where there is no image.
    """

    version: int
    serial: Int64[np.ndarray, " n"]
    texts: Texts
    gallery: Gallery | None

    def __len__(self) -> int:
        return len(self.serial)

    def searchable(self) -> Gallery:
        """The gallery.

        Raises:
            ValueError: it is empty.
        """
        if self.gallery is None:
            raise ValueError("the gallery is empty: add images first")
        return self.gallery

    def row(self, item: str) -> int:
        """The row of an item.

        Raises:
            ValueError: it is not in the gallery.
        """
        row = -1 if self.gallery is None else int(self.gallery.rows_of(np.array([item]))[0])
        if row < 0:
            raise ValueError(f"item {item!r} is not in the gallery")
        return row

    def query(self, item: str) -> Features:
        """An image of the gallery as a query, which will not find itself."""
        return self.searchable().features.take(np.array([self.row(item)]))

    def labels(self) -> Labels:
        """Identities of all images, for evaluation; an image without one is a distractor.

        Raises:
            ValueError: no image has an identity.
        """
        names = self.texts["identity"]
        if not any(name is not None for name in names):
            raise ValueError("no image of the gallery has an identity")
        extra = [{} if text is None else json.loads(text) for text in self.texts["extra"]]
        role = [
            "distractor" if name is None else each.get("role", "normal")
            for name, each in zip(names, extra, strict=True)
        ]
        camera = None if self.gallery is None else self.gallery.features.camera
        return Labels(
            np.array(["-2" if name is None else name for name in names]), camera, np.array(role)
        )


class PersistentGallery:
    """A gallery on disk.

    Args:
        folder: where `create` made it.
        resources: for the neighbour lists.

    Attributes:
        config: what it is.

    Raises:
        ValueError: not a gallery, or damaged.
    """

    def __init__(self, folder: str | Path, *, resources: Resources | None = None) -> None:
        self._store = Store(Path(folder))
        self.config: Config = self._store.config
        self._resources = resources or Resources()
        self._turn = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._lists: tuple[int, Lists] | None = None
        self._written = -1

    @classmethod
    def create(
        cls, folder: str | Path, config: Config, *, resources: Resources | None = None
    ) -> "PersistentGallery":
        """An empty gallery in a new folder.

        Raises:
            ValueError: the folder holds something already, or a value is out of its range.
        """
        create(Path(folder), config)
        return cls(folder, resources=resources)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._store.folder

    @property
    def store(self) -> Store:
        """Its table."""
        return self._store

    def snapshot(self) -> Snapshot:
        """The gallery as it is now; what other processes have added and removed is read."""
        with self._turn:
            version = self._store.latest()
            if self._snapshot is None or self._snapshot.version != version:
                self._snapshot = self._advanced(self._snapshot, version)
            return self._snapshot

    def check_embedder(self, embedder: str | None, what: str) -> None:
        """Refuse vectors of another network.

        Raises:
            ValueError: `embedder` is not the gallery's.
        """
        if embedder != self.config.embedder:
            raise ValueError(
                f"{what}: made with {embedder or 'an embedder that is not named'}, and "
                f"{self.folder} with "
                f"{self.config.embedder or 'one that is not named'}: embed with the same one"
                f"{'' if embedder else ', or name it with --embedder'}"
            )

    def add(self, features: Features, texts: Texts | None = None) -> int:
        """Add images, all or none; returns the table's new version. They are on disk when this
        returns.

        Args:
            features: the images.
            texts: columns of store.TEXTS, n values each. Without "camera" the features' own are
                taken.

        Raises:
            ValueError: an item that is there already, another width, cameras on one side only, or a
                value that can't be used.
        """
        given = texts or {}
        if set(given) - set(TEXTS):
            raise ValueError(
                f"no column {', '.join(sorted(set(given) - set(TEXTS)))} in a gallery: it has "
                f"{', '.join(TEXTS)}"
            )
        columns: Texts = {name: given.get(name) or [None] * len(features) for name in TEXTS}
        if "camera" not in given and features.camera is not None:
            columns["camera"] = list(map(str, features.camera.tolist()))
        with self._turn, self._store.locked():
            before = self.snapshot()
            _check(features, columns, before, self.config)
            self._store.append(features.items, features.vectors, columns)
            self._store.tidy()
            return self._store.latest()

    def remove(self, items: Text) -> int:
        """Remove images, all or none; returns the table's new version.

        Raises:
            ValueError: an item that is not there, or twice.
        """
        with self._turn, self._store.locked():
            before = self.snapshot()
            rows = [before.row(item) for item in items.tolist()]
            if len(set(rows)) < len(rows):
                raise ValueError("an item is named twice: name each once")
            if rows:
                self._store.delete(before.serial[rows].tolist())
                self._forget({before.texts["path"][row] for row in rows})
            return self._store.latest()

    def _forget(self, paths: set[str | None]) -> None:
        """Remove the pictures of images that were removed, where no other image has the same."""
        for path in paths - set(self.snapshot().texts["path"]):
            name = (path or "").removeprefix(MARK)
            if path == MARK + name and name == Path(name).name:  # in that folder, and in none above
                (self.folder / PICTURES / name).unlink(missing_ok=True)

    def keep_lists(self, *, resources: Resources | None = None) -> None:
        """Bring the neighbour lists up to date and write them beside the table, so that the next
        process need not.
        """
        with self._turn:
            snapshot = self.snapshot()
            if snapshot.gallery is None:
                return
            self._current(snapshot, self.config.k, resources)
            if self._lists is not None and self._written != self._lists[0]:
                version, lists = self._lists
                cache.write(self.folder, self.config.key, version, lists)
                self._written = version

    def lists_version(self) -> int | None:
        """The version of the table that the lists on disk are of; None where there are none."""
        return cache.stamp(self.folder, self.config.key)

    def _advanced(self, before: Snapshot | None, version: int) -> Snapshot:
        """The snapshot of the version that the store is at."""
        if before is None:
            rows = self._store.rows()
            return Snapshot(
                version,
                rows.serial,
                rows.texts,
                self._gallery(None, np.empty(0, bool), rows, version),
            )
        fresh = self._store.rows(after=int(before.serial[-1]) if len(before) else -1)
        none_gone = self._store.count() == len(before) + len(fresh)
        stays = np.ones(len(before), bool)
        if not none_gone:
            stays = np.isin(before.serial, self._store.serials(), assume_unique=True)
        texts: Texts = {
            name: _kept(before.texts[name], stays) + fresh.texts[name] for name in TEXTS
        }
        serial = np.concatenate([before.serial[stays], fresh.serial])
        return Snapshot(
            version, serial, texts, self._gallery(before.gallery, stays, fresh, version)
        )

    def _gallery(
        self, before: Gallery | None, stays: NDArray[np.bool_], fresh: Rows, version: int
    ) -> Gallery | None:
        """The next gallery, which keeps what was derived of each image alone."""
        after = before if before is not None and stays.any() else None
        if after is not None and not stays.all():
            after = after.remove(after.features.items[~stays])
        if len(fresh):
            camera = _cameras(fresh.texts["camera"])
            more = Features(fresh.vectors, fresh.items, camera, self.config.zero)
            after = Gallery(more, metric=self.config.metric) if after is None else after.add(more)
        if after is not None:
            after.version = version
            after.lists = lambda k, resources: self._neighbors(version, k, resources)
        return after

    def _neighbors(self, version: int, k: int, resources: Resources | None) -> Neighbors | None:
        """The k nearest others of each image of a version; None where that is not the version in
        hand any more.
        """
        with self._turn:
            if self._snapshot is None or self._snapshot.version != version:
                return None
            return self._current(self._snapshot, k, resources).first(
                min(k, len(self._snapshot) - 1)
            )

    def _current(self, snapshot: Snapshot, k: int, resources: Resources | None) -> Lists:
        """Lists of this snapshot, each at least k long where there are as many others."""
        resources = resources or self._resources
        gallery = snapshot.searchable()
        wanted = min(k, len(gallery) - 1)
        known = self._lists or cache.read(self.folder, self.config.key)
        if known is not None and self._lists is None:
            self._written = known[0]
        width = max(self.config.k, k) + self.config.margin
        if known is None or known[1].width < wanted:
            lists = None
        elif known[0] == snapshot.version and known[1].depth >= wanted:
            self._lists = known
            return known[1]
        else:
            lists = self._caught_up(known, snapshot, gallery, k, resources)
        if lists is None or lists.depth < wanted:
            lists = built(snapshot.serial, gallery.vectors, width, self.config.metric, resources)
        self._lists = snapshot.version, lists
        return lists

    def _caught_up(
        self,
        known: tuple[int, Lists],
        snapshot: Snapshot,
        gallery: Gallery,
        k: int,
        resources: Resources,
    ) -> Lists | None:
        version, lists = known
        if version > snapshot.version:
            return None
        gone = lists.serial[~np.isin(lists.serial, snapshot.serial, assume_unique=True)]
        removed = gallery.vectors[:0]
        if len(gone):
            rows = self._store.rows_at(version, gone.tolist())
            if rows is None or len(rows) != len(gone):
                return None
            removed = Gallery(
                Features(rows.vectors, rows.items, zero="keep"), metric=self.config.metric
            ).vectors
        least = max(min(k, lists.width), min(self.config.k, lists.width))
        return updated(
            lists,
            snapshot.serial,
            gallery.vectors,
            removed,
            least=least,
            metric=self.config.metric,
            resources=resources,
        )


def describe(values: Sequence[str | None]) -> str:
    """How many of a column's values there are, for people."""
    there = [value for value in values if value is not None]
    return f"{len(set(there)):,} in {len(there):,} images" if there else "none"


def _kept(values: list[str | None], stays: NDArray[np.bool_]) -> list[str | None]:
    return (
        values
        if stays.all()
        else [value for value, stay in zip(values, stays.tolist(), strict=True) if stay]
    )


def _cameras(names: list[str | None]) -> NDArray[Any] | None:
    return None if any(name is None for name in names) else np.array(names, str)


def _check(features: Features, texts: Texts, before: Snapshot, config: Config) -> None:
    """Refuse before anything is written what the table could not take back."""
    if any(not item.strip() or "\0" in item for item in features.items.tolist()):
        raise ValueError("an item is empty, or has a NUL in it: name it")
    if features.width != config.width:
        raise ValueError(
            f"vectors are {features.width} wide and the gallery's {config.width}: embed both with "
            f"the same network"
        )
    if features.zero != config.zero:
        Features(
            features.vectors, features.items, zero=config.zero
        )  # refuses a zero vector with its row
    for name, column in texts.items():
        if len(column) != len(features):
            raise ValueError(
                f"{name} has {len(column)} values for {len(features)} images: give one each"
            )
    for name in ("camera", "identity"):
        codes(np.array([value for value in texts[name] if value is not None], str), name)
    for text in filter(None, texts["extra"]):
        try:
            given = json.loads(text)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise ValueError(f"extra is {text[:40]!r}: it must be a JSON object")
    with_camera = {value is not None for value in texts["camera"]}
    if len(before):
        with_camera.add(before.texts["camera"][0] is not None)
    if len(with_camera) > 1:
        raise ValueError("the gallery and what is added must both have cameras, or neither")
    if before.gallery is not None:
        there = before.gallery.rows_of(features.items) >= 0
        if there.any():
            raise ValueError(
                f"item {str(features.items[there.argmax()])!r} is in the gallery already: remove "
                f"it first"
            )
