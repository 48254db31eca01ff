"""The figures of tables: curves, ranked lists, heat maps and t-SNE maps. matplotlib is imported
only when one is drawn.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import decode
from graphreid.extras import require as require_extra
from graphreid.gallery import Gallery
from graphreid.methods.persistence import load
from graphreid.metrics.relevance import Relevance
from graphreid.papers import fits
from graphreid.papers.fits import Setup
from graphreid.papers.paper import SETS, Table
from graphreid.papers.runner import Result, orders
from graphreid.papers.runs import report_of
from graphreid.papers.table import Filled
from graphreid.protocols import HasGraphWeights, Transforms
from graphreid.report import embedding_map
from graphreid.report import heatmaps as heat
from graphreid.report.ranked_lists import ExampleQuery, query_groups
from graphreid.types import Features, Labels

KINDS = ("Most improved", "Most harmed")
CASES = 3
"""Queries of a kind, as many as the papers show."""
COLORS = {"query": "#2b62b5", "right": "#2a9d4b", "wrong": "#c8372d", "uncounted": "#999999"}
SIGNS = {"right": "o", "wrong": "x"}
PALETTE = 32
"""Colours of a picture in PNG, which keeps it small."""
_GREY = "#666666"


def require(tables: Iterable[Table]) -> None:
    """Refuse before anything was run where what draws the figures is missing.

    Raises:
        ValueError: how to install it.
    """
    kinds = {table.kind for table in tables} - {"table"}
    if kinds:
        require_extra("report", "a figure", "matplotlib")
    if "map" in kinds:
        require_extra("report", "a t-SNE map", "openTSNE")


def curve(filled: Filled, file: Path) -> None:
    """Draw a table of kind "curve" as SVG, an axis a panel: mAP with its interval, the other
    metrics, and the first row's mAP.
    """
    plt = pyplot()
    points = [row for row in filled["rows"] if row["at"] is not None and row["ours"]]
    points.sort(key=lambda row: row["at"])
    names = list(dict.fromkeys(row["axis"] for row in filled["rows"] if row in points))
    size = (6 * len(names), 4)
    figure, panels = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for name, axes in zip(names, panels[0], strict=True):
        _curve(filled, [row for row in points if row["axis"] == name], axes)
        axes.set(xlabel=name, ylabel=f"%, {filled['data']}")
        axes.legend(fontsize=7)
    save(figure, file)


def _curve(filled: Filled, points: Sequence[Mapping[str, Any]], axes: Any) -> None:
    at = [row["at"] for row in points]
    low, high = ([100 * row["ours"]["mAP_interval"][side] for row in points] for side in (0, 1))
    axes.fill_between(at, low, high, alpha=0.2, linewidth=0)
    for column in filled["columns"]:
        values = [100 * row["ours"][column] for row in points]
        axes.plot(at, values, marker="o", markersize=3, label=column)
    first = filled["rows"][0]
    level, label = 100 * first["ours"]["mAP"], f"mAP, {first['name']}"
    axes.axhline(level, color=_GREY, linewidth=0.8, linestyle="--", label=label)
    if filled["same_data"]:
        data = filled["data"]
        printed = [(row["at"], row["paper_percent"].get(data, {}).get("mAP")) for row in points]
        shown = [pair for pair in printed if pair[1] is not None]
        label = f"mAP, paper, {SETS[data]}"
        axes.plot(*zip(*shown, strict=True), "x", color="black", label=label)


def heatmaps(results: Sequence[Result], setup: Setup, file: Path) -> dict[str, float]:
    """Draw the edge weights among some images of the gallery in the graphs of the last row's
    method.

    Returns:
        For each graph the mean weight of two images of one identity, in multiples of that of any
        two.

    Raises:
        ValueError: the gallery has fewer than two identities.
    """
    plt = pyplot()
    gallery = setup.inputs.part("gallery")
    rows = heat.pick_rows(gallery.labels)
    if rows is None:
        name = setup.inputs.name
        raise ValueError(
            f"{name}: the gallery has fewer than two identities, too few for heat maps"
        )
    method = load(fits.fitted(setup, results[-1].runs[0]["fit"]).file)
    images = gallery.features.take(rows)
    graphs = (
        method.graph_weights(images, resources=setup.resources)
        if isinstance(method, HasGraphWeights)
        else {}
    )
    count = max(len(graphs), 1)
    size = (4 * count, 4)
    figure, panels = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
    identity = gallery.labels.identity[rows]
    for axes, (name, weights) in zip(panels[0], graphs.items(), strict=True):
        heat.draw_heatmap(axes, weights, identity)
        axes.set_title(name, fontsize=9)
    save(figure, file)
    return {name: heat.identity_ratio(weights, identity) for name, weights in graphs.items()}


def maps(results: Sequence[Result], setup: Setup, file: Path) -> str | None:
    """Draw t-SNE of some identities' images, by the embeddings and by the last row's new vectors.

    Returns:
        As `draw_maps`.
    """
    query, gallery = (setup.inputs.part(part) for part in ("query", "gallery"))
    images = Gallery(gallery.features)
    method = load(fits.fitted(setup, results[-1].runs[0]["fit"]).file)
    spaces = {results[0].row.name: (query.features, gallery.features)}
    if isinstance(method, Transforms):
        spaces[results[-1].row.name] = method.transform(
            query.features, images, resources=setup.resources
        )
    return draw_maps(spaces, (query.labels, gallery.labels), file)


def draw_maps(
    spaces: Mapping[str, Sequence[Features]], labels: Sequence[Labels], file: Path
) -> str | None:
    """Draw t-SNE of some identities' images, a panel a space.

    A layout starts from the one before, so that the same image can be found in both.

    Args:
        spaces: query and gallery by the space's name.
        labels: those of query and gallery.
        file: the figure.

    Returns:
        Why there is no such map, where there are too few identities for one; then no file is
        written.
    """
    query, gallery = next(iter(spaces.values()))
    chosen = embedding_map.sample_images(query, labels[0], Gallery(gallery), labels[1])
    if chosen is None:
        return (
            f"There is no map: it takes {embedding_map.IDENTITIES} identities with at least "
            f"{embedding_map.MIN_IMAGES} images each."
        )
    plt = pyplot()
    size = (5 * len(spaces), 5)
    figure, panels = plt.subplots(1, len(spaces), figsize=size, layout="constrained", squeeze=False)
    start = None
    for axes, (name, space) in zip(panels[0], spaces.items(), strict=True):
        start = embedding_map.tsne_layout(chosen.vectors(*space), start=start)
        for mark, size, some in (("o", 10, ~chosen.is_query), ("*", 40, chosen.is_query)):
            colors = chosen.identity[some] / embedding_map.IDENTITIES
            style = {"cmap": "tab20", "vmin": 0, "vmax": 1, "linewidths": 0, "clip_on": False}
            axes.scatter(*start[some].T, s=size, marker=mark, c=colors, **style)
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    save(figure, file)
    return None


def lists(results: Sequence[Result], setup: Setup) -> list[dict[str, Any]]:
    """The queries that the last row improved and harmed most, and the head of their ranked lists by
    the first and by the last row, as `store.TABLES` has them.
    """
    query, gallery = setup.inputs.part("query"), setup.inputs.part("gallery")
    own = Gallery(gallery.features).rows_of(query.features.items)
    relevance = Relevance(query.labels, gallery.labels, own=own, protocol=setup.protocol)
    before, after = (
        replace(
            report_of(result.runs[0]), method=result.row.name, order=orders(setup, result.runs[0])
        )
        for result in (results[0], results[-1])
    )
    items, queries = gallery.features.items.tolist(), query.features.items.tolist()

    def case(kind: str, each: ExampleQuery) -> dict[str, Any]:
        shown = [
            {
                "method": one.method,
                "ap": one.ap,
                "entries": [
                    {"item": items[entry.row], "mark": entry.mark, "rank": entry.rank}
                    for entry in one.entries
                ],
            }
            for one in each.lists
        ]
        return {"kind": kind, "query": queries[each.query], "shown": shown}

    made = [group for group in query_groups(before, after, relevance) if group.kind in KINDS]
    return [case(group.kind, each) for group in made for each in group.examples[:CASES]]


def draw_lists(
    made: Sequence[Mapping[str, Any]], file: Path, pictures: Mapping[str, Path] | None = None
) -> None:
    """Draw what `lists` gives: a line a list, the query first; frames green where an image is
    right, red where it is wrong, grey where it does not count.

    Args:
        made: the lists.
        file: the figure, .png or .svg.
        pictures: the image file of each item; without one its box holds a sign.
    """
    plt = pyplot()
    lines = [
        (case["query"], f"{case['kind']}\n{each['method']}\nAP {each['ap']:.2f}", each["entries"])
        for case in made
        for each in case["shown"]
    ]
    width = 1 + max((len(entries) for _, _, entries in lines), default=1)
    height = max(len(lines), 1)
    size = (0.6 * width + 1.2, 0.75 * height)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    boxes: dict[str, list[tuple[float, float]]] = {mark: [] for mark in COLORS}
    for place, (query, label, entries) in enumerate(lines):
        axes.text(-0.15, -place, label, ha="right", va="center", fontsize=6)
        shown = [(query, "query"), *((entry["item"], entry["mark"]) for entry in entries)]
        for column, (item, mark) in enumerate(shown):
            boxes[mark if mark in boxes else "uncounted"].append((column, -place))
            picture = None if pictures is None else pictures.get(item)
            if picture is not None:
                extent = (column + 0.06, column + 0.94, -place - 0.44, -place + 0.44)
                axes.imshow(decode(picture), extent=extent, aspect="auto", zorder=1)
    for mark, corners in boxes.items():
        # one path of all frames and one marker a sign keep the file small
        outline = [
            (x + dx, y + dy)
            for x, y in corners
            for dx, dy in ((0.06, -0.44), (0.94, -0.44), (0.94, 0.44), (0.06, 0.44), (0.06, -0.44))
        ]
        codes = [1, 2, 2, 2, 79] * len(corners)  # move to, three lines, close
        path = plt.matplotlib.path.Path(outline, codes) if corners else None
        if path is not None:
            style = {"fill": False, "edgecolor": COLORS[mark], "linewidth": 2, "zorder": 2}
            axes.add_patch(plt.matplotlib.patches.PathPatch(path, **style))
        if mark in SIGNS and corners and not pictures:
            at = [(x + 0.5, y) for x, y in corners]
            axes.plot(*zip(*at, strict=True), SIGNS[mark], color=COLORS[mark], markersize=6)
    axes.set(xlim=(-2, width), ylim=(0.5 - height, 0.5))
    axes.set_axis_off()
    save(figure, file)


def pyplot() -> Any:
    """matplotlib without a screen; the same figure is the same file."""
    import matplotlib as mpl  # noqa: PLC0415  # heavy

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "graphreid", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt  # noqa: PLC0415  # likewise

    return plt


def save(figure: Any, file: Path) -> None:
    """Write a figure as a small SVG or PNG, whole or not at all, and close it."""
    held = io.BytesIO()
    metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
    figure.savefig(held, format=file.suffix[1:], dpi=110, metadata=metadata)
    pyplot().close(figure)
    with whole_file(file) as temporary:
        if file.suffix == ".svg":
            temporary.write_text(_small_svg(held.getvalue().decode()))
        else:
            picture = Image.open(held).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
            picture.save(temporary, optimize=True)


def _small_svg(text: str) -> str:
    """A drawing in fewer bytes: a tenth of a point is fine enough, and ids are short."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"-?\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)
    text = re.sub(r'<g clip-path="[^"]*">\s*(<use [^>]*/>)\s*</g>', r"\1", text)
    text = re.sub(r'style="fill: (#\w+)"', r'fill="\1"', text)
    text = re.sub(r'font-family: [^;"]*', "font-family: sans-serif", text)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"\s*([MLCQz])\s*", r"\1", path[0]), text)
    for place, name in enumerate(dict.fromkeys(re.findall(r'#(\w+)[")]', text))):
        if f'id="{name}"' in text:  # a colour looks alike
            text = re.sub(rf'(#|id="){name}(?=[")])', rf"\g<1>i{place}", text)
    return re.sub(r"\n\s*", "\n", text)
