"""`graphreid features`: vectors from any toolkit and a table of labels become a features file."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphreid.data.arrays import read_npy, read_npz
from graphreid.data.features import COLUMNS, save_features
from graphreid.data.tables import read_table
from graphreid.types import Features, Labels

_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no"}


def features(
    *,
    vectors: Path,
    out: Path,
    table: Path | None = None,
    identity: str | None = None,
    camera: str | None = None,
    item: str | None = None,
    path: str | None = None,
    zero: Literal["refuse", "keep"] = "refuse",
) -> None:
    """Make a features file of vectors and a table, row by row.

    Columns identity, camera, item, path, role, track and seen are taken where the table has them; the options name a
    column of another name.

    Args:
        vectors: One vector an image: .npy [n, d], an .npz with one such array, or .csv with numbers only.
        out: The features file, x.npz; with another ending it becomes a folder with vectors.npy and items.parquet.
        table: .csv, .tsv or .parquet with a header and n rows in the order of the vectors.
        identity: Column of the identity, number or text.
        camera: Column of the camera, number or text.
        item: Column of the image's id, unique.
        path: Column of the image's path.
        zero: A vector of zeros is refused; or kept, and then to be kept in every command that reads the file.
    """
    given = {"identity": identity, "camera": camera, "item": item, "path": path}
    array = _vectors(vectors)
    columns = _columns(table, given, len(array)) if table is not None else {}
    if table is None and any(given.values()):
        raise ValueError("a column is named and no table is given: add --table")
    try:
        checked = Features(array, columns.get("item"), columns.get("camera"), zero)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{vectors}: {error}") from None
    if "identity" in columns:
        try:
            Labels(columns["identity"], columns.get("camera"), columns.get("role"))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
    save_features(out, checked.vectors, columns)
    held = ", ".join(columns) or "no columns"
    print(f"{len(checked)} vectors of width {checked.width}, with {held}: {out}")


def _vectors(file: Path) -> NDArray[Any]:
    if file.suffix == ".npz":
        arrays = read_npz(file)
        if len(arrays) != 1:
            raise ValueError(f"{file}: holds {', '.join(arrays) or 'nothing'}: give a file with one array")
        array = next(iter(arrays.values()))
    elif file.suffix in (".csv", ".tsv", ".txt"):
        array = _numbers(file)
    else:
        array = read_npy(file)
    if array.ndim != 2:
        raise ValueError(f"{file}: needs one vector a row, [n, d], not an array of shape {array.shape}")
    return array


def _numbers(file: Path) -> NDArray[np.float32]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
            separator = next((mark for mark in ",;\t" if mark in head), None)
            try:
                [float(value) for value in head.split(separator)]
                stream.seek(0)
            except ValueError:
                pass  # the first line names the columns
            return np.loadtxt(stream, np.float32, delimiter=separator, ndmin=2)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file}: not a table of numbers ({error})") from None


def _columns(table: Path, given: dict[str, str | None], n: int) -> dict[str, NDArray[Any]]:
    found = read_table(table)
    columns: dict[str, NDArray[Any]] = {}
    for name in COLUMNS[:-1]:  # a visibility is no column of a table
        source = given.get(name) or name
        if source in found:
            columns[name] = _column(table, source, name, found[source])
        elif given.get(name):
            raise ValueError(f"{table}: no column {source!r} (--{name}); it has {', '.join(found)}")
    rows = len(next(iter(found.values())))
    if rows != n:
        raise ValueError(f"{table}: {rows} rows for {n} vectors: give one row a vector, in their order")
    return columns


def _column(table: Path, source: str, name: str, values: list[str]) -> NDArray[Any]:
    """A column as numbers where every value is an integer's own spelling, as text otherwise; seen as truth."""
    if "" in values:
        raise ValueError(f"{table}: {source} is empty in row {values.index('')} (the first is row 0)")
    if name == "seen":
        words = [value.lower() for value in values]
        for row, word in enumerate(words):
            if word not in _TRUE | _FALSE:
                raise ValueError(f"{table}: {source} is {values[row]!r} in row {row}: true or false")
        return np.array([word in _TRUE for word in words])
    if name not in ("item", "path") and all(_is_integer(value) for value in values):
        return np.array(values, np.int64)
    return np.array(values)


def _is_integer(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) <= 12 and str(int(value)) == value
