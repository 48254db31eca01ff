"""Reading and writing .npy and .npz files: no pickles, damage named with its file, the same bytes for the same arrays."""

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
        ValueError: no such file, not an .npz file, damaged, or with Python objects in it; the message names the file.
    """
    with _open(path) as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise ValueError(f"{path}: not an .npz file: save it with numpy.savez or 'graphreid features'")
        stream.seek(0)
        try:
            with np.load(stream, allow_pickle=False) as archive:
                present = [name for name in archive.files if names is None or name in names]
                return {name: _member(archive, name, path) for name in present}
        except _DAMAGE as error:
            if str(error).startswith(f"{path}: "):
                raise
            raise ValueError(f"{path}: a damaged or truncated .npz file ({error}): make it again") from None


def read_npy(path: str | Path) -> NDArray[Any]:
    """The array of an .npy file, memory-mapped.

    Raises:
        ValueError: no such file, not an .npy file, damaged, or with Python objects in it; the message names the file.
    """
    with _open(path) as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError(f"{path}: not an .npy file: save it with numpy.save")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        if "object" in str(error):
            raise ValueError(f"{path}: {_OBJECTS}") from None
        raise ValueError(f"{path}: a damaged or truncated .npy file ({error}): make it again") from None


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


_OBJECTS = "it holds Python objects, which would have to be unpickled: save numbers or text"


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
