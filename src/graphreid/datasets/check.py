"""Checks a data folder for missing files, leaked identities and duplicates before training."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphreid.datasets.images import verify
from graphreid.datasets.manifest import SPLITS, Manifest
from graphreid.resources import Resources

_BLOCK = 1024


@dataclass(frozen=True)
class SplitCount:
    """Counts of one split. Identities are those of normal images; without cameras, `cameras` is
    None.
    """

    split: str
    images: int
    identities: int
    cameras: int | None
    junk: int
    distractors: int


@dataclass(frozen=True)
class FolderReport:
    """The result of `check`. All lists are in manifest order and name items, unless said otherwise.

    Attributes:
        splits: counts of each split that has images.
        missing: paths of missing files.
        unreadable: a line with the path of each file that can't be decoded.
        leaked: identities in both train and test.
        duplicates: groups of byte-identical images, of one identity and on one side of the split
            into train and test.
        duplicates_across_identities: groups of byte-identical images of more than one identity.
        duplicates_across_parts: groups of byte-identical images in both train and test.
        absent: queries whose identity has no other image in the gallery.
        same_camera: queries whose positives are all from the query's own camera, so that none is
            left under the standard protocol.
        one_camera: identities seen by one camera only; empty without cameras.
    """

    splits: tuple[SplitCount, ...]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    leaked: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    duplicates_across_identities: tuple[tuple[str, ...], ...]
    duplicates_across_parts: tuple[tuple[str, ...], ...]
    absent: tuple[str, ...]
    same_camera: tuple[str, ...]
    one_camera: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no file is missing or unreadable, and no identity is in both train and test."""
        return not (self.missing or self.unreadable or self.leaked)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain lists and numbers."""
        return {"ok": self.ok, **asdict(self)}


def check(manifest: Manifest, *, resources: Resources = Resources()) -> FolderReport:  # noqa: B008  # frozen
    """Decode every image of a data folder and check its labels.

    Args:
        manifest: of the data folder.
        resources: threads and progress.
    """
    missing: list[str] = []
    unreadable: list[str] = []
    same: dict[bytes, list[int]] = {}
    for row, result in enumerate(_files(manifest, resources)):
        if result is None:
            missing.append(str(manifest.path[row]))
        elif isinstance(result, str):
            unreadable.append(result)
        else:
            same.setdefault(result, []).append(row)
    groups = [np.array(rows) for rows in same.values() if len(rows) > 1]
    train = manifest.split == "train"
    across_identities = _groups(
        manifest, groups, lambda rows: len(set(manifest.identity[rows].tolist())) > 1
    )
    across_parts = _groups(manifest, groups, lambda rows: len(set(train[rows].tolist())) > 1)
    plain = (
        set(_groups(manifest, groups, lambda _: True)) - set(across_identities) - set(across_parts)
    )
    absent, same_camera = _without_positive(manifest)
    normal = manifest.role == "normal"
    leaked = set(manifest.identity[train & normal].tolist()) & set(
        manifest.identity[~train & normal].tolist()
    )
    return FolderReport(
        splits=tuple(
            _count(manifest, split) for split in SPLITS if (manifest.split == split).any()
        ),
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        leaked=tuple(sorted(leaked)),
        duplicates=tuple(
            group for group in _groups(manifest, groups, lambda _: True) if group in plain
        ),
        duplicates_across_identities=across_identities,
        duplicates_across_parts=across_parts,
        absent=tuple(manifest.item[absent].tolist()),
        same_camera=tuple(manifest.item[same_camera].tolist()),
        one_camera=_one_camera(manifest),
    )


def _files(manifest: Manifest, resources: Resources) -> Iterator[bytes | str | None]:
    """For each image: the hash of its bytes, an error message, or None if the file is missing."""

    def read(path: str) -> bytes | str | None:
        file = manifest.root / path
        try:
            data = file.read_bytes()
            verify(file, data)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{file}: {error.strerror}"
        except ValueError as error:
            return str(error)
        return hashlib.blake2b(data, digest_size=16).digest()

    paths = manifest.path.tolist()

    def results() -> Iterator[bytes | str | None]:
        with ThreadPoolExecutor(resources.threads or os.cpu_count()) as executor:
            for start in range(0, len(paths), _BLOCK):
                yield from executor.map(read, paths[start : start + _BLOCK])

    yield from resources.track("check", results(), len(paths))


def _groups(
    manifest: Manifest, groups: list[NDArray[np.int64]], wanted: Callable[[NDArray[np.int64]], bool]
) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(manifest.item[rows].tolist()) for rows in groups if wanted(rows))


def _without_positive(manifest: Manifest) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the queries without a positive, and of those whose positives share their camera.

    As in the standard protocol, the query itself, junk and distractors are no positives.
    """
    normal = manifest.role == "normal"
    queries = np.flatnonzero(np.isin(manifest.split, ("query", "query+gallery")) & normal)
    gallery = np.isin(manifest.split, ("gallery", "query+gallery")) & normal
    identity = np.unique(manifest.identity, return_inverse=True)[1]
    others = (
        np.bincount(identity[gallery], minlength=len(manifest))[identity[queries]]
        - gallery[queries]
    )
    absent = others == 0
    if manifest.camera is None:
        return queries[absent], queries[:0]
    camera = np.unique(manifest.camera, return_inverse=True)[1]
    pair = np.unique(identity * (camera.max() + 1) + camera, return_inverse=True)[1]
    near = np.bincount(pair[gallery], minlength=len(manifest))[pair[queries]] - gallery[queries]
    return queries[absent], queries[~absent & (others == near)]


def _one_camera(manifest: Manifest) -> tuple[str, ...]:
    if manifest.camera is None:
        return ()
    normal = manifest.role == "normal"
    seen = set(
        zip(manifest.identity[normal].tolist(), manifest.camera[normal].tolist(), strict=True)
    )
    names, counts = np.unique([identity for identity, _ in sorted(seen)], return_counts=True)
    return tuple(names[counts == 1].tolist())


def _count(manifest: Manifest, split: str) -> SplitCount:
    rows = manifest.split == split
    role = manifest.role[rows]
    return SplitCount(
        split=split,
        images=int(rows.sum()),
        identities=len(set(manifest.identity[rows & (manifest.role == "normal")].tolist())),
        cameras=None if manifest.camera is None else len(set(manifest.camera[rows].tolist())),
        junk=int((role == "junk").sum()),
        distractors=int((role == "distractor").sum()),
    )
