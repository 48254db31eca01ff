"""Writes the pages of a store: RESULTS/SET/PAPER/ID.md with its figure, an index of each data set,
and claims.md, the papers' claims on all of them. Everything but the figures that need fitted
methods is made of the store.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.papers import figures
from graphreid.papers.fits import Setup
from graphreid.papers.formats import claim_cells, grid, markdown
from graphreid.papers.paper import TABLES, Table
from graphreid.papers.runner import Result
from graphreid.papers.store import Made, Store, updated
from graphreid.papers.table import Filled, check_claims, fill

Draw = Callable[[Path], str | None]
"""Writes a figure, or says why there is none."""
Claims = dict[tuple[str, str], list[dict[str, Any]]]
"""The checked claims of each table, by data set and id."""


def publish(
    table: Table,
    results: Sequence[Result],
    setup: Setup,
    *,
    command: str,
    pictures: bool = False,
    draw: Draw | None = None,
) -> Path:
    """Take a table into the store, and write its page and figure.

    Runs that an earlier version of the table had, and no table has now, are removed.

    Args:
        table: what was run.
        results: of its rows.
        setup: what it ran on.
        command: the command that makes it, to be shown above the table.
        pictures: put the images into ranked lists, where the features files name them.
        draw: writes the figure of a table whose rows train.

    Returns:
        The page.
    """
    data = setup.inputs.name
    base = setup.results / data / table.id
    base.parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    figure: str | None = None
    listed = None
    ran = bool(results[-1].runs)
    suffix = ".png" if table.kind == "pictures" else ".svg"
    if table.kind == "curve" and any(each.runs for each in results if each.row.at is not None):
        figure = base.name + suffix
    elif table.kind == "lists" and ran:
        listed = figures.lists(results, setup)
        files = _pictures(setup) if pictures else {}
        figure = base.name + (".png" if files else suffix)
        if files:
            figures.draw_lists(listed, base.parent / figure, files)
    elif table.kind == "heatmaps" and ran:
        figure = base.name + suffix
        shares = figures.heatmaps(results, setup, base.parent / figure)
        notes = [
            f"{name}: two images of one identity weigh {share:.1f} times as much as any two."
            for name, share in shares.items()
        ]
    elif table.kind in ("map", "pictures") and ran:
        file = base.parent / (base.name + suffix)
        none = figures.maps(results, setup, file) if draw is None else draw(file)
        figure, notes = (file.name, []) if none is None else (None, [none])
    rows = [
        {
            "name": each.row.name,
            "runs": [run.key for run in each.runs],
            "missing": each.missing,
        }
        for each in results
    ]
    made = Made(data, table.id, command, rows, notes, figure, listed)
    with updated(setup.results) as store:
        store.put(made)
    write_page(fill(table, made, store), store)
    return base.with_suffix(".md")


def write_all(folder: Path) -> int:
    """Write every page of a store anew; returns how many tables there are."""
    store = Store.read(folder)
    claims: Claims = {}
    for place, made in store.made.items():
        filled = fill(TABLES[made.table], made, store)
        claims[place] = filled["claims"]
        write_page(filled, store)
    write_indexes(store, claims)
    return len(store.made)


def write_page(filled: Filled, store: Store) -> None:
    """Write a table's page, and its figure where the store has all that it takes."""
    made, table = store.made[filled["data"], filled["id"]], TABLES[filled["id"]]
    base = store.folder / made.data / table.id
    base.parent.mkdir(parents=True, exist_ok=True)
    if table.kind == "curve" and made.figure:
        figures.curve(filled, base.parent / made.figure)
    drawn = base.with_suffix(".svg")
    if made.lists and made.figure == drawn.name:
        figures.draw_lists(made.lists, drawn)
    _write(base.with_suffix(".md"), markdown(filled))


def write_indexes(store: Store, claims: Claims | None = None) -> None:
    """Write SET/README.md for every data set, and claims.md.

    Args:
        store: of all results.
        claims: what is known of the tables' claims; if None, it is computed.
    """
    if claims is None:
        claims = {
            key: check_claims(TABLES[key[1]], made, store) for key, made in store.made.items()
        }
    names = sorted({name for name, _ in claims})
    for name in names:
        _write(store.folder / name / "README.md", _index(name, claims))
    _write(store.folder / "claims.md", _claims_page(names, claims))


def _index(name: str, claims: Claims) -> str:
    keys = [key for key in TABLES if (name, key) in claims]
    links = [f"- [{key}]({key}.md): {TABLES[key].source}, {TABLES[key].title}" for key in keys]
    lines: list[list[str]] = []
    for key in keys:
        for claim in claims[name, key]:
            text, compared, difference, holds = claim_cells(claim)
            lines.append([f"{text} ({compared})", f"[{key}]({key}.md)", difference, holds])
    parts = [
        f"# Results on {name}",
        "Written by `graphreid papers`.",
        "\n".join(links),
        "## Which of the papers' claims hold here",
        grid(["claim", "where", "difference", "here"], lines),
    ]
    return "\n\n".join(parts) + "\n"


def _claims_page(names: list[str], claims: Claims) -> str:
    """A line a claim, a column a data set."""
    lines: list[list[str]] = []
    for key in TABLES:
        found: dict[str, dict[str, str]] = {}
        for name in names:
            for claim in claims.get((name, key), []):
                text, compared, difference, holds = claim_cells(claim)
                cell = f"{difference} [{holds}]({name}/{key}.md)"
                found.setdefault(f"{text} ({compared})", {})[name] = cell
        lines += [
            [key, text, *(cells.get(name, "-") for name in names)] for text, cells in found.items()
        ]
    head = "# The papers' claims on all data sets\n\nWritten by `graphreid papers`: percent, 95 %"
    text = grid(["where", "claim", *names], lines)
    return f"{head} intervals, and what holds.\n\n{text}\n"


def _pictures(setup: Setup) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in ("query", "gallery"):
        part = setup.inputs.part(name)
        if part.paths is not None:
            items, paths = part.features.items.tolist(), map(Path, part.paths.tolist())
            found |= dict(zip(items, paths, strict=True))
    return found


def _write(file: Path, text: str) -> None:
    with whole_file(file) as temporary:
        temporary.write_text(text)
