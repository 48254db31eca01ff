"""Features files: vectors with columns such as item and identity.

A features file is `x.npz`, or for large sets a folder with vectors.npy and items.parquet.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from graphreid.atomic_files import whole_file, whole_folder
from graphreid.features.array_files import read_npy, read_npz, write_npz
from graphreid.types import Features, Labels, Text, Zero

COLUMNS = ("identity", "camera", "item", "path", "role", "track", "seen", "visibility")
"""Columns of a features file, n values each (visibility: n rows); other arrays are ignored."""
VECTORS = "vectors"
VECTORS_FILE = "vectors.npy"
ITEMS_FILE = "items.parquet"
EMBEDDER = "embedder"
EMBEDDER_FILE = "embedder.txt"
"""Name of the embedder, where it is known: vectors of different embedders can't be compared."""
_CHUNK = 1 << 22

Columns = Mapping[str, NDArray[Any]]


def load_features(path: str | Path, *, zero: Zero = "refuse") -> tuple[Features, Labels]:
    """Load features and labels from a features file.

    Args:
        path: an .npz file; or a folder with vectors.npy, which is memory-mapped, and items.parquet.
        zero: what to do with a vector of zeros, "refuse" or "keep".

    Raises:
        ValueError: no such file, damaged, without identities, or with values that `Features` or
            `Labels` refuse.
    """
    vectors, columns = _read(path, (VECTORS, "identity", "camera", "item", "role"))
    if "identity" not in columns:
        raise ValueError(
            f"{path}: no identities in it; add an array 'identity' with one value a vector"
        )
    features = _features(path, vectors, columns, zero)
    try:
        labels = Labels(columns["identity"], columns.get("camera"), columns.get("role"))  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if len(labels) != len(features):
        raise ValueError(
            f"{path}: {len(labels)} identities for {len(features)} vectors: give one each"
        )
    return features, labels


def load_vectors(path: str | Path, *, zero: Zero = "refuse") -> Features:
    """Load the features alone from a features file, which needs no identities.

    Args:
        path: an .npz file, or a folder (see `load_features`).
        zero: what to do with a vector of zeros, "refuse" or "keep".

    Raises:
        ValueError: no such file, damaged, or with values that `Features` refuses.
    """
    vectors, columns = _read(path, (VECTORS, "camera", "item"))
    return _features(path, vectors, columns, zero)


def load_columns(path: str | Path) -> dict[str, NDArray[Any]]:
    """Load the columns of a features file (those of COLUMNS) by name, as they were saved.

    Raises:
        ValueError: no such file, damaged, or columns of different lengths.
    """
    columns = _columns(path) if Path(path).is_dir() else read_npz(path, COLUMNS)
    lengths = {name: len(column) if column.ndim else 1 for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{path}: columns of different lengths: {lengths}")
    return columns


def load_embedder_name(path: str | Path) -> str | None:
    """The name of the embedder that made a features file; None where the file does not say.

    Raises:
        ValueError: no such file, or damaged.
    """
    file = Path(path, EMBEDDER_FILE)
    if Path(path).is_dir():
        return file.read_text(encoding="utf-8").strip() or None if file.is_file() else None
    embedder_array = read_npz(path, (EMBEDDER,)).get(EMBEDDER)
    return None if embedder_array is None or embedder_array.ndim else str(embedder_array)


def require_same_embedder(first: str | Path, second: str | Path) -> None:
    """Check that two features files don't name different embedders.

    Raises:
        ValueError: they do, so that their vectors can't be compared.
    """
    names = load_embedder_name(first), load_embedder_name(second)
    if None not in names and names[0] != names[1]:
        raise ValueError(
            f"{first} and {second}: made by two embedders ({names[0]}, {names[1]}), whose vectors "
            f"can't be compared: "
            "embed both with one run, and with the same --flip or --no-flip"
        )


def save_features(
    path: str | Path,
    vectors: ArrayLike,
    columns: Mapping[str, ArrayLike],
    *,
    embedder: str | None = None,
) -> None:
    """Write a features file atomically.

    Args:
        path: `x.npz`; with another extension (or "/") a folder, which must not exist.
        vectors: [n, d] numbers, saved as float32.
        columns: any of COLUMNS, n values each.
        embedder: name of the embedder, where it is known.

    Raises:
        ValueError: an unknown column, a length that differs, values that are neither numbers nor
            text, or `path` cannot be written.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"vectors must be numbers [images, width], not {array.dtype} of shape {array.shape}"
        )
    array = array.astype(np.float32, copy=False)
    plain = checked_columns(columns, len(array))
    if is_npz(path):
        with whole_file(path) as temporary:
            write_npz(temporary, {VECTORS: array, **plain, **embedder_array(embedder)})
    else:
        with whole_folder(path) as folder:
            np.save(folder / VECTORS_FILE, array)
            write_items(folder, plain)
            write_embedder(folder, embedder)


def is_npz(path: str | Path) -> bool:
    """Whether a features path is a file; otherwise it is a folder."""
    return not str(path).endswith("/") and Path(path).suffix == ".npz"


def checked_columns(columns: Mapping[str, ArrayLike], n: int) -> dict[str, NDArray[Any]]:
    """Convert columns to arrays of numbers or text, in the order of COLUMNS.

    Raises:
        ValueError: an unknown column, not `n` values, or values that are neither numbers nor text.
    """
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise ValueError(
            f"no column {', '.join(sorted(unknown))} in a features file: it may have "
            f"{', '.join(COLUMNS)}"
        )
    plain: dict[str, NDArray[Any]] = {}
    for name in (name for name in COLUMNS if name in columns):
        array = np.asarray(columns[name])
        if array.dtype.kind in "OT":
            if not all(isinstance(value, str) for value in array.ravel().tolist()):
                raise ValueError(
                    f"{name} must be numbers or text, one a row; it mixes kinds or has missing "
                    f"values"
                )
            array = array.astype(str)
        if array.dtype.kind not in "fiubU":
            raise ValueError(f"{name} must be numbers or text, not {array.dtype}")
        if array.ndim != (array.ndim if name == "visibility" and array.ndim == 2 else 1):
            raise ValueError(f"{name} must be one value a row, not an array of shape {array.shape}")
        if len(array) != n:
            raise ValueError(f"{name} has {len(array)} values for {n} vectors: give one each")
        plain[name] = array
    return plain


def write_items(folder: Path, columns: Columns) -> None:
    """Write the columns to FOLDER/items.parquet; a column [n, m] becomes lists of m values."""
    table = {
        name: pa.array(column)
        if column.ndim == 1
        else pa.FixedSizeListArray.from_arrays(column.ravel(), column.shape[1])
        for name, column in columns.items()
    }
    pq.write_table(pa.table(table), folder / ITEMS_FILE)


def embedder_array(embedder: str | None) -> dict[str, NDArray[Any]]:
    """The array of an .npz file that names the embedder; empty where it is not known."""
    return {} if embedder is None else {EMBEDDER: np.array(embedder)}


def write_embedder(folder: Path, embedder: str | None) -> None:
    """Write FOLDER/embedder.txt, where the embedder is known."""
    if embedder is not None:
        (folder / EMBEDDER_FILE).write_text(embedder + "\n", encoding="utf-8")


def _features(path: str | Path, vectors: NDArray[Any], columns: Columns, zero: Zero) -> Features:
    try:
        items = columns.get("item")
        if items is None:
            items = _row_items(Path(path), len(vectors) if vectors.ndim else 0)
        return Features(vectors, items, columns.get("camera"), zero)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(path: str | Path, names: tuple[str, ...]) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    folder = Path(path)
    if folder.is_dir():
        columns = _columns(path)
        return read_npy(folder / VECTORS_FILE), {
            name: columns[name] for name in names if name in columns
        }
    arrays = read_npz(path, names)
    if VECTORS not in arrays:
        present = ", ".join(read_npz(path)) or "nothing"
        raise ValueError(f"{path}: no array 'vectors' in it; it has {present}")
    return arrays.pop(VECTORS), arrays


def _columns(folder: str | Path) -> dict[str, NDArray[Any]]:
    file = Path(folder, ITEMS_FILE)
    if not Path(folder, VECTORS_FILE).is_file():
        raise ValueError(
            f"{folder}: a folder without {VECTORS_FILE}: give an .npz file or a features folder"
        )
    if not file.is_file():
        return {}
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: not a readable Parquet file ({error}): make it again") from None
    columns: dict[str, NDArray[Any]] = {}
    for name in (name for name in COLUMNS if name in table.column_names):
        column = table[name]
        if column.null_count:
            row = int(column.is_null().to_numpy().argmax())
            raise ValueError(
                f"{file}: {name} is missing in row {row}: fill it, or leave the column out"
            )
        if pa.types.is_fixed_size_list(column.type):
            columns[name] = column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
        else:
            array = column.to_numpy()
            columns[name] = array.astype(str) if array.dtype.kind == "O" else array
    return columns


def _row_items(path: Path, n: int) -> Text:
    """Item ids of a file without: its hash and the row, so the same file has the same ids."""
    digest = hashlib.blake2b(digest_size=8)
    with (path / VECTORS_FILE if path.is_dir() else path).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    source = digest.hexdigest()
    return np.array([f"{source}#{row}" for row in range(n)])
