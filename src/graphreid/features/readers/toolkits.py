"""Reads feature files of other toolkits; the kind is recognised by content.

| file | from | content |
| --- | --- | --- |
| .mat | layumi's Person_reID_baseline | gallery_f, gallery_label, gallery_cam; the same of query |
| pickle | GNN re-ranking (market_88_test.pkl) | a dictionary with the same names |
| pickle, or file of torch.save | many scripts | a dictionary {file name: vector} |
| folder | fast-reid's demo | an .npy file for each image, named as the image |
| .npy and a list | many scripts | vectors [n, d], and a text file with n names, one a line |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphreid.datasets.folder_layouts import MARKET_ROLES, parse_market_name
from graphreid.datasets.importing import is_hidden
from graphreid.features.array_files import read_npy
from graphreid.features.readers.matlab import is_mat, read_mat
from graphreid.features.readers.pickles import read_pickle
from graphreid.plugins import Registry

Part = Literal["query", "gallery"]
_PARTS: tuple[Part, ...] = ("query", "gallery")
_FIELDS = tuple(f"{part}_{field}" for part in _PARTS for field in ("f", "label", "cam"))
_PICKLES = (".pkl", ".pickle", ".p", ".pt", ".pth")


@dataclass(frozen=True, eq=False)
class ToolkitFeatures:
    """The content of a toolkit's feature file.

    Attributes:
        vectors: [n, d].
        columns: further columns, by their names in a features file.
        kind: description of the file's kind, for messages.
    """

    vectors: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    kind: str


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        matches: whether a path, with its first 128 bytes (none of a folder), is of this kind.
        read: its vectors, from the path, "query" or "gallery" for files that hold both (else
            None), and the list of names that belongs to it (or None).
    """

    matches: Callable[[Path, bytes], bool]
    read: Callable[[Path, Part | None, Path | None], ToolkitFeatures]


def read_toolkit_features(
    source: str | Path, *, part: Part | None = None, names: str | Path | None = None
) -> ToolkitFeatures:
    """Read a file or folder of one of the kinds above, or of a kind that a plugin reads.

    Args:
        source: the file or folder.
        part: "query" or "gallery", for files with both.
        names: the list of image names of an .npy file.

    Raises:
        ValueError: an unknown kind, a damaged file, a pickle with other objects than arrays, a
            missing or superfluous `part` or `names`, or vectors of different lengths.
    """
    file = Path(source)
    head = b""
    if not file.is_dir():
        with _opened(file) as stream:
            head = stream.read(128)
    # the package's own come first: plugins are imported for what these don't know
    for reader in READERS.values():
        if reader.matches(file, head):
            return reader.read(file, part, None if names is None else Path(names))
    raise ValueError(
        f"{file}: none of the feature files that are known (.mat, pickle, folder of .npy, .npy and "
        f"--list)"
    )


def _read_folder(file: Path, part: Part | None, names: Path | None) -> ToolkitFeatures:
    found = _folder(file)
    _alone(file, part, names)
    # the names have lost their endings
    items = {"item": np.array(list(found))}
    return ToolkitFeatures(_stacked(file, found), items, "a folder of .npy files")


def _read_matlab(file: Path, part: Part | None, names: Path | None) -> ToolkitFeatures:
    kind = "a .mat file with query and gallery"
    return _two_parts(file, read_mat(file, _FIELDS), part, names, kind)


def _read_array(file: Path, part: Part | None, names: Path | None) -> ToolkitFeatures:
    if names is None:
        raise ValueError(
            f"{file}: an .npy file has no names: add --list, or give it with --vectors and a "
            f"--table"
        )
    _whole(file, part)
    listed = _lines(names)
    vectors = _matrix(file, read_npy(file), len(listed))
    return ToolkitFeatures(vectors, _named(listed), "an .npy file and a list")


def _is_pickle(file: Path, head: bytes) -> bool:
    return head.startswith((b"\x80", b"PK")) or (file.suffix in _PICKLES and not file.is_dir())


def _read_pickle(file: Path, part: Part | None, names: Path | None) -> ToolkitFeatures:
    value = read_pickle(file)
    if isinstance(value, dict) and set(_FIELDS) & set(value):
        return _two_parts(file, value, part, names, "a pickle with query and gallery")
    found = _pairs(file, value)
    _alone(file, part, names)
    kind = "a pickle of names and vectors"
    return ToolkitFeatures(_stacked(file, found), _named(list(found)), kind)


READERS: Registry[Reader] = Registry(
    "readers",
    {
        "folder": Reader(lambda file, _: file.is_dir(), _read_folder),
        "matlab": Reader(lambda _, head: is_mat(head), _read_matlab),
        "npy": Reader(lambda _, head: head.startswith(b"\x93NUMPY"), _read_array),
        "pickle": Reader(_is_pickle, _read_pickle),
    },
)
"""Readers of feature files, those of plugins too; the first that matches a file reads it."""


def market_columns(source: str | Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Identity, camera and role from file names like Market-1501's, 0002_c1s1_000451_03.jpg.

    Identity -1 is junk, 0 a distractor.

    Args:
        source: file of the names, for the message.
        names: names or paths of images; folders are ignored.

    Raises:
        ValueError: a name of another form.
    """
    rows: list[tuple[str, str]] = []
    for row, path in enumerate(names):
        label = parse_market_name(Path(path).name)
        if label is None:
            raise ValueError(
                f"{source}: {path!r}, row {row}, is no name such as 0002_c1s1_000451_03.jpg: leave "
                f"out --names"
            )
        rows.append(label)
    identity = [identity for identity, _ in rows]
    return {
        "identity": np.array(identity, np.int64),
        "camera": np.array([camera for _, camera in rows], np.int64),
        "role": np.array([MARKET_ROLES.get(name, "normal") for name in identity]),
    }


def _two_parts(
    file: Path, fields: Mapping[str, Any], part: Part | None, names: str | Path | None, kind: str
) -> ToolkitFeatures:
    if names is not None:
        raise ValueError(f"{file}: is {kind}: leave out --list")
    if part is None:
        raise ValueError(f"{file}: is {kind}: say which with --part query or --part gallery")
    for field in (f"{part}_f", f"{part}_label"):
        if field not in fields:
            raise ValueError(
                f"{file}: no {field} in it; it has "
                f"{', '.join(map(str, fields)) or 'none of its fields'}"
            )
    vectors = _matrix(file, fields[f"{part}_f"], None)
    columns = {"identity": _labels(file, f"{part}_label", fields[f"{part}_label"], len(vectors))}
    if f"{part}_cam" in fields:
        columns["camera"] = _labels(file, f"{part}_cam", fields[f"{part}_cam"], len(vectors))
    return ToolkitFeatures(vectors, columns, kind)


def _labels(file: Path, field: str, values: Any, n: int) -> NDArray[Any]:
    """Labels as [n]; MATLAB stores them as 1 x n."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{file}: {field} is no list of labels ({error})") from None
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.shape != (n,) or array.dtype.kind not in "iufU":
        raise ValueError(
            f"{file}: {field} must be one number or text for each of {n} vectors, not "
            f"{array.dtype} {array.shape}"
        )
    if array.dtype.kind != "f":
        return array
    if not np.array_equal(array, np.round(array)):
        raise ValueError(f"{file}: {field} has numbers that are not whole")
    return array.astype(np.int64)


def _matrix(file: Path, values: Any, n: int | None) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{file}: the vectors are not of one length ({error})") from None
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{file}: needs one vector a row, [n, d], not {array.dtype} of shape {array.shape}"
        )
    if n is not None and len(array) != n:
        raise ValueError(
            f"{file}: {len(array)} vectors for {n} names in the list: give one each, in their order"
        )
    return array


def _folder(folder: Path) -> dict[str, Any]:
    files = sorted(
        (path for path in folder.rglob("*.npy") if not is_hidden(path.name)), key=Path.as_posix
    )
    if not files:
        raise ValueError(f"{folder}: no .npy files in it")
    return {
        path.relative_to(folder).with_suffix("").as_posix(): np.array(read_npy(path))
        for path in files
    }


def _pairs(file: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value or not all(isinstance(name, str) for name in value):
        held = (
            "an empty dictionary"
            if isinstance(value, dict) and not value
            else f"an object of type {type(value).__name__}"
        )
        raise ValueError(
            f"{file}: holds {held}, not {{file name: vector}} nor {', '.join(_FIELDS[:3])}"
        )
    return value


def _stacked(file: Path, found: Mapping[str, Any]) -> NDArray[Any]:
    rows: list[NDArray[Any]] = []
    for name, value in found.items():
        try:
            row = np.asarray(value)
        except ValueError:
            row = np.empty((0, 0))
        row = row[0] if row.ndim == 2 and len(row) == 1 else row  # a batch of one
        if row.ndim != 1 or row.dtype.kind not in "fiu" or not row.size:
            raise ValueError(
                f"{file}: {name!r} is not one vector of numbers but {row.dtype} of shape "
                f"{row.shape}"
            )
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"{file}: {name!r} has {len(row)} numbers, and the vectors before it have "
                f"{len(rows[0])}"
            )
        rows.append(row)
    return np.stack(rows)


def _named(names: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {"item": np.array(names), "path": np.array(names)}


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a readable list ({error})") from None
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines or not lines:
        raise ValueError(
            f"{file}: line {lines.index('') + 1 if lines else 1} is empty: give one name a line"
        )
    return lines


def _alone(file: Path, part: Part | None, names: Path | None) -> None:
    _whole(file, part)
    if names is not None:
        raise ValueError(f"{file}: has its names in it: leave out --list")


def _whole(file: Path, part: Part | None) -> None:
    if part is not None:
        raise ValueError(f"{file}: has no parts: leave out --part")


def _opened(file: Path) -> Any:
    try:
        return file.open("rb")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
