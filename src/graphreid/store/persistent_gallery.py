"""`PersistentGallery`: a gallery on disk that is searched while several processes change it.

The table on disk says which images there are. What a process holds in memory, and the kNN index
beside the table, are brought up to date by the images that were added and removed since.
"""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.resources import Resources
from graphreid.store import knn_cache
from graphreid.store.incremental_knn import KNNIndex, build_index, update_index
from graphreid.store.table import (
    TEXT_COLUMNS,
    THUMBNAIL_PREFIX,
    THUMBNAILS,
    GalleryConfig,
    ImageRows,
    ImageTable,
    Texts,
    create_table,
)
from graphreid.types import Features, Labels, Neighbors, Text, codes


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A gallery at one version of its table.

    Attributes:
        version: of the table.
        serial: int64 [n], serial numbers of the images, ascending.
        texts: camera, identity, path and extra (a JSON object) of each image, None where it has
            none.
        gallery: the images for a re-ranker; None where there are none.
    """

    version: int
    serial: Int64[np.ndarray, " n"]
    texts: Texts
    gallery: Gallery | None

    def __len__(self) -> int:
        return len(self.serial)

    def searchable(self) -> Gallery:
        """The images for a re-ranker.

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
        """An image of the gallery as a query, which will not find itself.

        Raises:
            ValueError: it is not in the gallery.
        """
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
    """A gallery on disk, which several processes may read and change at once.

        gallery = PersistentGallery.create("shop", GalleryConfig(width=512))
        gallery.add(features)
        search(gallery.snapshot(), Cosine(), query, top=5)

    Args:
        folder: where `create` made it.
        resources: for the kNN index.

    Attributes:
        config: what it holds.

    Raises:
        ValueError: not a gallery, or damaged.
    """

    def __init__(self, folder: str | Path, *, resources: Resources | None = None) -> None:
        self._table = ImageTable(Path(folder))
        self.config: GalleryConfig = self._table.config
        self._resources = resources or Resources()
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        # the index in memory, the table's version that it is of, and the version that is on disk
        self._index: tuple[int, KNNIndex] | None = None
        self._written_version = -1

    @classmethod
    def create(
        cls, folder: str | Path, config: GalleryConfig, *, resources: Resources | None = None
    ) -> "PersistentGallery":
        """An empty gallery in a new folder.

        Raises:
            ValueError: the folder holds something already, or can't be written.
        """
        create_table(Path(folder), config)
        return cls(folder, resources=resources)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._table.folder

    @property
    def table(self) -> ImageTable:
        """Its table."""
        return self._table

    def snapshot(self) -> Snapshot:
        """The gallery as it is now, with what other processes have added and removed."""
        with self._lock:
            version = self._table.checkout_latest()
            if self._snapshot is None or self._snapshot.version != version:
                self._snapshot = self._updated_snapshot(self._snapshot, version)
            return self._snapshot

    def check_embedder(self, embedder: str | None, what: str) -> None:
        """Refuse vectors of another embedder than the gallery's.

        Args:
            embedder: what made the vectors, None where it is not known.
            what: names the vectors in the message.

        Raises:
            ValueError: `embedder` is not the gallery's.
        """
        if embedder != self.config.embedder:
            raise ValueError(
                f"{what}: made with {embedder or 'an embedder that is not named'}, and "
                f"{self.folder} with {self.config.embedder or 'one that is not named'}: embed with "
                f"the same one{'' if embedder else ', or name it with --embedder'}"
            )

    def add(self, features: Features, texts: Texts | None = None) -> int:
        """Add images, all or none; returns the table's new version. They are on disk when this
        returns.

        Args:
            features: the images.
            texts: columns of `table.TEXT_COLUMNS`, n values each. Without "camera" the features'
                own are taken.

        Raises:
            ValueError: an item that is there already, another width, cameras on one side only, or a
                value that can't be used.
        """
        given = texts or {}
        unknown = sorted(set(given) - set(TEXT_COLUMNS))
        if unknown:
            raise ValueError(
                f"no column {', '.join(unknown)} in a gallery: it has {', '.join(TEXT_COLUMNS)}"
            )
        columns: Texts = {name: given.get(name) or [None] * len(features) for name in TEXT_COLUMNS}
        if "camera" not in given and features.camera is not None:
            columns["camera"] = list(map(str, features.camera.tolist()))
        with self._lock, self._table.locked():
            _check_new_images(features, columns, self.snapshot(), self.config)
            self._table.append(features.items, features.vectors, columns)
            self._table.compact()
            return self._table.checkout_latest()

    def remove(self, items: Text) -> int:
        """Remove images, all or none; returns the table's new version.

        Raises:
            ValueError: an item that is not there, or twice.
        """
        with self._lock, self._table.locked():
            before = self.snapshot()
            rows = [before.row(item) for item in items.tolist()]
            if len(set(rows)) < len(rows):
                raise ValueError("an item is named twice: name each once")
            if rows:
                self._table.delete(before.serial[rows].tolist())
                self._remove_thumbnails({before.texts["path"][row] for row in rows})
            return self._table.checkout_latest()

    def _remove_thumbnails(self, paths: set[str | None]) -> None:
        """Remove the copies of removed images that no other image has."""
        for path in paths - set(self.snapshot().texts["path"]):
            name = (path or "").removeprefix(THUMBNAIL_PREFIX)
            # a path from a user could lead out of the folder
            if path == THUMBNAIL_PREFIX + name and name == Path(name).name:
                (self.folder / THUMBNAILS / name).unlink(missing_ok=True)

    def save_index(self, *, resources: Resources | None = None) -> None:
        """Bring the kNN index up to date and write it beside the table, so that the next process
        need not.
        """
        with self._lock:
            snapshot = self.snapshot()
            if snapshot.gallery is None:
                return
            self._index_of(snapshot, self.config.k, resources)
            if self._index is not None and self._written_version != self._index[0]:
                version, index = self._index
                knn_cache.write_index(self.folder, self.config.key, version, index)
                self._written_version = version

    def index_version(self) -> int | None:
        """The version of the table that the kNN index on disk is of; None where there is none."""
        return knn_cache.index_version(self.folder, self.config.key)

    def _updated_snapshot(self, before: Snapshot | None, version: int) -> Snapshot:
        """The snapshot of the version that the table is at."""
        if before is None:
            rows = self._table.rows()
            gallery = self._updated_gallery(None, np.empty(0, bool), rows, version)
            return Snapshot(version, rows.serial, rows.texts, gallery)
        added = self._table.rows(after=int(before.serial[-1]) if len(before) else -1)
        stays = np.ones(len(before), bool)
        if self._table.count() != len(before) + len(added):
            stays = np.isin(before.serial, self._table.serials(), assume_unique=True)
        texts = {
            name: _take(before.texts[name], stays) + added.texts[name] for name in TEXT_COLUMNS
        }
        serial = np.concatenate([before.serial[stays], added.serial])
        gallery = self._updated_gallery(before.gallery, stays, added, version)
        return Snapshot(version, serial, texts, gallery)

    def _updated_gallery(
        self, before: Gallery | None, stays: NDArray[np.bool_], added: ImageRows, version: int
    ) -> Gallery | None:
        """The gallery of a version, which keeps the values that were derived from each image of the
        gallery before.
        """
        after = before if before is not None and stays.any() else None
        if after is not None and not stays.all():
            after = after.remove(after.features.items[~stays])
        if len(added):
            camera = _cameras(added.texts["camera"])
            features = Features(added.vectors, added.items, camera, self.config.zero)
            if after is None:
                after = Gallery(features, metric=self.config.metric)
            else:
                after = after.add(features)
        if after is not None:
            after.version = version
            after.lists = lambda k, resources: self._neighbors(version, k, resources)
        return after

    def _neighbors(self, version: int, k: int, resources: Resources | None) -> Neighbors | None:
        """The k nearest others of each image of a version; None where that is no longer the version
        in memory.
        """
        with self._lock:
            if self._snapshot is None or self._snapshot.version != version:
                return None
            index = self._index_of(self._snapshot, k, resources)
            return index.first(min(k, len(self._snapshot) - 1))

    def _index_of(self, snapshot: Snapshot, k: int, resources: Resources | None) -> KNNIndex:
        """The kNN index of a snapshot, with k neighbours of each image or all that there are."""
        resources = resources or self._resources
        gallery = snapshot.searchable()
        needed = min(k, len(gallery) - 1)
        known = self._index
        if known is None:
            known = knn_cache.read_index(self.folder, self.config.key)
            if known is not None:
                self._written_version = known[0]
        index = None
        if known is not None and known[1].width >= needed:
            version, before = known
            if version == snapshot.version and before.shortest >= needed:
                self._index = known
                return before
            index = self._updated_index(version, before, snapshot, gallery, k, resources)
        if index is None or index.shortest < needed:
            width = max(self.config.k, k) + self.config.margin
            index = build_index(
                snapshot.serial, gallery.vectors, width, self.config.metric, resources
            )
        self._index = snapshot.version, index
        return index

    def _updated_index(
        self,
        version: int,
        before: KNNIndex,
        snapshot: Snapshot,
        gallery: Gallery,
        k: int,
        resources: Resources,
    ) -> KNNIndex | None:
        """The index of an older version, brought up to date; None where that version is gone."""
        if version > snapshot.version:
            return None
        gone = before.serial[~np.isin(before.serial, snapshot.serial, assume_unique=True)]
        removed = gallery.vectors[:0]
        if len(gone):
            rows = self._table.rows_at(version, gone.tolist())
            if rows is None or len(rows) != len(gone):
                return None
            features = Features(rows.vectors, rows.items, zero="keep")
            removed = Gallery(features, metric=self.config.metric).vectors
        return update_index(
            before,
            snapshot.serial,
            gallery.vectors,
            removed,
            min_length=min(max(k, self.config.k), before.width),
            metric=self.config.metric,
            resources=resources,
        )


def _take(values: list[str | None], keep: NDArray[np.bool_]) -> list[str | None]:
    return [value for value, kept in zip(values, keep.tolist(), strict=True) if kept]


def _cameras(names: list[str | None]) -> NDArray[Any] | None:
    return None if any(name is None for name in names) else np.array(names, str)


def _check_new_images(
    features: Features, texts: Texts, before: Snapshot, config: GalleryConfig
) -> None:
    """Refuse, before anything is written, what could not be searched or read later."""
    if any(not item.strip() or "\0" in item for item in features.items.tolist()):
        raise ValueError("an item is empty, or has a NUL in it: name it")
    if features.width != config.width:
        raise ValueError(
            f"vectors are {features.width} wide and the gallery's {config.width}: embed both with "
            f"the same network"
        )
    if features.zero != config.zero:
        # refuses a vector of zeros, with its row
        Features(features.vectors, features.items, zero=config.zero)
    for name, column in texts.items():
        if len(column) != len(features):
            raise ValueError(
                f"{name} has {len(column)} values for {len(features)} images: give one each"
            )
    for name in ("camera", "identity"):
        codes(np.array([value for value in texts[name] if value is not None], str), name)
    for text in filter(None, texts["extra"]):
        try:
            extra = json.loads(text)
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            raise ValueError(f"extra is {text[:40]!r}: it must be a JSON object")
    with_camera = {value is not None for value in texts["camera"]}
    if len(before):
        with_camera.add(before.texts["camera"][0] is not None)
    if len(with_camera) > 1:
        raise ValueError("the gallery and what is added must both have cameras, or neither")
    if before.gallery is not None:
        known = before.gallery.rows_of(features.items) >= 0
        if known.any():
            item = str(features.items[known.argmax()])
            raise ValueError(f"item {item!r} is in the gallery already: remove it first")
