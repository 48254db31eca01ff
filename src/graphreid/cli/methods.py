"""`graphreid methods`."""

from rich.console import Console
from rich.table import Table

from graphreid.rerankers import METHODS
from graphreid.storage import options


def methods() -> None:
    """Every re-ranking method: its settings, what it starts from, whether it uses cameras, and its options with defaults."""
    table = Table(
        "method", "settings (first: default)", "starts from", "camera", "options", title="METHOD = NAME[:key=value,…]"
    )
    for name, kind in METHODS.items():
        default = kind().setting
        settings = [default, *sorted(kind.settings - {default})]
        given = ", ".join(f"{key}={value}" for key, value in options(kind).items())
        table.add_row(name, ", ".join(settings), kind.needs, "used" if kind.uses_camera else "-", given or "-")
    Console().print(table)
