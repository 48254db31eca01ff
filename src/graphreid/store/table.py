"""The table of a gallery on disk: the truth about which images are in it.

A row has a serial number, which ascends with the order of adding and is never given twice; two rows
of one serial number are the same row, in every version of the table. Writers take turns by a lock
of the operating system, which a killed process gives back.
"""

import errno
import fcntl
import json
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from jaxtyping import Float32, Int64

from graphreid.atomic_files import whole_file, whole_folder
from graphreid.extras import require
from graphreid.knn.exact import Metric
from graphreid.types import Text, Zero

FORMAT = 1
CONFIG, LOCK, TABLE = "gallery.json", "lock", "images"
PICTURES, MARK = "pictures", "pictures:"
"""Images that are sent to the service are kept here, in the gallery's folder; their paths begin
with the mark.
"""
SERIALS = 24
"""Bits of a serial number that count the rows of one `append`; above them is the table's
version.
"""
PIECES = 100
"""Files of the table, beyond one for a thousand rows, from which on they are joined."""
KEPT = timedelta(minutes=10)
"""Superseded versions stay this long on disk, for those who read them."""
TEXTS = ("camera", "identity", "path", "extra")
"""Columns of text beside the item, where an image may have none."""


@dataclass(frozen=True)
class Config:
    """What a gallery is, decided when it is created.

    Attributes:
        width: entries of a vector, d.
        metric: "cosine" or "euclidean".
        embedder: what made the vectors, None where nobody said.
        zero: what to do with a vector of zeros, "refuse" or "keep" it.
        images: the folder that images' paths start from, None where there is none.
        k: neighbours of an image that are kept at least.
        margin: kept beyond these, so that a removal seldom leaves too few.
        key: random, names this gallery in the files beside the table.
        format: of the files.
    """

    width: int
    metric: Metric = "cosine"
    embedder: str | None = None
    zero: Zero = "refuse"
    images: str | None = None
    k: int = 70
    margin: int = 26
    key: str = ""
    format: int = FORMAT


@dataclass(frozen=True, eq=False)
class Rows:
    """Images as the table holds them.

    Attributes:
        serial: int64 [n], ascending.
        items: text [n], unique.
        vectors: float32 [n, d], as they were given.
        texts: the columns of TEXTS, n values each, None where an image has none; `extra` is a JSON
            object.
    """

    serial: Int64[np.ndarray, " n"]
    items: Text
    vectors: Float32[np.ndarray, "n d"]
    texts: dict[str, list[str | None]]

    def __len__(self) -> int:
        return len(self.serial)


def create(folder: Path, config: Config) -> None:
    """Make an empty table in `folder`.

    Raises:
        ValueError: the folder holds something already, or can't be written, or a value is out of
            its range.
    """
    require("gallery", "a gallery on disk")
    if config.width < 1 or config.k < 1 or config.margin < 0:
        raise ValueError(
            f"width {config.width}, k {config.k}, margin {config.margin}: positive, positive and "
            f"not negative"
        )
    config = replace(config, key=secrets.token_hex(8))
    with whole_folder(folder) as made:
        (made / LOCK).touch()
        (made / CONFIG).write_text(json.dumps(asdict(config), indent=1) + "\n")
        _connected(made).create_table(TABLE, schema=_schema(config.width))


def read_config(folder: Path) -> Config:
    """What a gallery is.

    Raises:
        ValueError: not a gallery, damaged, or of a newer format.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ValueError(f"{folder}: not a gallery: make one with 'graphreid gallery create'")
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        content["width"] = int(content["width"])
        newer = int(content["format"]) > FORMAT
        config = None if newer else Config(**content)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file}: not readable ({error}): restore it, or make the gallery again"
        ) from None
    if config is None:
        raise ValueError(
            f"{file}: format {content['format']} is newer than this package reads: update graphreid"
        )
    if config.metric not in get_args(Metric) or config.zero not in get_args(Zero):
        raise ValueError(
            f"{file}: metric is {config.metric!r}, zero {config.zero!r}: restore it, or make the "
            f"gallery again"
        )
    return config


class Store:
    """The table of one gallery, at one version until `latest` is asked for.

    Args:
        folder: the gallery's.

    Raises:
        ValueError: not a gallery, or its table is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        require("gallery", "a gallery on disk")
        self.folder, self.config = folder, read_config(folder)
        try:
            self._table = _connected(folder).open_table(TABLE)
        except (ValueError, RuntimeError, OSError) as error:
            raise ValueError(
                f"{folder}: its table can't be opened ({error}): restore the folder from a copy"
            ) from None

    @contextmanager
    def locked(self) -> Generator[None]:
        """Within it no other process writes; it waits for its turn."""
        with (self.folder / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _damaged(self) -> Generator[None]:
        """What the table's files do to its package, as an error of the system that names the
        gallery.
        """
        try:
            yield
        except (RuntimeError, OSError) as error:
            why = (
                f"its table can't be read or written ({error}): make room, or restore the "
                f"folder "
                f"from a copy"
            )
            raise OSError(errno.EIO, why, str(self.folder)) from None

    @property
    def version(self) -> int:
        """The version that reads are from."""
        return int(self._table.version)

    @property
    def pieces(self) -> int:
        """Files that the rows are in."""
        return int(self._table.stats()["fragment_stats"]["num_fragments"])

    def latest(self) -> int:
        """Go to the newest version, and say which it is."""
        with self._damaged():
            self._table.checkout_latest()
        return self.version

    def count(self) -> int:
        """How many rows there are."""
        with self._damaged():
            return int(self._table.count_rows())

    def serials(self) -> Int64[np.ndarray, " n"]:
        """Serial numbers of all rows, ascending."""
        with self._damaged():
            return np.sort(self._table.search().select(["serial"]).to_arrow()["serial"].to_numpy())

    def rows(self, *, after: int = -1) -> Rows:
        """The rows of larger serial numbers than `after`, ascending."""
        with self._damaged():
            asked = self._table.search()
            return _rows(
                (asked.where(f"serial > {after}") if after >= 0 else asked).to_arrow(),
                self.config.width,
            )

    def rows_at(self, version: int, serials: Iterable[int]) -> Rows | None:
        """These rows as of an earlier version; None where that version is gone."""
        try:
            table = _connected(self.folder).open_table(TABLE)
            table.checkout(version)
            return _rows(table.search().where(_among(serials)).to_arrow(), self.config.width)
        except (ValueError, RuntimeError, OSError):
            return None

    def append(
        self, items: Text, vectors: Float32[np.ndarray, "n d"], texts: dict[str, list[str | None]]
    ) -> None:
        """Add rows, all or none; within `locked`, at the newest version. They are on disk when this
        returns.
        """
        import pyarrow as pa  # noqa: PLC0415  # an extra

        if len(items) >= 1 << SERIALS:
            raise ValueError(f"{len(items):,} images at once: add at most {(1 << SERIALS) - 1:,}")
        serial = (self.version << SERIALS) + np.arange(len(items), dtype=np.int64)
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        columns = {
            "serial": pa.array(serial),
            "item": pa.array(items.tolist(), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.config.width),
            **{name: pa.array(texts[name], pa.string()) for name in TEXTS},
        }
        with self._damaged():
            self._table.add(pa.table(columns, schema=_schema(self.config.width)))

    def delete(self, serials: Iterable[int]) -> None:
        """Remove rows, all or none; within `locked`, at the newest version."""
        with self._damaged():
            self._table.delete(_among(serials))

    def tidy(self) -> bool:
        """Join the table's files if there are many, and drop versions nobody reads any more; within
        `locked`.
        """
        if self.pieces <= PIECES + self.count() // 1000:
            return False
        with self._damaged():
            self._table.optimize(cleanup_older_than=KEPT)
        return True

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object beside the table, empty where it is not there.

        Raises:
            ValueError: it is damaged.
        """
        file = self.folder / name
        if not file.is_file():
            return {}
        try:
            return dict(cast("dict[str, Any]", json.loads(file.read_text())))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{file}: not readable ({error}): remove it, and make it again"
            ) from None

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON object beside the table."""
        with whole_file(self.folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")


def _connected(folder: Path) -> Any:
    import lancedb  # noqa: PLC0415  # heavy, and an extra

    return cast("Any", lancedb).connect(folder)


def _schema(width: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    texts = [pa.field(name, pa.string()) for name in TEXTS]
    head = [
        pa.field("serial", pa.int64(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
    ]
    return pa.schema(
        [*head, pa.field("vector", pa.list_(pa.float32(), width), nullable=False), *texts]
    )


def _rows(table: Any, width: int) -> Rows:
    table = table.sort_by("serial").combine_chunks()
    column: Any = table["vector"].combine_chunks()
    # a copy, for torch wants arrays that may be written to
    flat = np.array(column.flatten()) if len(table) else np.empty(0, np.float32)
    return Rows(
        serial=table["serial"].to_numpy(),
        items=np.array(table["item"].to_pylist(), str),
        vectors=flat.reshape(len(table), width),
        texts={name: table[name].to_pylist() for name in TEXTS},
    )


def _among(serials: Iterable[int]) -> str:
    return f"serial IN ({', '.join(map(str, serials))})"
