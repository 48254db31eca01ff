"""The LanceDB table of a gallery on disk: which images are in it, at which version.

Every row has a serial number. Serial numbers ascend in the order in which images were added and are
never used twice, so that rows of one serial number are the same row in every version of the table.
Writers take turns by a lock of the operating system, which is released when a process is killed.
"""

import errno
import fcntl
import json
import secrets
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float32, Int64

from graphreid.atomic_files import whole_folder
from graphreid.extras import require
from graphreid.knn.exact import Metric
from graphreid.options import Count, Natural, check_options
from graphreid.types import Text, Zero

T = TypeVar("T")
FORMAT = 1
"""Of the files of a gallery; a larger number in a file means a newer package."""
CONFIG, LOCK, TABLE = "gallery.json", "lock", "images"
THUMBNAILS, THUMBNAIL_PREFIX = "pictures", "pictures:"
"""Folder of the gallery for copies of images that were added over HTTP, and how their paths
begin.
"""
SERIAL_BITS = 24
"""Low bits of a serial number, which count the rows of one `append`; the bits above them are the
table's version.
"""
FRAGMENTS = 100
"""Files of the table, beyond one for a thousand rows, from which on they are merged."""
KEEP_VERSIONS = timedelta(minutes=10)
"""How long superseded versions stay on disk, for processes that read them."""
TEXT_COLUMNS = ("camera", "identity", "path", "extra")
"""Columns of text beside the item; an image may have none of them."""

Texts = dict[str, list[str | None]]
"""The columns of TEXT_COLUMNS, a value an image; `extra` is a JSON object as text."""


@dataclass(frozen=True)
class GalleryConfig:
    """What a gallery on disk holds, decided when it is created.

    Attributes:
        width: entries of a vector, d.
        metric: "cosine" or "euclidean".
        embedder: what made the vectors, None where it is not known.
        zero: what to do with a vector of zeros, "refuse" or "keep" it.
        images: the folder that the images' paths start from, None where there is none.
        k: neighbours that the kNN index has of each image, at least.
        margin: neighbours beyond k, so that a removal seldom leaves fewer than k.
        key: a random name, which the files beside the table repeat.
        format: of the files.

    Raises:
        ValueError: a value out of its range.
    """

    width: Count
    metric: Metric = "cosine"
    embedder: str | None = None
    zero: Zero = "refuse"
    images: str | None = None
    k: Count = 70
    margin: Natural = 26
    key: str = ""
    format: Count = FORMAT

    def __post_init__(self) -> None:
        check_options(self)


def from_json(
    kind: type[T], content: Any, file: Path, *, mend: str, renamed: Mapping[str, str] | None = None
) -> T:
    """A dataclass from the content of a JSON file.

    Args:
        kind: the dataclass.
        content: its fields by name.
        file: named in the message.
        mend: what the user can do, for the message.
        renamed: the fields' names in old files, and what they are called now.

    Raises:
        ValueError: fields are missing, unknown, of another type or out of range.
    """
    names = renamed or {}
    try:
        return kind(**{names.get(name, str(name)): value for name, value in content.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file}: not readable ({error}): {mend}") from None


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Rows of the table.

    Attributes:
        serial: int64 [n], serial numbers, ascending.
        items: text [n], unique.
        vectors: float32 [n, d], as they were given.
        texts: columns of n values.
    """

    serial: Int64[np.ndarray, " n"]
    items: Text
    vectors: Float32[np.ndarray, "n d"]
    texts: Texts

    def __len__(self) -> int:
        return len(self.serial)


def create_table(folder: Path, config: GalleryConfig) -> None:
    """Make a gallery's folder with an empty table.

    Raises:
        ValueError: the folder holds something already, or can't be written.
    """
    require("gallery", "a gallery on disk")
    config = replace(config, key=secrets.token_hex(8))
    with whole_folder(folder) as temporary:
        (temporary / LOCK).touch()
        (temporary / CONFIG).write_text(json.dumps(asdict(config), indent=1) + "\n")
        _connect(temporary).create_table(TABLE, schema=_schema(config.width))


def read_config(folder: Path) -> GalleryConfig:
    """What a gallery on disk holds.

    Raises:
        ValueError: not a gallery, damaged, or of a newer format.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ValueError(f"{folder}: not a gallery: make one with 'graphreid gallery create'")
    mend = "restore it, or make the gallery again"
    content = read_json(file, mend=mend)
    written = content.get("format") if isinstance(content, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise ValueError(
            f"{file}: format {written} is newer than this package reads: update graphreid"
        )
    return from_json(GalleryConfig, content, file, mend=mend)


def read_json(file: Path, *, mend: str) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: no JSON; `mend` says what the user can do.
    """
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file}: not readable ({error}): {mend}") from None


class ImageTable:
    """The table of one gallery. Reads are of one version until `checkout_latest`.

    Args:
        folder: the gallery's.

    Raises:
        ValueError: not a gallery, or its table is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        require("gallery", "a gallery on disk")
        self.folder = folder
        self.config = read_config(folder)
        try:
            self._table = _connect(folder).open_table(TABLE)
        except (ValueError, RuntimeError, OSError) as error:
            raise ValueError(
                f"{folder}: its table can't be opened ({error}): restore the folder from a copy"
            ) from None

    @contextmanager
    def locked(self) -> Generator[None]:
        """Within this block no other process writes; waits for its turn."""
        with (self.folder / LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _table_errors(self) -> Generator[None]:
        """Turns LanceDB's errors into an OSError that names the gallery."""
        try:
            yield
        except (RuntimeError, OSError) as error:
            reason = (
                f"its table can't be read or written ({error}): make room, or restore the folder "
                f"from a copy"
            )
            raise OSError(errno.EIO, reason, str(self.folder)) from None

    @property
    def version(self) -> int:
        """The version that reads are of."""
        return int(self._table.version)

    @property
    def fragments(self) -> int:
        """How many files the rows are in."""
        return int(self._table.stats()["fragment_stats"]["num_fragments"])

    def checkout_latest(self) -> int:
        """Read from the newest version from now on; returns that version."""
        with self._table_errors():
            self._table.checkout_latest()
        return self.version

    def count(self) -> int:
        """How many rows there are."""
        with self._table_errors():
            return int(self._table.count_rows())

    def serials(self) -> Int64[np.ndarray, " n"]:
        """Serial numbers of all rows, ascending."""
        with self._table_errors():
            return np.sort(self._table.search().select(["serial"]).to_arrow()["serial"].to_numpy())

    def rows(self, *, after: int = -1) -> ImageRows:
        """The rows whose serial numbers are larger than `after`, ascending."""
        with self._table_errors():
            query = self._table.search()
            if after >= 0:
                query = query.where(f"serial > {after}")
            return _rows(query.to_arrow(), self.config.width)

    def rows_at(self, version: int, serials: Iterable[int]) -> ImageRows | None:
        """These rows as of an earlier version; None where that version is gone."""
        try:
            table = _connect(self.folder).open_table(TABLE)
            table.checkout(version)
            return _rows(table.search().where(_where(serials)).to_arrow(), self.config.width)
        except (ValueError, RuntimeError, OSError):
            return None

    def append(self, items: Text, vectors: Float32[np.ndarray, "n d"], texts: Texts) -> None:
        """Add rows, all or none; within `locked`, at the newest version. They are on disk when this
        returns.

        Raises:
            ValueError: too many at once.
        """
        import pyarrow as pa  # noqa: PLC0415  # slow to import

        if len(items) >= 1 << SERIAL_BITS:
            limit = (1 << SERIAL_BITS) - 1
            raise ValueError(f"{len(items):,} images at once: add at most {limit:,}")
        serial = (self.version << SERIAL_BITS) + np.arange(len(items), dtype=np.int64)
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        columns = {
            "serial": pa.array(serial),
            "item": pa.array(items.tolist(), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self.config.width),
            **{name: pa.array(texts[name], pa.string()) for name in TEXT_COLUMNS},
        }
        with self._table_errors():
            self._table.add(pa.table(columns, schema=_schema(self.config.width)))

    def delete(self, serials: Iterable[int]) -> None:
        """Remove rows, all or none; within `locked`, at the newest version."""
        with self._table_errors():
            self._table.delete(_where(serials))

    def compact(self) -> bool:
        """Merge the table's files if there are many, and drop superseded versions; within
        `locked`. Returns whether it did.
        """
        if self.fragments <= FRAGMENTS + self.count() // 1000:
            return False
        with self._table_errors():
            self._table.optimize(cleanup_older_than=KEEP_VERSIONS)
        return True


def _connect(folder: Path) -> Any:
    import lancedb  # noqa: PLC0415  # slow to import, and an extra

    return cast("Any", lancedb).connect(folder)


def _schema(width: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # slow to import

    return pa.schema(
        [
            pa.field("serial", pa.int64(), nullable=False),
            pa.field("item", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), width), nullable=False),
            *(pa.field(name, pa.string()) for name in TEXT_COLUMNS),
        ]
    )


def _rows(table: Any, width: int) -> ImageRows:
    table = table.sort_by("serial").combine_chunks()
    column: Any = table["vector"].combine_chunks()
    # a copy: torch wants arrays that may be written to
    flat = np.array(column.flatten()) if len(table) else np.empty(0, np.float32)
    return ImageRows(
        serial=table["serial"].to_numpy(),
        items=np.array(table["item"].to_pylist(), str),
        vectors=flat.reshape(len(table), width),
        texts={name: table[name].to_pylist() for name in TEXT_COLUMNS},
    )


def _where(serials: Iterable[int]) -> str:
    return f"serial IN ({', '.join(map(str, serials))})"
