"""Several processes that train one network, as `accelerate launch` starts them. Without it all of
this does nothing.
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


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This one's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Whether this is the one that writes files and speaks."""
    return rank() == 0


@contextmanager
def first_goes_ahead() -> Generator[None]:
    """The first process runs the block, then the others do."""
    if count() == 1:
        yield
        return
    with _state().main_process_first():
        yield


def device(wanted: str) -> str:
    """This process's device: for cuda one of its own.

    Raises:
        ValueError: a CPU is wanted, and the processes were started for GPUs.
    """
    if count() == 1:
        return wanted
    state = _state()
    if wanted == "cpu" and state.device.type != "cpu":
        raise ValueError("several processes on a CPU: start them with `accelerate launch --cpu`")
    return str(state.device)


def replicate(module: nn.Module, on: str) -> nn.Module:
    """A module whose gradients are the mean over all processes; its buffers are the first
    process's.
    """
    if count() == 1:
        return module
    _state()
    return DistributedDataParallel(module, device_ids=None if on == "cpu" else [on])


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part, as long as every other's; a remainder is left out."""
    length = len(items) // count() * count()
    return items[rank() : length : count()]


def _state() -> Any:
    """The processes' common state; the first call decides whether they meet on CPUs."""
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
    """Ends the group: one that is left to the interpreter's end may abort the process, its work
    done.
    """
    state.destroy_process_group()
