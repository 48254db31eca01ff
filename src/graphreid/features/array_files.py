"""Reads and writes .npy and .npz files: without pickles, with errors that name the file, and with
the same bytes for the same arrays.
"""

import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_DAMAGE = (OSError, ValueError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error)
_CHUNK = 1 << 22


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, or those of them that are in `names`.

    Raises:
        ValueError: no such file, not an .npz file, damaged, or with Python objects in it; the
            message names the file.
    """
    with _open(path) as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise ValueError(
                f"{path}: not an .npz file: save it with numpy.savez or 'graphreid features'"
            )
        stream.seek(0)
        try:
            with np.load(stream, allow_pickle=False) as archive:
                present = [name for name in archive.files if names is None or name in names]
                return {name: _member(archive, name, path) for name in present}
        except _DAMAGE as error:
            if str(error).startswith(f"{path}: "):
                raise
            raise ValueError(
                f"{path}: a damaged or truncated .npz file ({error}): make it again"
            ) from None


def read_npy(path: str | Path) -> NDArray[Any]:
    """The array of an .npy file, memory-mapped.

    Raises:
        ValueError: no such file, not an .npy file, damaged, or with Python objects in it; the
            message names the file.
    """
    with _open(path) as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path}: not an .npy file: save it with numpy.save")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        if "object" in str(error):
            raise ValueError(f"{path}: {_OBJECTS}") from None
        raise ValueError(
            f"{path}: a damaged or truncated .npy file ({error}): make it again"
        ) from None


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any] | Path]) -> None:
    """Write an uncompressed .npz file with a fixed date, so that equal arrays give equal bytes.

    Args:
        path: the file.
        arrays: arrays by name; or a path to an .npy file, which is streamed.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as stream:
                if isinstance(array, Path):
                    with array.open("rb") as source:
                        while chunk := source.read(_CHUNK):
                            stream.write(chunk)
                else:
                    np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


class RowReader:
    """Reads a two-dimensional array on disk in blocks of rows, from the first to the last.

    A context manager.

    Args:
        path: an .npy file, or an .npz file.
        name: the array in the .npz file; None for an .npy file.

    Attributes:
        shape: rows and columns.
        dtype: of the values.

    Raises:
        ValueError: no such file or array, damaged, of another shape, or with Python objects in it;
            the message names the file.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self._path = path
        self._next = 0
        self._mapped = read_npy(path) if name is None else None
        self._archive: zipfile.ZipFile | None = None
        if self._mapped is not None:
            shape = self._mapped.shape
            self.dtype = self._mapped.dtype
        else:
            shape = self._open_member(str(name))
        if len(shape) != 2:
            self.close()
            raise ValueError(
                f"{path}: {name or 'the array'} has shape {tuple(shape)}: it must have rows and "
                f"columns"
            )
        self.shape = int(shape[0]), int(shape[1])

    def _open_member(self, name: str) -> tuple[int, ...]:
        if name not in (present := _names(self._path)):
            raise ValueError(
                f"{self._path}: no array {name!r} in it; it has {', '.join(present) or 'nothing'}"
            )
        self._archive = zipfile.ZipFile(self._path)
        try:
            self._stream = self._archive.open(f"{name}.npy")
            version = np.lib.format.read_magic(self._stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, by_column, self.dtype = read(self._stream)
        except _DAMAGE as error:
            self.close()
            raise ValueError(
                f"{self._path}: a damaged or truncated .npz file ({error}): make it again"
            ) from None
        if self.dtype.hasobject or (by_column and len(shape) > 1):
            self.close()
            reason = (
                _OBJECTS
                if self.dtype.hasobject
                else "it is stored by columns: save numpy.ascontiguousarray of it"
            )
            raise ValueError(f"{self._path}: {name}: {reason}")
        return shape

    def take(self, count: int) -> NDArray[Any]:
        """The next `count` rows.

        Raises:
            ValueError: the file has fewer rows.
        """
        start = self._next
        self._next = self._next + count
        if self._mapped is not None:
            return self._mapped[start : self._next]
        wanted = count * self.shape[1] * self.dtype.itemsize
        try:
            data = self._stream.read(wanted)
        except _DAMAGE as error:
            raise ValueError(
                f"{self._path}: a damaged or truncated .npz file ({error}): make it again"
            ) from None
        if len(data) < wanted:
            raise ValueError(
                f"{self._path}: it ends in row {start + len(data) * count // max(wanted, 1)}: make "
                f"it again"
            )
        return np.frombuffer(data, self.dtype).reshape(count, self.shape[1])

    def close(self) -> None:
        """Close the file."""
        if self._archive is not None:
            self._archive.close()

    def __enter__(self) -> "RowReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_OBJECTS = "it holds Python objects, which would have to be unpickled: save numbers or text"


def _names(path: str | Path) -> list[str]:
    read_npz(path, ())  # that it is one
    with np.load(path, allow_pickle=False) as archive:
        return list(archive.files)


def _member(archive: Any, name: str, path: str | Path) -> NDArray[Any]:
    try:
        return archive[name]
    except ValueError as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path}: {name}: {_OBJECTS}") from None
        raise


def _open(path: str | Path) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
