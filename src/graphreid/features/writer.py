"""Writes a features file in blocks: larger than memory, and resumed after an interruption."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from graphreid.atomic_files import whole_file
from graphreid.features.array_files import write_npz
from graphreid.features.features_file import (
    VECTORS,
    VECTORS_FILE,
    Columns,
    checked_columns,
    embedder_array,
    is_npz,
    write_embedder,
    write_items,
)

_PROGRESS = "progress.json"
_FLOAT = np.dtype("<f4")
_BLOCK = 4096
More = Callable[[Float32[np.ndarray, "b d"]], Mapping[str, ArrayLike]]
"""Maps vectors of some rows to further columns of these rows."""


class FeatureWriter:
    """Writes a features file in blocks to `<path>.partial/`; `finish` moves it to `path`.

    Attributes:
        done: number of rows written, also by an interrupted writer; the next block starts here.
        discarded: whether rows of other data, model or options were found and discarded.
    """

    done: int
    discarded: bool

    def __init__(
        self,
        path: str | Path,
        rows: int,
        width: int,
        columns: Mapping[str, ArrayLike] | None = None,
        *,
        stamp: str,
        embedder: str | None = None,
    ) -> None:
        """Start a file, or resume one that was interrupted.

        Args:
            path: `x.npz`, or a folder that does not exist.
            rows: n, total number of images.
            width: d, dimensions of a vector.
            columns: any of `features_file.COLUMNS`, n values each.
            stamp: identifies model, data and options; rows with another stamp are discarded.
            embedder: name of the embedder, saved in the file.

        Raises:
            ValueError: `path` cannot be written, or columns that `save_features` would refuse.
        """
        if rows < 1 or width < 1:
            raise ValueError(
                f"{path}: {rows} rows of width {width} is no features file: both must be positive"
            )
        self._target = Path(path)
        self._npz = is_npz(path)
        self._rows = rows
        self._width = width
        self._embedder = embedder
        self._columns = checked_columns(columns or {}, rows)
        if self._target.is_dir() and (self._npz or any(self._target.iterdir())):
            raise ValueError(f"{path} exists already: remove it, or choose another --out")
        self._folder = self._target.with_name(f"{self._target.name}.partial")
        self._state = {
            "stamp": stamp,
            "columns": _fingerprint(self._columns),
            "rows": rows,
            "width": width,
        }
        try:
            self._folder.mkdir(exist_ok=True)
            before = _progress(self._folder)
            same = {**before, "done": 0} == {**self._state, "done": 0}
            stream = self._resumed(int(before.get("done", 0))) if same else None
            self.discarded = stream is None and before.get("done", 0) > 0
            self._stream = stream or self._begun()
        except OSError as error:
            raise self._unwritable(error) from None

    def write(self, block: Float32[np.ndarray, "b d"]) -> None:
        """Append a block of rows; on return they are on disk and counted in `done`.

        Raises:
            ValueError: another width, too many rows, a row with NaN or infinity, or a full disk.
        """
        if block.shape[1] != self._width or self.done + len(block) > self._rows:
            raise ValueError(
                f"{self._target}: a block {block.shape} does not fit row {self.done} of "
                f"[{self._rows}, {self._width}]"
            )
        bad = ~np.isfinite(block).all(1)
        if bad.any():
            row = self.done + int(bad.argmax())
            name = f" ({self._columns['path'][row]})" if "path" in self._columns else ""
            raise ValueError(
                f"{self._target}: NaN or infinity in row {row}{name}: did the training diverge?"
            )
        try:
            self._stream.write(np.ascontiguousarray(block, _FLOAT).data)
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._record(self.done + len(block))
        except OSError as error:
            raise self._unwritable(error) from None

    def finish(self, more: More | None = None) -> None:
        """Move the complete file to its path, and remove the partial folder.

        Args:
            more: computes further columns from the vectors; called with blocks of rows.

        Raises:
            ValueError: rows are missing, or the disk is full.
        """
        if self.done != self._rows:
            raise ValueError(f"{self._target}: {self.done} of {self._rows} rows are written")
        self._stream.close()
        if more is not None:
            vectors = np.load(self._folder / VECTORS_FILE, mmap_mode="r")
            made = [
                more(np.asarray(vectors[start : start + _BLOCK]))
                for start in range(0, self._rows, _BLOCK)
            ]
            columns = {name: np.concatenate([block[name] for block in made]) for name in made[0]}
            self._columns |= checked_columns(columns, self._rows)
        try:
            if self._npz:
                with whole_file(self._target) as temporary:
                    write_npz(
                        temporary,
                        {
                            VECTORS: self._folder / VECTORS_FILE,
                            **self._columns,
                            **embedder_array(self._embedder),
                        },
                    )
                shutil.rmtree(self._folder)
            else:
                write_items(self._folder, self._columns)
                write_embedder(self._folder, self._embedder)
                self._folder.replace(self._target)
                (self._target / _PROGRESS).unlink()
        except OSError as error:
            raise self._unwritable(error) from None

    def _begun(self) -> IO[bytes]:
        # written as a stream, not through a memory map: a full disk is then an error and not a dead
        # process
        stream = (self._folder / VECTORS_FILE).open("wb")
        header = {"descr": _FLOAT.str, "fortran_order": False, "shape": (self._rows, self._width)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.flush()
        self._record(0)
        return stream

    def _resumed(self, done: int) -> IO[bytes] | None:
        """The stream, positioned after the rows that are done; None if the file has fewer."""
        try:
            stream = (self._folder / VECTORS_FILE).open("r+b")
        except FileNotFoundError:
            return None
        try:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            end = stream.tell() + done * self._width * _FLOAT.itemsize
            whole = (shape, dtype) == ((self._rows, self._width), _FLOAT) and stream.seek(
                0, os.SEEK_END
            ) >= end
        except ValueError:
            whole = False
            end = 0
        if not whole:
            stream.close()
            return None
        stream.truncate(end)
        stream.seek(end)
        self.done = done
        return stream

    def _record(self, done: int) -> None:
        with whole_file(self._folder / _PROGRESS) as temporary:
            temporary.write_text(json.dumps({**self._state, "done": done}), encoding="utf-8")
        self.done = done

    def _unwritable(self, error: OSError) -> ValueError:
        return ValueError(
            f"cannot write {self._target}: {error.strerror} (does the folder exist, may you write "
            f"there?)"
        )


def _progress(folder: Path) -> dict[str, Any]:
    try:
        progress = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return progress if isinstance(progress, dict) else {}


def _fingerprint(columns: Columns) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, column in columns.items():
        digest.update(f"{name} {column.dtype} {column.shape} ".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()
