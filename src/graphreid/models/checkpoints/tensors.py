"""Reads the tensors of checkpoint files without running any code in them."""

import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

_NESTS = ("state_dict", "model")
"""Keys under which training programs store the weights, beside optimizer and epoch."""


class _Beside:
    """Stands for a value beside the weights, such as torchreid's rank-1 or options; never read."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_PASSED_OVER = [
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
]

_OLD_NAMES = {"__builtin__", "commands", "copy_reg"}
"""Python 2's modules, by which old protocols call those of today."""


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name; no code in it is run.

    Args:
        path: .safetensors, or a torch file with a state dict (at the top, or under "state_dict" or
            "model").

    Raises:
        ValueError: no such file, truncated, with pickled objects, or without a state dict.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file}: not a readable safetensors file ({error})") from None
    allowed: list[Any] = [(_Beside, name) for name in _PASSED_OVER]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about protocols and archives: what it can't read is refused below
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_refusal(file, str(error))) from None
    except Exception as error:  # damage makes torch raise errors of any kind
        raise ValueError(f"{file}: {_damage(str(error))}") from None
    for key in _NESTS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise ValueError(f"{file}: no state dict (names to tensors) in it")
    return {str(name): value for name, value in content.items()}


def _refusal(file: Path, message: str) -> str:
    named = re.search(r"GLOBAL ([\w.]+)", message)
    if named is None:
        return f"{file}: not a file of torch, or a damaged one: get it again"
    name = named[1].rstrip(".")
    # torch names built-in functions without a module
    if "." not in name or name.partition(".")[0] in sys.stdlib_module_names | _OLD_NAMES:
        return (
            f"{file}: asks to run {name}, which no weights need; nothing in it was run: do not "
            f"load this file"
        )
    return (
        f"{file}: holds pickled objects ({name}), which would have to be run; nothing in it was. "
        f"Where you trust it, load it"
        " with the code that made it, and save its weights: torch.save(torch.load(FILE, "
        "map_location='cpu',"
        " weights_only=False).state_dict(), 'weights.pth')"
    )


def _damage(message: str) -> str:
    """Message for a damaged file; torch's own would advise loading without weights_only."""
    if "TorchScript" in message:
        return (
            "a TorchScript archive, which is a program: save the state dict of the model that "
            "it was made of"
        )
    return "not a file of torch, or one cut short (is the download complete?): get it again"
