"""The manifest of a data folder: DIR/manifest.parquet, one row per image, and the image files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import Images
from graphreid.types import ROLES, Labels, Text

MANIFEST_FILE = "manifest.parquet"
SPLITS = ("train", "query", "gallery", "query+gallery")
"""An image in "query+gallery" is both: each is a query among all the others, as in grocery."""
OPTIONAL_COLUMNS = ("view", "time", "track")


@dataclass(frozen=True, eq=False)
class Manifest:
    """The images of a data folder, in the order of its file.

    Attributes:
        root: the data folder.
        item: text [n], unique ids.
        path: text [n], with forward slashes; relative to `root`, or absolute.
        identity: text [n]; numbers are written as text.
        camera: text [n], or None without cameras.
        split: text [n], one of SPLITS.
        role: text [n], "normal", "junk" or "distractor".
        extra: optional columns by name (view, time, track), n values each.

    Raises:
        ValueError: columns of different lengths, an empty value, a repeated item, or an unknown
            split or role.
    """

    root: Path
    item: Text
    path: Text
    identity: Text
    camera: Text | None
    split: Text
    role: Text
    extra: Mapping[str, NDArray[np.generic]] = field(default_factory=dict[str, NDArray[np.generic]])

    def __post_init__(self) -> None:
        n = len(self.item)
        if n == 0:
            raise ValueError(f"{self.root}: the manifest has no images")
        columns = {
            "path": self.path,
            "identity": self.identity,
            "split": self.split,
            "role": self.role,
            **self.extra,
        }
        if self.camera is not None:
            columns["camera"] = self.camera
        for name, values in columns.items():
            if len(values) != n:
                raise ValueError(
                    f"{self.root}: column {name} has {len(values)} values for {n} images"
                )
        for name in {"path", "identity", "camera"} & set(columns):
            empty = np.char.strip(columns[name].astype(str)) == ""
            if empty.any():
                raise ValueError(
                    f"{self.root}: {name} is empty in row {int(empty.argmax())}: name it, or leave "
                    f"the row out"
                )
        for name, allowed in (("split", SPLITS), ("role", ROLES)):
            bad = ~np.isin(columns[name], allowed)
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(
                    f"{self.root}: {name} is {str(columns[name][row])!r} in row {row}: one of "
                    f"{', '.join(allowed)}"
                )
        names, first, counts = np.unique(self.item, return_index=True, return_counts=True)
        if len(names) != n:
            worst = int(counts.argmax())
            raise ValueError(
                f"{self.root}: item {str(names[worst])!r} stands {counts[worst]} times, first in "
                f"row {first[worst]}"
            )

    def __len__(self) -> int:
        return len(self.item)

    def rows(self, split: str) -> NDArray[np.intp]:
        """Row indices of a split ("train", "query" or "gallery"), in manifest order.

        Raises:
            ValueError: an unknown split, or one without images.
        """
        if split not in SPLITS[:3]:
            raise ValueError(f"split is {split!r}: choose one of {', '.join(SPLITS[:3])}")
        wanted = (split, "query+gallery") if split != "train" else (split,)
        rows = np.flatnonzero(np.isin(self.split, wanted))
        if not len(rows):
            raise ValueError(f"{self.root}: no image is in split {split!r}")
        return rows

    def images(self, rows: NDArray[np.intp]) -> Images:
        """The image files of `rows`."""
        camera = None if self.camera is None else self.camera[rows]
        return Images(
            [self.root / path for path in self.path[rows].tolist()], self.item[rows], camera
        )

    def labels(self, rows: NDArray[np.intp]) -> Labels:
        """The labels of `rows`."""
        camera = None if self.camera is None else self.camera[rows]
        return Labels(self.identity[rows], camera, self.role[rows])


def read_manifest(root: str | Path) -> Manifest:
    """Read the manifest of a data folder.

    Without a column item, item = path; without a column role, all images are normal.

    Raises:
        ValueError: no manifest, not a Parquet file, or as in `Manifest`.
    """
    folder = Path(root)
    file = folder / MANIFEST_FILE
    if not file.is_file():
        raise ValueError(
            f"{file}: no such file: make a data folder with 'graphreid data import' or 'data "
            f"render'"
        )
    try:
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{file}: not a readable Parquet file ({error}): import the data again"
        ) from None
    missing = {"path", "identity", "split"} - set(table.column_names)
    if missing:
        raise ValueError(f"{file}: column {', '.join(sorted(missing))} is missing")
    path = _text(table, "path", file)
    camera = (
        _text(table, "camera", file)
        if "camera" in table.column_names and table["camera"].null_count < len(path)
        else None
    )
    extra = {
        name: table[name].to_numpy() for name in OPTIONAL_COLUMNS if name in table.column_names
    }
    return Manifest(
        root=folder,
        item=_text(table, "item", file) if "item" in table.column_names else path,
        path=path,
        identity=_text(table, "identity", file),
        camera=camera,
        split=_text(table, "split", file),
        role=_text(table, "role", file)
        if "role" in table.column_names
        else np.full(len(path), "normal"),
        extra=extra,
    )


def write_manifest(manifest: Manifest, root: str | Path) -> None:
    """Write DIR/manifest.parquet atomically.

    Raises:
        ValueError: the folder is missing or not writable.
    """
    columns = {"item": manifest.item, "path": manifest.path, "identity": manifest.identity}
    if manifest.camera is not None:
        columns["camera"] = manifest.camera
    table = pa.table({**columns, "split": manifest.split, "role": manifest.role, **manifest.extra})
    with whole_file(Path(root) / MANIFEST_FILE) as temporary:
        pq.write_table(table, temporary)


def _text(table: Any, name: str, file: Path) -> Text:
    column = table[name]
    if column.null_count:
        row = column.is_null().to_numpy().argmax()
        raise ValueError(f"{file}: {name} is missing in row {row}: name it, or leave the row out")
    return np.asarray(column.cast(pa.string()).to_pylist(), dtype=str)
