"""Arrays of other libraries as NumPy arrays: torch, pandas, Arrow (pyarrow, polars, duckdb, ...)
and whatever speaks DLPack (JAX, CuPy, ...). None of them is imported unless a value needs it.
"""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas


@runtime_checkable
class ArrowStream(Protocol):
    """A table or column that can be read by Arrow's PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule of a C stream."""
        ...


@runtime_checkable
class ArrowArray(Protocol):
    """An array that can be read by Arrow's PyCapsule interface."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Capsules of a C schema and array."""
        ...


@runtime_checkable
class DLPack(Protocol):
    """An array of any library that can be read by DLPack."""

    def __dlpack__(self) -> object:
        """A capsule of the array."""
        ...

    def __dlpack_device__(self) -> tuple[Any, Any]:
        """The kind and number of its device."""
        ...


Array = ArrayLike | ArrowStream | ArrowArray | DLPack
"""What `to_numpy` reads."""


def to_numpy(given: Array, what: str) -> NDArray[Any]:
    """An array, column or table as a NumPy array.

    Args:
        given: an array of numpy, torch (on any device, of any float type, with or without a
            gradient) or another library; a pandas Series or DataFrame; an Arrow array or table, or
            a column of lists of one length; nested lists.
        what: the name of the values in an error message.

    Returns:
        One value a row for a column, [rows, columns] for a table or a column of lists.

    Raises:
        ValueError: a missing value, lists of different lengths, or none of these kinds.
    """
    if isinstance(given, np.ndarray):
        return given
    try:
        if hasattr(given, "detach"):
            return _from_torch(given)
        if hasattr(given, "isna"):
            return _from_pandas(given, what)
        if isinstance(given, ArrowStream | ArrowArray):
            return _from_arrow(given, what)
        if isinstance(given, DLPack):
            # here, for it takes a second and few need it: NumPy's own reads neither bfloat16 nor
            # another device
            import torch  # noqa: PLC0415

            return _from_torch(torch.from_dlpack(given))
        return _from_sequence(given, what)
    except (TypeError, BufferError) as error:
        raise ValueError(f"{what} can't be read as an array ({error})") from None


def _from_sequence(given: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(f"{what} has rows of different lengths ({error})") from None


def as_pandas(table: Any) -> "pandas.DataFrame":
    """An Arrow table (pyarrow has no types) as a pandas table.

    Raises:
        ValueError: pandas is not installed.
    """
    try:
        return table.to_pandas()
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is not installed: pip install pandas") from None


def _from_torch(given: Any) -> NDArray[Any]:
    tensor = given.detach().cpu()
    # NumPy has no bfloat16 and no float8; float32 holds each of their values
    short = tensor.is_floating_point() and tensor.element_size() <= 2
    return (tensor.float() if short else tensor).numpy()


def _from_pandas(given: Any, what: str) -> NDArray[Any]:
    missing = np.asarray(given.isna())
    if missing.any():
        raise _missing(what, missing)
    values = given.to_numpy()
    if values.dtype == object and values.ndim == 2:
        # columns of different types, such as Int64 and float, are objects together
        return values.astype(np.result_type(*(given[name].to_numpy() for name in given)))
    return values


def _from_arrow(given: Any, what: str) -> NDArray[Any]:
    # here: the library is large, and most arrays are not Arrow's
    import pyarrow as pa  # noqa: PLC0415

    stream = isinstance(given, ArrowStream)
    array = pa.chunked_array(given).combine_chunks() if stream else pa.array(given)
    if isinstance(array, pa.StructArray):
        columns = [_column(column, what) for column in array.flatten()]
        if not columns:
            raise ValueError(f"{what} is a table without columns")
        return columns[0] if len(columns) == 1 else np.column_stack(columns)
    return _column(array, what)


def _column(array: Any, what: str) -> NDArray[Any]:
    # here: as above
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if array.null_count:
        raise _missing(what, array.is_null().to_numpy(zero_copy_only=False))
    if not isinstance(array, pa.FixedSizeListArray | pa.ListArray | pa.LargeListArray):
        return array.to_numpy(zero_copy_only=False)
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    width = lengths[0] if len(lengths) else 0
    if (lengths != width).any():
        row = int((lengths != width).argmax())
        raise ValueError(f"{what} has {lengths[row]} values in row {row} and {width} in row 0")
    values = array.flatten()
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        raise _missing(what, missing.reshape(len(array), width))
    return values.to_numpy(zero_copy_only=False).reshape(len(array), width)


def _missing(what: str, missing: NDArray[np.bool_]) -> ValueError:
    rows = missing.reshape(len(missing), -1).any(axis=1)
    return ValueError(f"{what} is missing in row {int(rows.argmax())}: give it, or drop that row")
