"""Reads pickles of arrays and tensors without running code in them.

A pickle may call any function with any arguments. Here each name in it is replaced by a class of
this file, or refused, so that neither the named code nor NumPy's own unpickling runs. Files of
torch.save are read by torch's restricted loader.
"""

import pickle
import re
import warnings
import zipfile
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ZIP = b"PK\x03\x04"
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_KINDS = re.compile(r"[<>=|]?([biufSU]\d+|[?bBhHiIlLqQefd])")


def read_pickle(path: str | Path) -> Any:
    """Read a pickle, or a file of torch.save, of numbers, text, lists, tuples, dictionaries, arrays
    and tensors.

    Tensors become arrays. No code in the file is run.

    Raises:
        ValueError: no such file, damaged, or with other objects; the message names the file and the
            first such object.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    try:
        if head == _ZIP:
            return _plain(_torch(file))
        with file.open("rb") as stream:
            value = _Arrays(stream).load()
        # files of torch.save before version 1.6 are pickles in a row, and the first is this number
        return _plain(_torch(file) if isinstance(value, int) and value == _TORCH_MAGIC else value)
    except _RefusedError as error:
        raise ValueError(f"{file}: {error}") from None
    except Exception as error:  # damage makes the two loaders raise errors of any kind
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{file}: a damaged pickle, or no pickle at all ({reason}): make it again"
        ) from None


class _RefusedError(Exception):
    """The file asks for an object that is none of those allowed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"it asks for {what}, and only arrays, tensors, numbers, text, lists and dictionaries "
            f"are read from a pickle; "
            "nothing in it was run: save the vectors with numpy.savez"
        )


class _Part:
    """What a name of the file stands for. Its state is refused but where a class below reads it."""

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"a state of {type(self).__name__}")


class _Dtype(_Part):
    """numpy.dtype, of numbers and text."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if not isinstance(kind, str) or not _KINDS.fullmatch(kind):
            raise _RefusedError(f"an array of type {str(kind)[:40]}")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(_Part):
    """numpy's _reconstruct: an empty array, which gets its shape, type and bytes as state."""

    array: NDArray[Any] | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _from_bytes(data, dtype, shape, "F" if fortran else "C")


class _FromBuffer(_Part):
    """numpy's _frombuffer, of protocol 5."""

    def __new__(cls, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> Any:
        """The array."""
        return _from_bytes(data, dtype, shape, "F" if order == "F" else "C")


class _Scalar(_Part):
    """A number of NumPy."""

    def __new__(cls, dtype: Any, data: Any = b"") -> Any:
        """The number."""
        return _from_bytes(data, dtype, (1,), "C")[0]


class _NdArray(_Part):
    """numpy.ndarray, which is named as an argument and never called."""

    def __init__(self, *_: Any) -> None:
        raise _RefusedError("numpy.ndarray to be called")


class _Bytes(_Part):
    """_codecs.encode, with which protocols before 3 spell bytes."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        """The bytes."""
        if encoding != "latin1":
            raise _RefusedError(f"the encoding {encoding[:40]!r}")
        return text.encode("latin1")


class _Storage(_Part):
    """torch's _load_from_bytes: a file of torch.save within the pickle."""

    def __new__(cls, data: bytes) -> Any:
        """The storage."""
        return _torch(BytesIO(data))


class _Tensor(_Part):
    """torch's _rebuild_tensor_v2."""

    def __new__(cls, storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Any:
        """The tensor."""
        import torch  # noqa: PLC0415  # takes seconds, and few files need it

        if not isinstance(storage, torch.storage.TypedStorage):
            raise _RefusedError(f"a tensor of {type(storage).__name__}")
        return torch.empty(0, dtype=storage.dtype).set_(storage, offset, tuple(size), tuple(stride))


_NUMPY = {
    "numpy.ndarray": _NdArray,
    "numpy.dtype": _Dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _Scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _FromBuffer for core in ("core", "_core")},
}
_NAMES: dict[str, type] = {
    **_NUMPY,
    "_codecs.encode": _Bytes,
    "collections.OrderedDict": dict,
    "torch._utils._rebuild_tensor_v2": _Tensor,
    "torch.storage._load_from_bytes": _Storage,
}


class _Arrays(pickle.Unpickler):
    def __init__(self, stream: Any) -> None:
        super().__init__(stream, encoding="latin1")  # of Python 2, arrays are text in this encoding

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The class that stands for a name, compared as a whole."""
        name = f"{module_name}.{global_name}"
        if name not in _NAMES:
            raise _RefusedError(name[:100])
        return _NAMES[name]


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype):
        raise _RefusedError(f"an array of type {type(dtype).__name__}")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise _RefusedError("an array of objects")
    if prod(shape) * dtype.dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw)} bytes for an array of shape {shape}")
    return np.frombuffer(bytes(raw), dtype.dtype).reshape(shape, order=order)


def _torch(source: Path | BytesIO) -> Any:
    """What torch.save wrote, read by torch's restricted loader; arrays in it are those of this
    file.
    """
    import torch  # noqa: PLC0415

    if isinstance(source, Path) and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
        if not any(name.endswith("data.pkl") for name in names):
            raise _RefusedError(
                f"{names[0] if names else 'nothing'}, being a zip file of something else"
            )
    allowed: list[Any] = [(made, name) for name, made in _NUMPY.items()]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None:
            raise pickle.UnpicklingError(
                str(error).rpartition("WeightsUnpickler error: ")[2]
            ) from None
        raise _RefusedError(named[1][:100]) from None


def _plain(value: Any) -> Any:
    """The value with arrays for what stands for arrays; anything that is not allowed is refused."""
    if value is None or isinstance(
        value, bool | int | float | str | bytes | np.generic | np.ndarray
    ):
        return value
    if isinstance(value, _Array):
        if value.array is None:
            raise ValueError("an array without bytes")
        return value.array
    if isinstance(value, dict):
        return {_plain(key): _plain(held) for key, held in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(held) for held in value)
    if isinstance(value, list):
        return [_plain(held) for held in value]
    import torch  # noqa: PLC0415

    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        return (
            tensor.float() if tensor.is_floating_point() else tensor
        ).numpy()  # NumPy has no bfloat16
    raise _RefusedError(type(value).__name__)
