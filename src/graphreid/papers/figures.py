"""The figures of recipes: curves, and ranked lists. matplotlib is asked for only when one is
drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import decode
from graphreid.extras import require as require_extra
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.metrics.relevance import Relevance
from graphreid.papers import selection
from graphreid.papers.recipe import SETS, Recipe
from graphreid.papers.records import report_of
from graphreid.papers.run import Result, orders
from graphreid.papers.selection import Bench
from graphreid.protocols import HasGraphWeights, Transforms
from graphreid.report import embedding_map as tsne
from graphreid.report import heatmaps as heat
from graphreid.report.ranked_lists import Case, groups
from graphreid.types import Features, Labels

KINDS = ("Most improved", "Most harmed")
CASES = 3
"""Queries of a kind, as many as the papers show."""
COLOURS = {
    "query": "#2b62b5",
    "right": "#2a9d4b",
    "wrong": "#c8372d",
    "same camera": "#999999",
    "junk": "#999999",
}
SIGNS = {"query": "query", "right": "✓", "wrong": "✗", "same camera": "", "junk": ""}
_GREY = "#666666"


def require(recipes: Iterable[Recipe]) -> None:
    """Refuse before anything was run where what draws their figures is missing.

    Raises:
        ValueError: how to install it.
    """
    figures = [recipe for recipe in recipes if recipe.kind != "table"]
    if figures:
        require_extra("report", "a figure", "matplotlib")
    if any(recipe.kind == "map" for recipe in figures):
        require_extra("report", "a t-SNE map", "openTSNE")


def curve(table: Mapping[str, Any], file: Path) -> None:
    """Draw a table of kind "curve" as SVG, an axis a panel: mAP with its interval, other metrics,
    and the first row's mAP.
    """
    plt = _pyplot()
    points = sorted(
        (row for row in table["rows"] if row["at"] is not None and row["ours"]),
        key=lambda row: row["at"],
    )
    names = list(dict.fromkeys(row["axis"] for row in table["rows"] if row in points))
    figure, panels = plt.subplots(
        1, len(names), figsize=(6 * len(names), 4), layout="constrained", squeeze=False
    )
    for name, axes in zip(names, panels[0], strict=True):
        _curve(table, [row for row in points if row["axis"] == name], axes)
        axes.set(xlabel=name, ylabel=f"%, {table['data']}")
        axes.legend(fontsize=7)
    _save(figure, file)
    plt.close(figure)


def _curve(table: Mapping[str, Any], points: Sequence[Mapping[str, Any]], axes: Any) -> None:
    places = [row["at"] for row in points]
    low, high = ([100 * row["ours"]["mAP_interval"][side] for row in points] for side in (0, 1))
    axes.fill_between(places, low, high, alpha=0.2, linewidth=0)
    for column in table["columns"]:
        axes.plot(
            places,
            [100 * row["ours"][column] for row in points],
            marker="o",
            markersize=3,
            label=column,
        )
    first = table["rows"][0]
    axes.axhline(
        100 * first["ours"]["mAP"],
        color=_GREY,
        linewidth=0.8,
        linestyle="--",
        label=f"mAP, {first['name']}",
    )
    if table["same_data"]:
        given = [
            (row["at"], row["paper_percent"].get(table["data"], {}).get("mAP")) for row in points
        ]
        shown = [(at, value) for at, value in given if value is not None]
        label = f"mAP, paper, {SETS[table['data']]}"
        axes.plot(
            [at for at, _ in shown], [value for _, value in shown], "x", color="black", label=label
        )


def heatmaps(results: Sequence[Result], bench: Bench, file: Path) -> dict[str, float]:
    """Draw what some images of the gallery hear of each other in the graphs of the last row's
    method.

    Returns:
        For each graph the mean weight of two images of one identity, in multiples of that of any
        two.

    Raises:
        ValueError: the gallery has fewer than two identities.
    """
    plt = _pyplot()
    gallery = bench.inputs.part("gallery")
    rows, fit = heat.batch(gallery.labels), results[-1].records[0]["configuration"]["fit"]
    if rows is None:
        raise ValueError(
            f"{bench.inputs.name}: the gallery has fewer than two identities, too few for heat maps"
        )
    method = parse(str(selection.fitted(bench, fit).file))
    graphs = (
        method.graph_weights(gallery.features.take(rows), resources=bench.resources)
        if isinstance(method, HasGraphWeights)
        else {}
    )
    figure, panels = plt.subplots(
        1,
        max(len(graphs), 1),
        figsize=(4 * max(len(graphs), 1), 4),
        layout="constrained",
        squeeze=False,
    )
    identity = gallery.labels.identity[rows]
    for axes, (name, weights) in zip(panels[0], graphs.items(), strict=True):
        heat.draw(axes, weights, identity)
        axes.set_title(name, fontsize=9)
    _save(figure, file)
    plt.close(figure)
    return {name: heat.within(weights, identity) for name, weights in graphs.items()}


def maps(results: Sequence[Result], bench: Bench, file: Path) -> str | None:
    """Draw t-SNE of some identities' images, by the embeddings and by the new vectors of the last
    row's method.

    Returns:
        As `draw_maps`.
    """
    query, gallery = (bench.inputs.part(part) for part in ("query", "gallery"))
    images, fit = Gallery(gallery.features), results[-1].records[0]["configuration"]["fit"]
    method = parse(str(selection.fitted(bench, fit).file))
    spaces = {results[0].row.name: (query.features, gallery.features)}
    if isinstance(method, Transforms):
        spaces[results[-1].row.name] = method.transform(
            query.features, images, resources=bench.resources
        )
    return draw_maps(spaces, (query.labels, gallery.labels), file)


def draw_maps(
    spaces: Mapping[str, Sequence[Features]], labels: Sequence[Labels], file: Path
) -> str | None:
    """Draw t-SNE of some identities' images, a panel a space: [queries, gallery] by the space's
    name, and their labels.

    A layout starts from the one before, so that the same image can be found in both.

    Returns:
        Why there is no such map, where there are too few identities for one; then no file is
        written.
    """
    query, gallery = next(iter(spaces.values()))
    chosen = tsne.sample(query, labels[0], Gallery(gallery), labels[1])
    if chosen is None:
        return (
            f"There is no map: it takes {tsne.IDENTITIES} identities with at least "
            f"{tsne.FEWEST} images each."
        )
    plt = _pyplot()
    figure, panels = plt.subplots(
        1, len(spaces), figsize=(5 * len(spaces), 5), layout="constrained", squeeze=False
    )
    start = None
    for axes, (name, space) in zip(panels[0], spaces.items(), strict=True):
        start = tsne.layout(chosen.vectors(*space), start=start)
        for mark, size, some in (("o", 10, ~chosen.is_query), ("*", 40, chosen.is_query)):
            colours = chosen.identity[some] / tsne.IDENTITIES
            axes.scatter(
                *start[some].T,
                s=size,
                marker=mark,
                c=colours,
                cmap="tab20",
                vmin=0,
                vmax=1,
                linewidths=0,
            )
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    _save(figure, file)
    plt.close(figure)
    return None


def lists(results: Sequence[Result], bench: Bench) -> list[dict[str, Any]]:
    """The queries that the last row improved and harmed most, beside the first row, and the head of
    their lists.

    Returns:
        For each kind of query its "kind" and "cases": the "query" (its item), and of each of the
        two "lists" the "method", the
        "ap" and the "entries": item, mark ("right", "wrong", "same camera" or "junk") and rank
        among those that count.
    """
    query, gallery = bench.inputs.part("query"), bench.inputs.part("gallery")
    own = Gallery(gallery.features).rows_of(query.features.items)
    relevance = Relevance(query.labels, gallery.labels, own=own, protocol=bench.rule)
    before, after = (
        replace(
            report_of(result.records[0]),
            method=result.row.name,
            order=orders(bench, result.records[0]),
        )
        for result in (results[0], results[-1])
    )
    items, queries = gallery.features.items.tolist(), query.features.items.tolist()

    def case(each: Case) -> dict[str, Any]:
        shown = [
            {
                "method": one.method,
                "ap": one.ap,
                "entries": [[items[entry.row], entry.mark, entry.rank] for entry in one.entries],
            }
            for one in each.listings
        ]
        return {"query": queries[each.query], "lists": shown}

    made = [group for group in groups(before, after, relevance) if group.kind in KINDS]
    return [
        {"kind": group.kind, "cases": [case(each) for each in group.cases[:CASES]]}
        for group in made
    ]


def draw_lists(made: Sequence[Mapping[str, Any]], file: Path, pictures: Mapping[str, Path]) -> None:
    """Draw what `lists` gives: a line a list, the query first, frames green where right and red
    where wrong.

    Args:
        made: the lists.
        file: the figure, .png or .svg.
        pictures: the image file of each item; without one its box holds a sign.
    """
    plt = _pyplot()
    lines = [
        (case["query"], f"{group['kind']}\n{each['method']}\nAP {each['ap']:.2f}", each["entries"])
        for group in made
        for case in group["cases"]
        for each in case["lists"]
    ]
    width = 1 + max((len(entries) for _, _, entries in lines), default=1)
    figure, axes = plt.subplots(
        figsize=(0.6 * width + 1.2, 0.75 * max(len(lines), 1)), layout="constrained"
    )
    for place, (query, label, entries) in enumerate(lines):
        axes.text(-0.15, -place, label, ha="right", va="center", fontsize=6)
        for column, (item, mark) in enumerate(
            [(query, "query"), *((entry[0], entry[1]) for entry in entries)]
        ):
            _box(plt, axes, column, -place, mark, pictures.get(item))
    axes.set(xlim=(-2, width), ylim=(0.5 - max(len(lines), 1), 0.5))
    axes.set_axis_off()
    _save(figure, file)
    plt.close(figure)


def _box(plt: Any, axes: Any, x: int, y: int, mark: str, picture: Path | None) -> None:
    left, right, bottom, top = x + 0.06, x + 0.94, y - 0.44, y + 0.44
    colour = COLOURS[mark]
    if picture is None:
        axes.text(x + 0.5, y, SIGNS[mark], ha="center", va="center", color=colour)
    else:
        axes.imshow(decode(picture), extent=(left, right, bottom, top), aspect="auto", zorder=1)
    axes.add_patch(
        plt.Rectangle(
            (left, bottom),
            right - left,
            top - bottom,
            fill=False,
            edgecolor=colour,
            linewidth=2,
            zorder=2,
        )
    )


def _pyplot() -> Any:
    import matplotlib as mpl  # noqa: PLC0415  # heavy

    mpl.use("Agg")
    # the same figure is the same file, and a small one
    mpl.rcParams.update({"svg.hashsalt": "graphreid", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt  # noqa: PLC0415

    return plt


def _save(figure: Any, file: Path) -> None:
    with whole_file(file) as temporary:
        figure.savefig(
            temporary, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None
        )
