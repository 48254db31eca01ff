"""Where results go: OUT/<data set>/<id>.{md,csv,json,tex} with its figure, OUT/records/<key>.json,
an index of each set, and OUT/claims.md, the papers' claims in all of them.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.papers import figures, tables
from graphreid.papers.coverage import COVERAGE
from graphreid.papers.recipe import Recipe
from graphreid.papers.run import Result
from graphreid.papers.selection import RECORDS, Bench


def publish(
    recipe: Recipe,
    results: Sequence[Result],
    bench: Bench,
    out: Path,
    *,
    command: str,
    pictures: bool = False,
    draw: Callable[[Path], str | None] | None = None,
) -> Path:
    """Write a table with its figure and its records, the index of its data set, and the claims in
    all sets.

    Records that an earlier version of the table had, and no table has now, are removed.

    Args:
        recipe, results: what was run, and what came of it.
        bench: what it ran on.
        out: the folder for everything.
        command: the command that makes it, to be shown above the table.
        pictures: put the images into ranked lists, where the features files name them.
        draw: writes the picture or map of a recipe whose rows train, or says why there is none.

    Returns:
        The Markdown file.
    """
    base = out / bench.inputs.name / recipe.id
    base.parent.mkdir(parents=True, exist_ok=True)
    (out / RECORDS).mkdir(exist_ok=True)
    table = tables.build(recipe, results, bench.inputs, command=command)
    if recipe.kind == "curve" and any(
        row["ours"] and row["at"] is not None for row in table["rows"]
    ):
        table["figure"] = f"{base.name}.svg"
        figures.curve(table, base.with_suffix(".svg"))
    if recipe.kind == "lists" and results[-1].records:
        table["lists"] = figures.lists(results, bench)
        files = _pictures(bench) if pictures else {}
        table["figure"] = base.name + (".png" if files else ".svg")
        figures.draw_lists(table["lists"], base.parent / table["figure"], files)
    if recipe.kind == "heatmaps" and results[-1].records:
        table["figure"] = f"{base.name}.svg"
        shares = figures.heatmaps(results, bench, base.with_suffix(".svg"))
        table["notes"] += [
            f"{name}: two images of one identity weigh {share:.1f} times as much as any two."
            for name, share in shares.items()
        ]
    if recipe.kind in ("map", "pictures") and results[-1].records:
        figure = base.with_suffix(".svg" if recipe.kind == "map" else ".png")
        none = figures.maps(results, bench, figure) if draw is None else draw(figure)
        table |= {"figure": figure.name} if none is None else {"notes": [*table["notes"], none]}
    before = _keys(base.with_suffix(".json"))
    for key in _keys_of(table):
        with whole_file(out / RECORDS / f"{key}.json") as temporary:
            shutil.copyfile(bench.work / RECORDS / f"{key}.json", temporary)
    written = {
        ".md": tables.markdown(table),
        ".csv": tables.csv_text(table),
        ".tex": tables.latex(table),
    }
    written[".json"] = json.dumps(table, indent=1, allow_nan=False) + "\n"
    for suffix, text in written.items():
        with whole_file(base.with_suffix(suffix)) as temporary:
            temporary.write_text(text)
    used = {key for file in out.glob("*/*/*.json") for key in _keys(file)}
    for key in before - used:
        (out / RECORDS / f"{key}.json").unlink(missing_ok=True)
    _index(out / bench.inputs.name)
    _claims(out)
    return base.with_suffix(".md")


def _pictures(bench: Bench) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in ("query", "gallery"):
        part = bench.inputs.part(name)
        if part.paths is not None:
            found |= {
                item: Path(path)
                for item, path in zip(
                    part.features.items.tolist(), part.paths.tolist(), strict=True
                )
            }
    return found


def _keys(file: Path) -> set[str]:
    try:
        return _keys_of(json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()  # none there, or somebody else's


def _keys_of(table: dict[str, Any]) -> set[str]:
    return {each["record"] for row in table["rows"] if row["ours"] for each in row["ours"]["seeds"]}


def _made(folder: Path) -> dict[str, dict[str, Any]]:
    """The tables made on a set, by id in the papers' order."""
    files = {name: folder / f"{name}.json" for name in COVERAGE}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}


def _index(folder: Path) -> None:
    """Write FOLDER/README.md: every table made on this set, and whether the papers' claims hold in
    it.
    """
    content = _made(folder)
    links = [
        f"- [{name}]({name}.md): {table['source']}, {table['title']}"
        for name, table in content.items()
    ]
    lines = ["| claim | where | difference | here |", "| --- | --- | --- | --- |"]
    for name, table in content.items():
        for claim in table["claims"]:
            cells = tables.claim_cells(claim)
            lines.append(
                f"| {cells[0]} ({cells[1]}) | [{name}]({name}.md) | {cells[2]} | {cells[3]} |"
            )
    text = f"# Results on {folder.name}\n\nWritten by `graphreid reproduce`.\n\n" + "\n".join(links)
    text += "\n\n## Which of the papers' claims hold here\n\n" + "\n".join(lines) + "\n"
    with whole_file(folder / "README.md") as temporary:
        temporary.write_text(text)


def _claims(out: Path) -> None:
    """Write OUT/claims.md: a line a claim, a column a data set."""
    sets = {
        folder.name: made
        for folder in sorted(out.iterdir())
        if folder.is_dir() and (made := _made(folder))
    }
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, made in sets.items():
        for key, table in made.items():
            for claim in table["claims"]:
                text, compared, difference, holds = tables.claim_cells(claim)
                cell = f"{difference} [{holds}]({name}/{key}.md)"
                found.setdefault((key, f"{text} ({compared})"), {})[name] = cell
    order = list(COVERAGE)
    lines = [f"| where | claim | {' | '.join(sets)} |", "| --- " * (2 + len(sets)) + "|"]
    for (key, text), cells in sorted(found.items(), key=lambda pair: order.index(pair[0][0])):
        lines.append(f"| {key} | {text} | {' | '.join(cells.get(name, '-') for name in sets)} |")
    head = (
        "# The papers' claims in all sets\n\nWritten by `graphreid reproduce`: percent, 95 % "
        "intervals, and"
    )
    with whole_file(out / "claims.md") as temporary:
        temporary.write_text(f"{head} what holds.\n\n" + "\n".join(lines) + "\n")
