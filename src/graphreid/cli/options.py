"""Options that several commands share."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

from cyclopts import Parameter

from graphreid.cli.progress import progress
from graphreid.resources import Resources, parse_memory


@Parameter(name="*")
@dataclass(frozen=True)
class ResourceOptions:
    """Where and with how much a command runs."""

    device: Annotated[str, Parameter(help="cpu or cuda")] = "cpu"
    memory: Annotated[
        str | None, Parameter(help="what the work may use beyond its inputs, such as 4GB")
    ] = None
    threads: Annotated[int | None, Parameter(help="processor threads; all if not given")] = None

    @contextmanager
    def resources(self) -> Generator[Resources]:
        """A `Resources` that shows its progress on the terminal; within it all work is done by its
        threads.
        """
        memory = None if self.memory is None else parse_memory(self.memory)
        with progress() as callback:
            resources = Resources(
                device=self.device, memory=memory, threads=self.threads, progress=callback
            )
            if self.threads:
                # compiled loops can be told how many threads to use once they are imported
                import_module("graphreid.kernels.pair_distances")
            with resources.limits():
                yield resources
