"""`graphreid papers list`, `show`, `claims`, `runs` and `pages`: what can be made, and what was
made.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid.methods.spec import MethodSpec
from graphreid.papers.formats import FORMATS, claim_cells
from graphreid.papers.pages import write_all
from graphreid.papers.paper import SETS, TABLES
from graphreid.papers.runs import error_removed, report_of, same_queries
from graphreid.papers.store import Run, Store
from graphreid.papers.table import applied, check_claims, fill

Results = Annotated[Path, Parameter(help="the folder of the store of results")]
RESULTS = Path("results")


def list_() -> None:
    """List the papers' tables and figures, what each needs, and whether it can be made here."""
    caption = f"{len(TABLES)} tables and figures; any data set will do for each."
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=caption)
    for column in ("id", "what", "needs", "the paper's own data", "here"):
        table.add_column(column, no_wrap=column == "id", overflow="fold")
    for key, each in TABLES.items():
        sets = ", ".join(SETS[name] for name in each.data)
        table.add_row(*map(escape, (key, each.title, each.needs, sets, each.state())))
    _console().print(table)


def show(
    id_: Annotated[str, Parameter(name="id", help="PAPER/TABLE, such as cagcn/table3")],
    *,
    name: Annotated[
        str | None, Parameter(help="the data set, where it was made on several")
    ] = None,
    format_: Annotated[
        Literal["md", "csv", "latex", "json"], Parameter(name="--format", help="of the text")
    ] = "md",
    results: Results = RESULTS,
) -> None:
    """Show a table that was made, as Markdown, CSV, LaTeX or JSON."""
    store = Store.read(results)
    names = [data for data, key in store.made if key == id_]
    if not names:
        raise ValueError(f"{results}: {id_!r} was not made: see 'graphreid papers reproduce'")
    if name is None and len(names) > 1:
        raise ValueError(f"{results}: {id_} was made on {', '.join(names)}: choose one with --name")
    if name not in (None, *names):
        raise ValueError(
            f"{results}: {id_} was not made on {name}: choose one of {', '.join(names)}"
        )
    filled = fill(TABLES[id_], store.made[name or names[0], id_], store)
    print(FORMATS[format_](filled), end="")


def claims(
    *ids: Annotated[str, Parameter(help="PAPER/TABLE, or PAPER; all if none is given")],
    results: Results = RESULTS,
) -> None:
    """Check the papers' claims against the runs of a store."""
    store = Store.read(results)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption="Percent; intervals: 95 %.")
    for column in ("data", "where", "claim", "compared", "difference", "here"):
        table.add_column(column, overflow="fold")
    for (data, key), made in sorted(store.made.items()):
        if not ids or {key, TABLES[key].paper} & set(ids):
            for claim in check_claims(TABLES[key], made, store):
                text, compared, difference, holds = claim_cells(claim)
                shown = (data, key, text, compared, difference, holds.strip("*"))
                table.add_row(*map(escape, shown))
    _console().print(table)


def runs(
    results: Results = RESULTS,
    *,
    compare: Annotated[
        tuple[str, str] | None,
        Parameter(help="two keys, or their beginnings: the second less the first, paired by query"),
    ] = None,
) -> None:
    """List the runs of a store, oldest first, or compare two."""
    store = Store.read(results)
    if compare is None:
        _console().print(_table(list(store.runs.values())))
        return
    first, second = map(store.find, compare)
    _console().print(_differences(first, second))
    for line in _compared(first, second):
        _console().print(line, highlight=False)


def pages(results: Results = RESULTS) -> None:
    """Write the pages of a store anew."""
    print(f"{write_all(results)} tables: {results}")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160)  # a pipe has no width


def _table(found: list[Run]) -> Table:
    caption = "Intervals: 95 %, bootstrap over identities."
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=caption)
    table.add_column("key", no_wrap=True)
    for column in ("method", "fitted", "data"):
        table.add_column(column, overflow="fold")
    table.add_column("setting", no_wrap=True)
    for column in ("mAP", "rank-1", "fit, s", "rank, s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("code", no_wrap=True)
    for run in found:
        metrics = run["metrics"]
        cost = run["cost"]
        code = run["code"]
        fit = "-" if run["fit"] is None else MethodSpec.parse(run["fit"]).short()
        changed = "+" if code["dirty"] else ""
        numbers = (
            f"{metrics['mAP']:.3f} [{metrics['mAP low']:.3f}, {metrics['mAP high']:.3f}]",
            f"{metrics['rank-1']:.3f}",
            "-" if cost["fit_seconds"] is None else f"{cost['fit_seconds']:.1f}",
            f"{cost['rank_seconds']:.2f}",
            code["version"] if code["commit"] is None else code["commit"][:8] + changed,
        )
        about = (run.key, applied(run), fit, run["data"], run["setting"])
        table.add_row(*map(escape, (*about, *numbers)))
    return table


_NUMBERS = ("key", "made", "metrics", "measured", "learned", "queries", "skipped")


def _differences(first: Run, second: Run) -> Table:
    """What differs in how the two were made."""
    caption = "What differs between the two, less numbers."
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=caption)
    for column in ("", first.key, second.key):
        table.add_column(column, overflow="fold")
    one, other = (
        _flat({key: value for key, value in run.columns.items() if key not in _NUMBERS})
        for run in (first, second)
    )
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            shown = (name, str(one.get(name, "-")), str(other.get(name, "-")))
            table.add_row(*map(escape, shown))
    return table


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        inner = (
            _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
        )
        flat |= inner
    return flat


def _compared(first: Run, second: Run) -> list[str]:
    lines = [
        f"{run.key}: {applied(run)}, mAP {run['metrics']['mAP']:.3f}" for run in (first, second)
    ]
    if not same_queries(first, second):
        return [*lines, "Their queries or protocols differ: no paired difference."]
    for metric in ("mAP", "rank-1", "rank-5", "rank-10"):
        apart, (low, high) = report_of(second).difference(report_of(first), metric)
        lines.append(f"{metric}: {apart:+.4f} [{low:+.4f}, {high:+.4f}]")
    share, (low, high) = error_removed(report_of(second), report_of(first))
    return [*lines, f"mAP error removed: {share:+.3f} [{low:+.3f}, {high:+.3f}]"]
