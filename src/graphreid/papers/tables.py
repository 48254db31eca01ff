"""A recipe's results as one table, paper and ours side by side, and its Markdown, CSV and LaTeX.

A table is a plain object, which is also its JSON: ours are shares in [0, 1], the paper's are
percent as printed.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphreid.papers.compare import error_removed, verdict
from graphreid.papers.inputs import Inputs
from graphreid.papers.recipe import SETS, Recipe
from graphreid.papers.records import Record, averaged, describe
from graphreid.papers.run import Result

Table = dict[str, Any]


def build(recipe: Recipe, results: Sequence[Result], inputs: Inputs, *, command: str) -> Table:
    """The table of a recipe's results.

    Args:
        recipe: what was run.
        results: its rows', in order; the first must have been run.
        inputs: what it ran on.
        command: the command that makes it, to be shown above.
    """
    first = results[0].records
    rows = [_row(recipe, result, first) for result in results]
    records = {result.row.name: result.records for result in results}
    return {
        "id": recipe.id,
        "source": recipe.source,
        "title": recipe.title,
        "kind": recipe.kind,
        "axis": recipe.axis,
        "command": command,
        "columns": list(recipe.columns),
        "measured": sorted(
            {name for row in rows for name in (row["ours"] or {}).get("measured", {})}
        ),
        "data": inputs.name,
        "paper_sets": list(recipe.paper_sets()),
        "same_data": inputs.name in recipe.paper_sets(),
        "protocol": first[0]["protocol"],
        "rows": rows,
        "claims": [verdict(claim, records).json() for claim in recipe.claims],
        "notes": [*recipe.notes, *_notes(results, inputs)],
        "figure": None,
        "lists": None,
    }


def _row(recipe: Recipe, result: Result, first: Sequence[Record]) -> Table:
    row: Table = {
        "name": result.row.name,
        "at": result.row.at,
        "axis": result.row.axis or recipe.axis,
        "paper_percent": result.row.paper,
        "ours": None,
    }
    if not result.records:
        return row | {"absent": result.absent}
    records = result.records
    mean, base = averaged(records), averaged(first)
    low, high = mean.interval()
    ours: Table = {
        "method": describe(records[0])
        if len(records) == 1
        else describe(records[0]).replace(f"seed={records[0]['seed']}", "seed=…"),
        "setting": records[0]["protocol"]["setting"],
        **{column: _mean(records, column) for column in recipe.columns},
        "mAP_interval": [low, high],
        "difference": None,
        "error_removed": None,
        "seeds": [
            {"seed": each["seed"], "mAP": each["metrics"]["mAP"], "record": each["key"]}
            for each in records
        ],
        "measured": {
            name: float(np.mean([each["measured"][name] for each in records]))
            for name in records[0]["measured"]
        },
        "chosen": records[0]["configuration"]["chosen"],
        "validation": records[0]["validation"],
        "cost": records[0]["cost"],
    }
    if records is not first:
        ours["difference"] = _flat(mean.difference(base))
        ours["error_removed"] = _flat(error_removed(mean, base))
    return row | {"ours": ours}


def _mean(records: Sequence[Record], column: str) -> float:
    if column.startswith("rank-"):
        return float(
            np.mean([record["metrics"]["cmc"][column.removeprefix("rank-")] for record in records])
        )
    return float(np.mean([record["metrics"][column] for record in records]))


def _flat(value: tuple[float, tuple[float, float]]) -> list[float | None]:
    return [None if math.isnan(each) else each for each in (value[0], *value[1])]


def _notes(results: Sequence[Result], inputs: Inputs) -> list[str]:
    notes = [
        f"{result.row.name} was not run: {result.absent}."
        for result in results
        if not result.records
    ]
    for result in results:
        for record in result.records:
            held = record["validation"]
            if held is not None and held["mAP"] <= held["cosine"]:
                seed = "" if len(result.records) == 1 else f" (seed {record['seed']})"
                notes.append(
                    f"**{result.row.name}{seed} does not beat the embeddings' own order on "
                    f"validation identities**"
                    f" ({_percent(held['mAP'])} against {_percent(held['cosine'])} mAP)."
                )
            if any(
                facts.get("record", {}).get("validation", {}).get("best_lam") == 0
                for facts in record["learned"].values()
            ):
                notes.append(
                    f"{result.row.name}: on validation identities lam = 0, its input's own order, "
                    f"is the best weight."
                )
        chosen = result.records[0]["configuration"]["chosen"] if result.records else None
        if chosen:
            options = ", ".join(f"{name}={value}" for name, value in chosen["options"].items())
            notes.append(
                f"{result.row.name}: {options}, the best of {chosen['tried']} on validation "
                f"identities"
                f" ({_percent(chosen['mAP'])} mAP)."
            )
    seen = inputs.parts["fit"].seen if "fit" in inputs.parts else None
    if seen and any(result.row.fit for result in results):
        notes.append(
            f"The embedder was trained on the identities of {seen:.0%} of the images that methods "
            f"were fitted on."
        )
    return notes


def markdown(table: Table) -> str:
    """The table as Markdown, with claims, notes and where each number comes from."""
    source = f"{table['id'].partition('/')[0]}, {table['source']}: {table['title']}"
    parts = [f"# {source}", f"```console\n{table['command']}\n```", _data_line(table)]
    if table["figure"]:
        parts.append(f"![{table['title']}]({table['figure']})")
    header, lines = _cells(table)
    parts.append(_grid(header, lines))
    parts.append(_legend(table))
    if table["claims"]:
        shown = [claim_cells(claim) for claim in table["claims"]]
        parts.append(
            "## Does the paper's claim hold here?\n\n"
            + _grid(["claim", "compared", "difference", "here"], shown)
        )
    if table["lists"]:
        parts.append(_lists(table["lists"]))
    if table["notes"]:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in table["notes"]))
    parts.append("## Runs\n\n" + _runs(table))
    return "\n\n".join(parts) + "\n"


def latex(table: Table) -> str:
    """The numbers as a LaTeX tabular (no packages needed)."""
    header, lines = _cells(table)
    rows = [" & ".join(map(_escaped, line)) + r" \\" for line in (header, *lines)]
    body = "\n".join([r"\hline", rows[0], r"\hline", *rows[1:], r"\hline"])
    comment = f"% {table['command']}\n% {_data_line(table).replace('**', '')}\n"
    return f"{comment}\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n{body}\n\\end{{tabular}}\n"


def csv_text(table: Table) -> str:
    """One line a row: ours as shares in [0, 1], the paper's in percent as printed."""
    paper = [(name, column) for name in table["paper_sets"] for column in table["columns"]]
    extra = ["mAP_low", "mAP_high", "difference", "difference_low", "difference_high"]
    removed = ["error_removed", "error_removed_low", "error_removed_high"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            *(
                "row",
                "method",
                "setting",
                *(f"paper_percent {name} {column}" for name, column in paper),
            ),
            *(*table["columns"], *extra, *removed, *table["measured"], "seeds", "records"),
        ]
    )
    for row in table["rows"]:
        ours = row["ours"]
        line = [row["paper_percent"].get(name, {}).get(column, "") for name, column in paper]
        if ours is None:
            writer.writerow([row["name"], "", "", *line])
            continue
        numbers = [*(ours[column] for column in table["columns"]), *ours["mAP_interval"]]
        numbers += [*(ours["difference"] or [""] * 3), *(ours["error_removed"] or [""] * 3)]
        numbers += [ours["measured"].get(name, "") for name in table["measured"]]
        seeds = " ".join(str(each["seed"]) for each in ours["seeds"] if each["seed"] is not None)
        keys = " ".join(each["record"] for each in ours["seeds"])
        shown = [f"{number:.6f}" if isinstance(number, float) else number for number in numbers]
        writer.writerow([row["name"], ours["method"], ours["setting"], *line, *shown, seeds, keys])
    return stream.getvalue()


def _cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """Heading and lines of the table of numbers, in percent."""
    header = [table["axis"] or "row"]
    header += [
        f"paper, {SETS[name]}: {' / '.join(table['columns'])}" for name in table["paper_sets"]
    ]
    header += [
        f"ours, {table['data']}: mAP",
        *(column for column in table["columns"] if column != "mAP"),
    ]
    header += [
        *table["measured"],
        f"mAP less {table['rows'][0]['name']}",
        "error removed",
        "setting",
        "seeds' mAP",
    ]
    lines: list[list[str]] = []
    for row in table["rows"]:
        line = [row["name"]]
        for name in table["paper_sets"]:
            given = row["paper_percent"].get(name, {})
            line.append(
                " / ".join(
                    f"{given[column]:.1f}" if column in given else "-"
                    for column in table["columns"]
                )
                if given
                else "-"
            )
        ours = row["ours"]
        if ours is None:
            lines.append([*line, "not run", *["-"] * (len(header) - len(line) - 1)])
            continue
        line.append(f"{_percent(ours['mAP'])} {_bounds(*ours['mAP_interval'])}")
        line += [_percent(ours[column]) for column in table["columns"] if column != "mAP"]
        line += [
            f"{ours['measured'][name]:.3f}" if name in ours["measured"] else "-"
            for name in table["measured"]
        ]
        line += [_signed(ours["difference"]), _signed(ours["error_removed"]), ours["setting"]]
        several = len(ours["seeds"]) > 1
        line.append(", ".join(_percent(each["mAP"]) for each in ours["seeds"]) if several else "-")
        lines.append(line)
    return header, lines


def _data_line(table: Table) -> str:
    protocol = table["protocol"]
    judged = (
        f"{protocol['queries']} queries judged, {protocol['skipped']} skipped, "
        f"{protocol['gallery']} gallery images;"
    )
    judged += f" {protocol['rule']}."
    paper = ", ".join(SETS[name] for name in table["paper_sets"])
    if table["same_data"]:
        return (
            f"Ours and the paper's {SETS[table['data']]} numbers are on the same data set. {judged}"
        )
    if not paper:
        return f"Ours are on {table['data']}; the paper prints no numbers here. {judged}"
    return (
        f"**The data differ**: the paper's numbers are on {paper}, ours on {table['data']}. "
        f"Compare the differences between"
        f" rows, not their levels. {judged}"
    )


def _legend(table: Table) -> str:
    first = table["rows"][0]["name"]
    compared = [
        (row["name"], row["ours"]["difference"])
        for row in table["rows"]
        if row["ours"] and row["ours"]["difference"]
    ]
    kinds = {
        "Better": [name for name, (_, low, _) in compared if low > 0],
        "Worse": [name for name, (_, _, high) in compared if high < 0],
        "Undecided": [name for name, (_, low, high) in compared if low <= 0 <= high],
    }
    lines = [
        f"{kind} than {first}: {'; '.join(names)}."
        if kind != "Undecided"
        else f"Undecided: {'; '.join(names)}."
        for kind, names in kinds.items()
        if names
    ]
    return (
        " ".join(lines)
        + " In percent; in brackets 95 % bootstrap intervals over identities, of differences "
        "paired by query. The error is"
        " 1 - mAP. Where a row has several seeds its numbers are their mean."
    ).strip()


def claim_cells(claim: Mapping[str, Any]) -> list[str]:
    """A claim, what was compared for it, the difference in percent, and whether it holds."""
    sign = ">" if claim["strict"] else "not below"
    difference = (
        "-"
        if claim["difference"] is None
        else _signed([claim["difference"][0], *claim["difference"][1]])
    )
    return [
        claim["text"],
        f"{claim['better']} {sign} {claim['worse']}, {claim['metric']}",
        difference,
        f"**{claim['holds']}**",
    ]


def _lists(groups: Sequence[Mapping[str, Any]]) -> str:
    marks = {"right": "✓", "wrong": "✗", "same camera": "·", "junk": "·"}
    lines = [
        [
            group["kind"],
            case["query"],
            each["method"],
            _percent(each["ap"]),
            " ".join(marks[entry[1]] for entry in each["entries"]),
        ]
        for group in groups
        for case in group["cases"]
        for each in case["lists"]
    ]
    legend = "✓ shows the query's identity, ✗ another, · does not count (same identity and camera)."
    return f"## The first images\n\n{legend}\n\n" + _grid(
        ["query is", "query", "by", "AP", "list"], lines
    )


def _runs(table: Table) -> str:
    lines: list[list[str]] = []
    for row in table["rows"]:
        if row["ours"] is None:
            continue
        cost = row["ours"]["cost"]
        fit = "-" if cost["fit_seconds"] is None else f"{cost['fit_seconds']:.1f}"
        keys = ", ".join(
            f"[{each['record']}](../../records/{each['record']}.json)"
            for each in row["ours"]["seeds"]
        )
        lines.append(
            [
                row["name"],
                f"`{row['ours']['method']}`",
                fit,
                f"{cost['rank_seconds']:.2f}",
                f"{cost['peak_mb']:.0f}",
                keys,
            ]
        )
    note = (
        "In [ ] what was fitted, on the fit images. Seconds and memory are of the first seed; "
        "memory is the peak while ranking."
    )
    return f"{note}\n\n" + _grid(["row", "METHOD", "fit, s", "rank, s", "MB", "records"], lines)


def _grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (header, *lines)]
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in (cells[0], ["---"] * len(header), *cells[1:])
    )


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
