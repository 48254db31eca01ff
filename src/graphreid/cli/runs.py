"""`graphreid runs`: the records of `reproduce`, listed and compared."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid.papers.compare import error_removed
from graphreid.papers.records import Record, describe, read_records, report_of, same_queries


def runs(
    folder: Annotated[
        Path,
        Parameter(help="where the records are: a folder of 'reproduce --out', or one with them"),
    ] = Path("results"),
    *,
    compare: Annotated[
        tuple[str, str] | None,
        Parameter(
            help="two keys, or their beginnings: the second less the first, by pairs of queries"
        ),
    ] = None,
) -> None:
    """List run records, oldest first, or compare two."""
    records = read_records(folder)
    console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe has no width
    if compare is None:
        console.print(_table(records))
        return
    first, second = (_find(records, key, folder) for key in compare)
    console.print(_differences(first, second))
    for line in _compared(first, second):
        console.print(line, highlight=False)


def _table(records: list[Record]) -> Table:
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, caption="Intervals: 95 %, bootstrap over identities."
    )
    table.add_column("key", no_wrap=True)
    for column in ("method", "data"):
        table.add_column(column, overflow="fold")
    table.add_column("setting", no_wrap=True)
    for column in ("mAP", "rank-1", "fit, s", "rank, s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("code", no_wrap=True)
    for record in records:
        metrics = record["metrics"]
        cost = record["cost"]
        low, high = metrics["mAP_interval"]
        fit = "-" if cost["fit_seconds"] is None else f"{cost['fit_seconds']:.1f}"
        numbers = (
            f"{metrics['mAP']:.3f} [{low:.3f}, {high:.3f}]",
            f"{metrics['cmc']['1']:.3f}",
            fit,
            f"{cost['rank_seconds']:.2f}",
        )
        row = (
            record["key"],
            describe(record),
            record["data"]["name"],
            record["protocol"]["setting"],
            *numbers,
            _code(record),
        )
        table.add_row(*map(escape, row))
    return table


def _code(record: Record) -> str:
    code = record["code"]
    return (
        code["version"]
        if code["commit"] is None
        else code["commit"][:8] + ("+" if code["dirty"] else "")
    )


def _find(records: list[Record], key: str, folder: Path) -> Record:
    found = [record for record in records if record["key"].startswith(key)]
    if len(found) != 1:
        keys = ", ".join(record["key"] for record in found) if found else "none"
        raise ValueError(
            f"{folder}: {key!r} begins the keys of {len(found)} records ({keys}): give one that is "
            f"there once"
        )
    return found[0]


def _differences(first: Record, second: Record) -> Table:
    """What differs in how the two were made."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, caption="What differs between the two, less numbers."
    )
    for column in ("", first["key"], second["key"]):
        table.add_column(column, overflow="fold")
    one, other = (_flat({**record["configuration"], **_made(record)}) for record in (first, second))
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            table.add_row(*map(escape, (name, str(one.get(name, "-")), str(other.get(name, "-")))))
    return table


def _made(record: Record) -> dict[str, Any]:
    parts = {name: part["digest"] for name, part in record["data"]["parts"].items()}
    return {
        "data": {"name": record["data"]["name"], **parts},
        "seed": record["seed"],
        **{key: record[key] for key in _ALSO},
    }


_ALSO = ("code", "environment", "protocol", "validation", "cost")


def _flat(content: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= (
            _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
        )  # pyright: ignore[reportUnknownArgumentType]
    return flat


def _compared(first: Record, second: Record) -> list[str]:
    lines = [
        f"{record['key']}: {describe(record)}, mAP {record['metrics']['mAP']:.3f}"
        for record in (first, second)
    ]
    if not same_queries(first, second):
        return [*lines, "They judged other queries, or by another rule: no paired difference."]
    for metric in ("mAP", "rank-1", "rank-5", "rank-10"):
        before = report_of(first, metric)
        after = report_of(second, metric)
        apart, (low, high) = after.difference(before)
        lines.append(f"{metric}: {apart:+.4f} [{low:+.4f}, {high:+.4f}]")
    share, (low, high) = error_removed(report_of(second), report_of(first))
    return [*lines, f"mAP error removed: {share:+.3f} [{low:+.3f}, {high:+.3f}]"]
