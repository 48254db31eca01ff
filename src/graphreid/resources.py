"""Resources of a computation: device, memory, threads, and progress reports."""

import math
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the amount done, and the total."""

GIB = 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_memory(text: str) -> int:
    """Parse a size such as "4GB", "512 MiB", "4g" or "1000000" to bytes; units are powers of 1024.

    Raises:
        ValueError: not a positive size.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(I?B)?\s*", text.upper())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise ValueError(f"memory is {text!r}: write a size such as 4GB or 512MB")
    return size


@dataclass(frozen=True)
class Resources:
    """Device, memory, threads and progress reports of a computation.

    Attributes:
        device: a torch device, "cpu", "cuda" or "cuda:N".
        memory: bytes that a call may use beyond its inputs; block sizes are chosen by it. None is a
            moderate default.
        threads: processor threads; None for all.
        progress: called during long work; None for no reports.

    Raises:
        ValueError: no such device here, or a memory or thread count that is not positive.
    """

    device: str = "cpu"
    memory: int | None = None
    threads: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise ValueError(f"device {self.device!r} is not known: write cpu or cuda") from None
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is not supported: write cpu or cuda")
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                "device is cuda, and this machine shows no CUDA device: use --device cpu"
            )
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f"device is {self.device}, and this machine has cuda:0 to "
                f"cuda:{torch.cuda.device_count() - 1}"
            )
        if self.memory is not None and self.memory <= 0:
            raise ValueError(f"memory is {self.memory} bytes: it must be positive")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}: it must be at least 1")

    def rows(
        self, row_bytes: int, *, fixed_bytes: int = 0, most: int = 2048, what: str = "this"
    ) -> int:
        """The number of rows of a block that fit into memory.

        Args:
            row_bytes: bytes per row.
            fixed_bytes: bytes needed whatever the block size.
            most: largest useful number of rows.
            what: name of the work, for the message.

        Raises:
            ValueError: not even one row fits; the message says how much memory is needed.
        """
        memory = GIB + fixed_bytes if self.memory is None else self.memory
        fit = (memory - fixed_bytes) // max(row_bytes, 1)
        if fit < 1:
            # rounded so that what the message names is enough
            need = math.ceil((fixed_bytes + row_bytes) / 2**20)
            raise ValueError(
                f"memory of {memory // 2**20} MB is too small: {what} needs at least {need} MB "
                f"(--memory)"
            )
        return int(min(fit, most))

    @contextmanager
    def limits(self) -> Generator[None]:
        """Context in which torch, and numba if it is imported, use `threads` threads."""
        before = torch.get_num_threads()
        numba = sys.modules.get("numba") if self.threads else None
        loops = numba.get_num_threads() if numba else 0
        torch.set_num_threads(self.threads or before)
        if numba and self.threads:
            numba.set_num_threads(min(self.threads, loops))
        try:
            yield
        finally:
            torch.set_num_threads(before)
            if numba:
                numba.set_num_threads(loops)

    def track(self, what: str, items: Iterable[T], total: int) -> Iterator[T]:
        """Yield the items, and report progress after each."""
        for done, item in enumerate(items):
            if self.progress and done == 0:
                self.progress(what, 0, total)
            yield item
            if self.progress:
                self.progress(what, done + 1, total)


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    """Consecutive slices of `step` that cover [start, stop); the last may be shorter."""
    for begin in range(start, stop, step):
        yield slice(begin, min(begin + step, stop))
