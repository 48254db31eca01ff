"""Data-parallel training in several processes, as started by `accelerate launch`.

In a single process every function here does nothing.
"""

import atexit
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def world_size() -> int:
    """The number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The index of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main_process() -> bool:
    """Whether this is process 0, which alone writes files and prints."""
    return rank() == 0


@contextmanager
def main_process_first() -> Generator[None]:
    """Context in which process 0 runs the block first, and the others after it."""
    if world_size() == 1:
        yield
        return
    with _state().main_process_first():
        yield


def local_device(wanted: str) -> str:
    """The device of this process: each process has a GPU of its own.

    Args:
        wanted: "cpu" or "cuda".

    Raises:
        ValueError: "cpu" is wanted and the processes were started for GPUs.
    """
    if world_size() == 1:
        return wanted
    state = _state()
    if wanted == "cpu" and state.device.type != "cpu":
        raise ValueError("several processes on a CPU: start them with `accelerate launch --cpu`")
    return str(state.device)


def data_parallel(module: nn.Module, on: str) -> nn.Module:
    """Wrap a module so that gradients are averaged over all processes; buffers are process 0's.

    Args:
        module: with the same weights in every process.
        on: its device.
    """
    if world_size() == 1:
        return module
    _state()
    return DistributedDataParallel(module, device_ids=None if on == "cpu" else [on])


def shard(items: Sequence[T]) -> Sequence[T]:
    """The items of this process: every world_size-th one. A remainder is dropped, so that all
    processes have the same number.
    """
    length = len(items) // world_size() * world_size()
    return items[rank() : length : world_size()]


def _state() -> Any:
    """The process group; the first call decides whether it communicates on CPUs."""
    from accelerate import PartialState  # noqa: PLC0415  # heavy, and for the launcher only

    cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in (
        "1",
        "true",
        "yes",
    )
    state = PartialState(cpu=cpu)
    atexit.unregister(_leave)
    atexit.register(_leave, state)
    return state


def _leave(state: Any) -> None:
    """End the process group; left to the end of the interpreter it may abort the process."""
    state.destroy_process_group()
