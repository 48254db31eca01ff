"""Names of methods, data sets, readers and metrics: the package's own, and those that other
installed packages add by an entry point.

A package adds a method by these lines of its pyproject.toml:

    [project.entry-points."graphreid.methods"]
    my-method = "my_package.my_module:MyMethod"
"""

from collections.abc import Iterator, MutableMapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(MutableMapping[str, T], Generic[T]):
    """What stands under a name. A plugin is imported when its name is asked for, not before; to go
    through the names imports none. A name that is set holds for this process.

    Args:
        kind: what the names are of, in the plural: the entry points are those of
            "graphreid.<kind>".
        own: the package's.
    """

    def __init__(self, kind: str, own: dict[str, T]) -> None:
        self.kind = kind
        self.own = own

    def __getitem__(self, name: str) -> T:
        """What stands under a name.

        Raises:
            KeyError: nothing does.
            ValueError: a plugin that can't be imported, or that takes the name of another.
        """
        plugin = self._plugins.get(name)
        if plugin is None:
            return self.own[name]
        try:
            return plugin.load()
        except Exception as error:  # whatever somebody else's module raises
            raise ValueError(
                f"{name} of the package {_owner(plugin)} can't be imported ({error}): mend or "
                f"uninstall that package"
            ) from error

    def __setitem__(self, name: str, value: T) -> None:
        self.own[name] = value

    def __delitem__(self, name: str) -> None:
        del self.own[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._plugins

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._plugins

    def __len__(self) -> int:
        return len(self.own) + len(self._plugins)

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for plugin in entry_points(group=f"graphreid.{self.kind}"):
            if plugin.name in self.own or plugin.name in found:
                other = found.get(plugin.name)
                raise ValueError(
                    f"{plugin.name} of the package {_owner(plugin)} is a name that "
                    f"{'graphreid' if other is None else _owner(other)} has among its {self.kind}: "
                    f"uninstall that package, or rename it there"
                )
            found[plugin.name] = plugin
        return dict(sorted(found.items()))


def _owner(plugin: EntryPoint) -> str:
    return "unknown" if plugin.dist is None else f"{plugin.dist.name} {plugin.dist.version}"
