"""A filled table as Markdown, CSV, LaTeX and JSON."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphreid.papers.paper import SETS
from graphreid.papers.table import Filled, percent


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
        line.append(f"{percent(ours['mAP'])} {_bounds(*ours['mAP_interval'])}")
        line += [percent(ours[column]) for column in others]
        line += [
            f"{ours['measured'][name]:.3f}" if name in ours["measured"] else "-"
            for name in measured
        ]
        line += [_signed(ours["difference"]), _signed(ours["error_removed"]), ours["setting"]]
        several = len(ours["seeds"]) > 1
        line.append(", ".join(percent(each["mAP"]) for each in ours["seeds"]) if several else "-")
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
        f"**The data differ**: the paper's numbers are on {paper}, ours on {filled['data']}. "
        "Compare the"
        f" differences between rows, not the numbers. {counted}"
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
            percent(shown["ap"]),
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
        "METHOD has the options that differ from the defaults; *fitted* is what was fitted, on the "
        "fit"
        " images. Seconds and memory are of the first seed; memory is the peak while ranking. "
        "Details of"
        " a run: `graphreid papers runs`."
    )
    head = ["row", "METHOD", "fitted", "fit, s", "rank, s", "MB", "runs"]
    return f"{note}\n\n" + grid(head, lines)


def _bounds(low: float, high: float) -> str:
    return f"[{percent(low)}, {percent(high)}]"


def _signed(values: Sequence[float | None] | None) -> str:
    if values is None or any(value is None for value in values):
        return "-"
    middle, low, high = (100 * (value or 0.0) for value in values)
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


def _escaped(text: str) -> str:
    for plain in "&%#_":
        text = text.replace(plain, f"\\{plain}")
    return text
