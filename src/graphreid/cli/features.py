"""`graphreid features`: vectors from any toolkit and a table of labels become a features file."""

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from graphreid.features.array_files import read_npy, read_npz
from graphreid.features.features_file import COLUMNS, save_features
from graphreid.features.readers.tables import read_table
from graphreid.features.readers.toolkits import market_columns, read_toolkit_features
from graphreid.types import Features, Labels

_TRUE = {"1", "true", "yes"}
_FALSE = {"0", "false", "no"}


def features(
    *,
    out: Path,
    vectors: Path | None = None,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    part: Literal["query", "gallery"] | None = None,
    list_: Annotated[Path | None, Parameter(name="--list")] = None,
    names: Literal["market"] | None = None,
    table: Path | None = None,
    identity: str | None = None,
    camera: str | None = None,
    item: str | None = None,
    path: str | None = None,
    zero: Literal["refuse", "keep"] = "refuse",
) -> None:
    """Make a features file of vectors and a table, row by row; or of another toolkit's feature
    file.

    Columns identity, camera, item, path, role, track and seen are taken from the table where it has
    them; the options name a column of another name.

    Args:
        out: The features file, x.npz; with another ending it becomes a folder with vectors.npy and
            items.parquet.
        vectors: One vector an image: .npy [n, d], an .npz with one such array, or .csv with numbers
            only.
        source: Instead of --vectors: pytorch_result.mat (layumi), a pickle with the same fields
            (GNN re-ranking), a pickle {file name: vector}, a folder with an .npy for each image
            (fast-reid's demo), or an .npy file with a --list. Pickles are read for arrays and
            tensors only; nothing in them is run.
        part: Which half, where --from holds both.
        list_: Names of the images of an .npy file, one a line (--from).
        names: market reads identity, camera and role from names such as 0002_c1s1_000451_03.jpg; -1
            is junk, 0 a distractor (--from). Names are not looked at otherwise.
        table: .csv, .tsv or .parquet with a header and n rows in the order of the vectors
            (--vectors).
        identity: Column of the identity, number or text.
        camera: Column of the camera, number or text.
        item: Column of the image's id, unique.
        path: Column of the image's path.
        zero: A vector of zeros is refused; or kept, and then to be kept in every command that reads
            the file.
    """
    given = {"identity": identity, "camera": camera, "item": item, "path": path}
    if source is not None and vectors is None:
        if table is not None or any(given.values()):
            raise ValueError(f"{source}: a table and its columns go with --vectors: leave them out")
        origin = source
        array, columns = _toolkit_features(source, part, list_, names)
    elif vectors is not None and source is None:
        if part is not None or list_ is not None or names is not None:
            raise ValueError("--part, --list and --names go with --from: leave them out")
        if table is None and any(given.values()):
            raise ValueError("a column is named and no table is given: add --table")
        origin = vectors
        array = _vectors(vectors)
        columns = _columns(table, given, len(array)) if table is not None else {}
    else:
        raise ValueError(
            "give the vectors with --vectors, or another toolkit's file with --from: one of the two"
        )
    try:
        checked = Features(array, columns.get("item"), columns.get("camera"), zero)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    if "identity" in columns:
        try:
            Labels(columns["identity"], columns.get("camera"), columns.get("role"))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{table or origin}: {error}") from None
    save_features(out, checked.vectors, columns)
    held = ", ".join(columns) or "no columns"
    print(f"{len(checked)} vectors of width {checked.width}, with {held}: {out}")


def _toolkit_features(
    source: Path,
    part: Literal["query", "gallery"] | None,
    listed: Path | None,
    names: Literal["market"] | None,
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    toolkit = read_toolkit_features(source, part=part, names=listed)
    columns = dict(toolkit.columns)
    if names is not None:
        if "item" not in columns:
            raise ValueError(f"{source}: is {toolkit.kind}, which has no names: leave out --names")
        columns |= market_columns(listed or source, columns["item"].tolist())
    return toolkit.vectors, columns


def _vectors(file: Path) -> NDArray[Any]:
    if file.suffix == ".npz":
        arrays = read_npz(file)
        if len(arrays) != 1:
            raise ValueError(
                f"{file}: holds {', '.join(arrays) or 'nothing'}: give a file with one array"
            )
        array = next(iter(arrays.values()))
    elif file.suffix in (".csv", ".tsv", ".txt"):
        array = _numbers(file)
    else:
        array = read_npy(file)
    if array.ndim != 2:
        raise ValueError(
            f"{file}: needs one vector a row, [n, d], not an array of shape {array.shape}"
        )
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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a file without rows, which is refused later
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
        raise ValueError(
            f"{table}: {rows} rows for {n} vectors: give one row a vector, in their order"
        )
    return columns


def _column(table: Path, source: str, name: str, values: list[str]) -> NDArray[Any]:
    """A column as numbers where every value is an integer's own spelling, as text otherwise; seen
    as truth.
    """
    if "" in values:
        raise ValueError(
            f"{table}: {source} is empty in row {values.index('')} (the first is row 0)"
        )
    if name == "seen":
        words = [value.lower() for value in values]
        for row, word in enumerate(words):
            if word not in _TRUE | _FALSE:
                raise ValueError(
                    f"{table}: {source} is {values[row]!r} in row {row}: true or false"
                )
        return np.array([word in _TRUE for word in words])
    if name not in ("item", "path") and all(_is_integer(value) for value in values):
        return np.array(values, np.int64)
    return np.array(values)


def _is_integer(value: str) -> bool:
    digits = value.removeprefix("-")
    return (
        digits.isascii() and digits.isdecimal() and len(digits) <= 12 and str(int(value)) == value
    )
