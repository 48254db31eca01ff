"""`graphreid methods`."""

import sys

from rich.console import Console
from rich.table import Table

from graphreid.methods import METHODS
from graphreid.options import flat_options, option_to_text


def methods() -> None:
    """Every re-ranking method: its settings, what it starts from, whether it uses cameras, and its
    options with defaults.
    """
    table = Table(
        "method",
        "settings (first: default)",
        "starts from",
        "camera",
        title="METHOD = NAME[:key=value,…]",
    )
    # a value that is cut can't be given back
    table.add_column("options", overflow="fold")
    for name, kind in METHODS.items():
        method = kind()
        settings = [method.setting, *sorted(kind.settings - {method.setting})]
        options = flat_options(method).items()
        given = ", ".join(f"{option}={option_to_text(value)}" for option, value in options)
        table.add_row(
            name, ", ".join(settings), kind.takes, "used" if kind.uses_camera else "-", given or "-"
        )
    # a pipe has no width: don't wrap to fit 80 columns there
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
