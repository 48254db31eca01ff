"""A table of a paper with our runs beside it, and its text as Markdown, CSV, LaTeX and JSON.

A filled table is a plain object, which is also its JSON: ours are shares in [0, 1], the paper's are
percent as printed.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphreid.papers.measures import MEASURES
from graphreid.papers.paper import SETS, Row, Table, with_options
from graphreid.papers.runs import averaged, check_claim, error_removed, rule_of
from graphreid.papers.specs import canonical, short
from graphreid.papers.store import Made, Run, Store

Filled = dict[str, Any]


def fill(table: Table, made: Made, store: Store) -> Filled:
    """A table with the runs that were made for it on a data set.

    Args:
        table: the paper's; rows that it got after `made` are left out.
        made: which runs are shown.
        store: where they are.

    Raises:
        ValueError: a run is not in the store, or the first row was not run.
    """
    runs = _runs_of(made, store)
    rows = [row for row in table.rows if row.name in runs]
    if not rows or not runs[rows[0].name]:
        raise ValueError(f"{store.folder}: {table.id} on {made.data}: its first row was not run")
    first = runs[rows[0].name]
    filled = [_fill_row(table, row, runs[row.name], first) for row in rows]
    return {
        "id": table.id,
        "source": table.source,
        "title": table.title,
        "kind": table.kind,
        "axis": table.axis,
        "command": made.command,
        "columns": list(table.columns),
        "measured": sorted({name for row in rows for name in _measured(row)}),
        "data": made.data,
        "paper_sets": list(table.printed_sets),
        "same_data": made.data in table.printed_sets,
        "protocol": _protocol(first[0]),
        "rows": filled,
        "claims": check_claims(table, made, store),
        "notes": [*table.notes, *_notes(rows, runs, made), *made.notes],
        "figure": made.figure,
        "lists": made.lists,
    }


def check_claims(table: Table, made: Made, store: Store) -> list[dict[str, Any]]:
    """The paper's claims of a table, with the difference of the two rows and whether they hold."""
    runs = _runs_of(made, store)
    found = [
        check_claim(claim, runs)
        for claim in table.claims
        if {claim.better, claim.worse} <= set(runs)
    ]
    return [
        {**vars(each.claim), "holds": each.holds, "difference": each.difference} for each in found
    ]


def _runs_of(made: Made, store: Store) -> dict[str, list[Run]]:
    """The runs of each row, by its name."""
    lost = sorted(key for key in made.keys() if key not in store.runs)
    if lost:
        where = f"{store.folder}: {made.table} on {made.data}"
        raise ValueError(f"{where} shows the run {lost[0]}, which is not there: make it anew")
    return {row["name"]: [store.runs[key] for key in row["runs"]] for row in made.rows}


def _fill_row(table: Table, row: Row, runs: Sequence[Run], first: Sequence[Run]) -> Filled:
    filled: Filled = {
        "name": row.name,
        "at": row.at,
        "axis": row.axis or table.axis,
        "paper_percent": row.paper,
        "ours": None,
    }
    if not runs:
        return filled
    mean, base, run = averaged(runs), averaged(first), runs[0]
    low, high = mean.interval()
    compared = runs is not first
    filled["ours"] = {
        "method": short(applied(run)),
        "fit": None if run["fit"] is None else short(run["fit"]),
        "setting": run["setting"],
        **{column: _mean(runs, "metrics", column) for column in table.columns},
        "mAP_interval": [low, high],
        "difference": _flat(mean.difference(base)) if compared else None,
        "error_removed": _flat(error_removed(mean, base)) if compared else None,
        "seeds": [
            {"seed": each["seed"], "mAP": each["metrics"]["mAP"], "run": each.key} for each in runs
        ],
        "measured": {name: _mean(runs, "measured", name) for name in _measured(row)},
        "chosen": run["chosen"],
        "validation": run["validation"],
        "cost": run["cost"],
    }
    return filled


def applied(run: Run) -> str:
    """The METHOD text of a run with the options that were chosen on validation identities."""
    chosen = run["chosen"]
    if chosen is None:
        return run["method"]
    before, plus, last = run["method"].rpartition("+")
    name, _, given = last.partition(":")
    options = dict(pair.split("=", 1) for pair in given.split(","))
    options |= dict(pair.split("=", 1) for pair in chosen["options"].split(","))
    return canonical(f"{before}{plus}{with_options(name, options)}")


def _measured(row: Row) -> tuple[str, ...]:
    return () if row.measure is None else MEASURES[row.measure].columns


def _mean(runs: Sequence[Run], kind: str, name: str) -> float:
    return float(np.mean([run[kind][name] for run in runs]))


def _flat(value: tuple[float, tuple[float, float]]) -> list[float | None]:
    return [None if math.isnan(each) else each for each in (value[0], *value[1])]


def _protocol(run: Run) -> Filled:
    return {
        "rule": str(rule_of(run)),
        "setting": run["setting"],
        "queries": run["queries"],
        "skipped": run["skipped"],
        "gallery": run["sets"]["gallery"]["images"],
    }


def _notes(rows: Sequence[Row], runs: Mapping[str, Sequence[Run]], made: Made) -> list[str]:
    notes = [
        f"{row['name']} was not run: {row['missing']}." for row in made.rows if not row["runs"]
    ]
    for row in rows:
        several = len(runs[row.name]) > 1
        for run in runs[row.name]:
            seed = f" (seed {run['seed']})" if several else ""
            notes += _run_notes(row.name, seed, run)
        chosen = runs[row.name][0]["chosen"] if runs[row.name] else None
        if chosen:
            notes.append(
                f"{row.name}: {chosen['options'].replace(',', ', ')}, the best of {chosen['tried']} on"
                f" validation identities ({_percent(chosen['mAP'])} mAP)."
            )
    fits = [run["sets"]["fit"] for each in runs.values() for run in each if run["sets"]["fit"]]
    if fits and fits[0]["seen"]:
        notes.append(
            f"The embedder was trained on the identities of {fits[0]['seen']:.0%} of the images that"
            " methods were fitted on."
        )
    return notes


def _run_notes(name: str, seed: str, run: Run) -> list[str]:
    notes: list[str] = []
    held = run["validation"]
    if held is not None and held["mAP"] <= held["input"]:
        notes.append(
            f"**{name}{seed} does not beat the embeddings' own order on validation identities**"
            f" ({_percent(held['mAP'])} against {_percent(held['input'])} mAP)."
        )
    learned: dict[str, Any] = json.loads(run["learned"] or "{}")
    fits = (each.get("record", {}).get("validation", {}) for each in learned.values())
    if any(fit.get("best_lam") == 0 for fit in fits):
        notes.append(
            f"{name}: on validation identities lam = 0, its input's own order, is the best weight."
        )
    return notes


def markdown(filled: Filled) -> str:
    """A table as Markdown, with claims, notes and where each number comes from."""
    paper = filled["id"].partition("/")[0]
    parts = [
        f"# {paper}, {filled['source']}: {filled['title']}",
        f"```console\n{filled['command']}\n```",
        _data_line(filled),
    ]
    if filled["figure"]:
        parts.append(f"![{filled['title']}]({filled['figure']})")
    parts += [grid(*_cells(filled)), _legend(filled)]
    if filled["claims"]:
        shown = [claim_cells(claim) for claim in filled["claims"]]
        head = ["claim", "compared", "difference", "here"]
        parts.append("## Does the paper's claim hold here?\n\n" + grid(head, shown))
    if filled["lists"]:
        parts.append(_lists(filled["lists"]))
    if filled["notes"]:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in filled["notes"]))
    parts.append("## Runs\n\n" + _runs(filled))
    return "\n\n".join(parts) + "\n"


def latex(filled: Filled) -> str:
    """The numbers as a LaTeX tabular (no packages needed)."""
    header, lines = _cells(filled)
    rows = [" & ".join(map(_escaped, line)) + r" \\" for line in (header, *lines)]
    body = "\n".join([r"\hline", rows[0], r"\hline", *rows[1:], r"\hline"])
    comment = f"% {filled['command']}\n% {_data_line(filled).replace('**', '')}\n"
    columns = f"l{'r' * (len(header) - 1)}"
    return f"{comment}\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"


def csv_text(filled: Filled) -> str:
    """One line a row: ours as shares in [0, 1], the paper's in percent as printed."""
    paper = [(name, column) for name in filled["paper_sets"] for column in filled["columns"]]
    bounds = [
        f"{name}{end}" for name in ("difference", "error_removed") for end in ("", "_low", "_high")
    ]
    header = ["row", "method", "fit", "setting"]
    header += [f"paper_percent {name} {column}" for name, column in paper]
    header += [
        *filled["columns"],
        "mAP_low",
        "mAP_high",
        *bounds,
        *filled["measured"],
        "seeds",
        "runs",
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for row in filled["rows"]:
        ours = row["ours"]
        printed = [row["paper_percent"].get(name, {}).get(column, "") for name, column in paper]
        if ours is None:
            writer.writerow([row["name"], "", "", "", *printed])
            continue
        numbers = [*(ours[column] for column in filled["columns"]), *ours["mAP_interval"]]
        numbers += [*(ours["difference"] or [""] * 3), *(ours["error_removed"] or [""] * 3)]
        numbers += [ours["measured"].get(name, "") for name in filled["measured"]]
        shown = [f"{number:.6f}" if isinstance(number, float) else number for number in numbers]
        seeds = " ".join(str(each["seed"]) for each in ours["seeds"] if each["seed"] is not None)
        keys = " ".join(each["run"] for each in ours["seeds"])
        about = [row["name"], ours["method"], ours["fit"], ours["setting"]]
        writer.writerow([*about, *printed, *shown, seeds, keys])
    return stream.getvalue()


def json_text(filled: Filled) -> str:
    """The filled table itself."""
    return json.dumps(filled, indent=1, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Filled], str]] = {
    "md": markdown,
    "csv": csv_text,
    "latex": latex,
    "json": json_text,
}


def claim_cells(claim: Mapping[str, Any]) -> list[str]:
    """A claim, what was compared for it, the difference in percent, and whether it holds."""
    sign = ">" if claim["strict"] else "not below"
    compared = f"{claim['better']} {sign} {claim['worse']}, {claim['metric']}"
    found = claim["difference"]
    difference = "-" if found is None else _signed([found[0], *found[1]])
    return [claim["text"], compared, difference, f"**{claim['holds']}**"]


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (header, *lines)]
    ruled = (cells[0], ["---"] * len(header), *cells[1:])
    return "\n".join("| " + " | ".join(line) + " |" for line in ruled)


def _cells(filled: Filled) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the table of numbers, in percent."""
    columns, measured = filled["columns"], filled["measured"]
    others = [column for column in columns if column != "mAP"]
    first = filled["rows"][0]["name"]
    header = [filled["axis"] or "row"]
    header += [f"paper, {SETS[name]}: {' / '.join(columns)}" for name in filled["paper_sets"]]
    header += [f"ours, {filled['data']}: mAP", *others, *measured]
    header += [f"mAP less {first}", "error removed", "setting", "seeds' mAP"]
    lines: list[list[str]] = []
    for row in filled["rows"]:
        line = [row["name"]]
        for name in filled["paper_sets"]:
            given = row["paper_percent"].get(name, {})
            shown = [f"{given[each]:.1f}" if each in given else "-" for each in columns]
            line.append(" / ".join(shown) if given else "-")
        ours = row["ours"]
        if ours is None:
            lines.append([*line, "not run", *["-"] * (len(header) - len(line) - 1)])
            continue
        line.append(f"{_percent(ours['mAP'])} {_bounds(*ours['mAP_interval'])}")
        line += [_percent(ours[column]) for column in others]
        line += [
            f"{ours['measured'][name]:.3f}" if name in ours["measured"] else "-"
            for name in measured
        ]
        line += [_signed(ours["difference"]), _signed(ours["error_removed"]), ours["setting"]]
        several = len(ours["seeds"]) > 1
        line.append(", ".join(_percent(each["mAP"]) for each in ours["seeds"]) if several else "-")
        lines.append(line)
    return header, lines


def _data_line(filled: Filled) -> str:
    protocol = filled["protocol"]
    counted = (
        f"{protocol['queries']} queries evaluated, {protocol['skipped']} skipped,"
        f" {protocol['gallery']} gallery images; {protocol['rule']}."
    )
    paper = ", ".join(SETS[name] for name in filled["paper_sets"])
    if filled["same_data"]:
        name = SETS[filled["data"]]
        return f"Ours and the paper's {name} numbers are on the same data set. {counted}"
    if not paper:
        return f"Ours are on {filled['data']}; the paper prints no numbers here. {counted}"
    return (
        f"**The data differ**: the paper's numbers are on {paper}, ours on {filled['data']}. Compare the"
        f" differences between rows, not their levels. {counted}"
    )


def _legend(filled: Filled) -> str:
    first = filled["rows"][0]["name"]
    ours = [(row["name"], row["ours"]) for row in filled["rows"] if row["ours"]]
    compared = [(name, each["difference"]) for name, each in ours if each["difference"]]
    better = [name for name, (_, low, _) in compared if low > 0]
    worse = [name for name, (_, _, high) in compared if high < 0]
    undecided = [name for name, (_, low, high) in compared if low <= 0 <= high]
    lines = [f"Better than {first}: {'; '.join(better)}."] if better else []
    lines += [f"Worse than {first}: {'; '.join(worse)}."] if worse else []
    lines += [f"Undecided: {'; '.join(undecided)}."] if undecided else []
    lines.append(
        "In percent; in brackets 95 % bootstrap intervals over identities, of differences paired by"
        " query. The error is 1 - mAP. Where a row has several seeds its numbers are their mean."
    )
    return " ".join(lines)


def _lists(lists: Sequence[Mapping[str, Any]]) -> str:
    marks = {"right": "✓", "wrong": "✗", "same camera": "·", "junk": "·"}
    lines = [
        [
            each["kind"],
            each["query"],
            shown["method"],
            _percent(shown["ap"]),
            " ".join(marks[entry["mark"]] for entry in shown["entries"]),
        ]
        for each in lists
        for shown in each["shown"]
    ]
    legend = "✓ shows the query's identity, ✗ another, · does not count (same identity and camera)."
    head = ["query is", "query", "by", "AP", "list"]
    return f"## The first images\n\n{legend}\n\n" + grid(head, lines)


def _runs(filled: Filled) -> str:
    lines: list[list[str]] = []
    for row in filled["rows"]:
        ours = row["ours"]
        if ours is None:
            continue
        cost = ours["cost"]
        seconds = "-" if cost["fit_seconds"] is None else f"{cost['fit_seconds']:.1f}"
        fit = "-" if ours["fit"] is None else f"`{ours['fit']}`"
        keys = ", ".join(each["run"] for each in ours["seeds"])
        shown = [f"{cost['rank_seconds']:.2f}", f"{cost['peak_mb']:.0f}", keys]
        lines.append([row["name"], f"`{ours['method']}`", fit, seconds, *shown])
    note = (
        "METHOD has the options that differ from the defaults; *fitted* is what was fitted, on the fit"
        " images. Seconds and memory are of the first seed; memory is the peak while ranking. Details of"
        " a run: `graphreid papers runs`."
    )
    head = ["row", "METHOD", "fitted", "fit, s", "rank, s", "MB", "runs"]
    return f"{note}\n\n" + grid(head, lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _bounds(low: float, high: float) -> str:
    return f"[{_percent(low)}, {_percent(high)}]"


def _signed(values: Sequence[float | None] | None) -> str:
    if values is None or any(value is None for value in values):
        return "-"
    middle, low, high = (100 * (value or 0.0) for value in values)
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


def _escaped(text: str) -> str:
    for plain in "&%#_":
        text = text.replace(plain, f"\\{plain}")
    return text
