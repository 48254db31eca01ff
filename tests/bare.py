"""A process that does not see some of the installed packages: `hide` is called first of all."""

import sys
from collections.abc import Iterable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any


class _Finder:
    """A finder that does not find the hidden packages."""

    def __init__(self, finder: MetaPathFinder, hidden: set[str]) -> None:
        self.finder, self.hidden = finder, hidden

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)

    def find_spec(self, name: str, *given: Any) -> ModuleSpec | None:
        return (
            None if name.partition(".")[0] in self.hidden else self.finder.find_spec(name, *given)
        )


def hide(packages: Iterable[str]) -> None:
    """Let this process import none of these top-level packages."""
    hidden = set(packages)
    for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
        del sys.modules[name]
    sys.meta_path[:] = [_Finder(finder, hidden) for finder in sys.meta_path]  # type: ignore[list-item]  # as it is called
