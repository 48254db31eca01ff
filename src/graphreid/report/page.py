"""`write_report`: the report as one HTML file, without scripts, which loads nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.extras import require
from graphreid.gallery import Gallery
from graphreid.methods.chain import gives_vectors
from graphreid.metrics.evaluate import check_lengths
from graphreid.metrics.metric import name_of
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report
from graphreid.protocols import HasGraphWeights, Reranker, Transforms
from graphreid.report import (
    contributions,
    embedding_map,
    figures,
    heatmaps,
    ranked_lists,
    tables,
    templates,
)
from graphreid.report.examine import MAX_CAMERAS, Details
from graphreid.report.thumbnails import FindImage, Thumbnails, make_thumbnails
from graphreid.resources import Resources
from graphreid.types import Features, Labels

FOLDER = Path(__file__).parent
SHORT_NAME = 8
"""A file's name of fewer characters is shown with its folder."""

Sections = list[tuple[str, str | None, tuple[ranked_lists.QueryGroup, ...]]]
"""For each method: its name, the name of the method that it is compared with, groups of queries."""


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """What a page shows: methods that were evaluated on the same queries and gallery.

    Attributes:
        reports: one a method; all are compared with the first.
        methods: the methods by name, where they are given.
    """

    reports: Sequence[Report]
    methods: Mapping[str, Reranker]
    query: Features
    query_labels: Labels
    gallery: Gallery
    gallery_labels: Labels
    resources: Resources
    seed: int

    @property
    def relevance(self) -> Relevance:
        """The positives of each query, and what does not count."""
        return Relevance(
            self.query_labels,
            self.gallery_labels,
            own=self.gallery.rows_of(self.query.items),
            protocol=self.reports[0].protocol,
        )


def write_report(
    path: str | Path,
    reports: Sequence[Report],
    query: Features,
    query_labels: Labels,
    gallery: Gallery,
    gallery_labels: Labels,
    *,
    details: Sequence[Details] | None = None,
    methods: Mapping[str, Reranker] | None = None,
    thumbnails: FindImage | None = None,
    names: Mapping[str, str] | None = None,
    camera_names: Mapping[int, str] | None = None,
    title: str = "Retrieval report",
    card: Mapping[str, str] | None = None,
    resources: Resources | None = None,
    seed: int = 0,
) -> None:
    """Write a page about methods that were evaluated on the same queries and gallery, whole or not
    at all.

    Args:
        path: the .html file.
        reports: one a method, by the same protocol; all are compared with the first. With `order`
            (`evaluate(..., top=TOP)`) the page has ranked lists.
        query, query_labels: the queries.
        gallery, gallery_labels: the gallery that was searched.
        details: one a method, in the same order (`examine`); without them the page has no
            histograms, thresholds and cameras.
        methods: the methods by name; with them the page has the graphs of some queries, the map of
            new vectors, and heat maps.
        thumbnails: gives the image file of an item, or None where there is none; without it lists
            show names.
        names: what to call an item, such as its file; the item itself where it is not among them.
        camera_names: the cameras' names by their code in the labels, where they are text.
        title: the page's title.
        card: more lines for the protocol card, such as the files' names.
        resources: what the methods ran with, for the card.
        seed: of the random queries and of the map.

    Raises:
        ValueError: no report, reports that differ in queries or protocol, other numbers of labels
            or details, packages that are not installed, or a path that can't be written.
    """
    require("report", "a report")
    evaluation = _Evaluation(
        reports=reports,
        methods=methods or {},
        query=query,
        query_labels=query_labels,
        gallery=gallery,
        gallery_labels=gallery_labels,
        resources=resources or Resources(),
        seed=seed,
    )
    _check(evaluation, details)
    item_names = _ItemNames(names or {}, query.items.tolist(), gallery.features.items.tolist())
    sections = _sections(evaluation)
    graphs = contributions.query_graphs(
        sections,
        evaluation.methods,
        query,
        gallery,
        evaluation.relevance,
        resources=evaluation.resources,
    )
    pictures = make_thumbnails(_shown_items(sections, graphs, item_names), thumbnails)
    protocol_card = tables.protocol_card(
        reports,
        query,
        query_labels,
        gallery,
        gallery_labels,
        more=card or {},
        resources=evaluation.resources,
        seed=seed,
    )
    metrics = tables.more_metrics(reports[0])
    content: dict[str, Any] = {
        "title": title,
        "base": reports[0],
        "rows": tables.result_rows(reports),
        "more_metrics": [name_of(metric, reports[0].protocol) for metric in metrics],
        "memory": any(report.extra.get("peak_mb") is not None for report in reports),
        "line_styles": [figures.line_style(number) for number in range(len(reports))],
        "cmc": figures.cmc_curves(reports),
        "sections": sections,
        "graphs": graphs,
        "sources": contributions.SOURCES,
        "names": item_names,
        "pictures": pictures,
        "listed": ranked_lists.LISTED,
        "card": [*protocol_card, *_picture_problems(pictures)],
        "maps": _maps(evaluation),
        "heatmaps": _heatmaps(evaluation),
        **_from_details(evaluation, details, camera_names or {}),
    }
    _render(path, content)


def _check(evaluation: _Evaluation, details: Sequence[Details] | None) -> None:
    reports = evaluation.reports
    if not reports:
        raise ValueError("a page needs at least one method's report")
    check_lengths(
        evaluation.query, evaluation.gallery, evaluation.query_labels, evaluation.gallery_labels
    )
    for report in reports:
        if len(report.identity) != len(evaluation.query):
            raise ValueError(
                f"{report.method} was evaluated on {len(report.identity)} queries, and "
                f"{len(evaluation.query)} are given"
            )
        report.difference(reports[0])
    if details is not None and len(details) != len(reports):
        raise ValueError(f"{len(details)} details for {len(reports)} reports: give one each")


class _ItemNames:
    """What an item is called on the page, in full and in short."""

    def __init__(
        self, names: Mapping[str, str], queries: Sequence[str], images: Sequence[str]
    ) -> None:
        self._names = names
        self._queries = queries
        self._images = images

    def query(self, row: int) -> str:
        return self._queries[row]

    def image(self, row: int) -> str:
        return self._images[row]

    def full(self, item: str) -> str:
        return self._names.get(item, item)

    def short(self, item: str) -> str:
        """The end of a path, with as many folders as tell it from others; "row N" for an id that
        was made of a file's hash.
        """
        name = re.sub(r"^[0-9a-f]{12,16}#", "row ", self.full(item))
        parts = name.replace("\\", "/").rstrip("/").split("/")
        last = parts.pop()
        while parts and len(last) < SHORT_NAME:
            last = f"{parts.pop()}/{last}"
        return last or name


def _sections(evaluation: _Evaluation) -> Sections:
    """A section of ranked lists for each method but the first; for the first alone where it is the
    only one.
    """
    base = evaluation.reports[0]
    if base.order is None:
        return []
    relevance, seed = evaluation.relevance, evaluation.seed
    others = [report for report in evaluation.reports[1:] if report.order is not None]
    if not others:
        groups = ranked_lists.query_groups(base, None, relevance, seed=seed)
        return [(base.method, None, groups)]
    sections: Sections = []
    for other in others:
        groups = ranked_lists.query_groups(base, other, relevance, others=len(others), seed=seed)
        sections.append((other.method, base.method, groups))
    return sections


def _shown_items(
    sections: Sections, graphs: Sequence[contributions.QueryGraph], names: _ItemNames
) -> list[str]:
    """The items whose pictures the page shows."""
    items: list[str] = []
    for _, _, groups in sections:
        for example in (example for group in groups for example in group.examples):
            items.append(names.query(example.query))
            for ranked_list in example.lists:
                items.extend(names.image(entry.row) for entry in ranked_list.entries)
    for graph in graphs:
        items.extend(graph.items())
    return items


def _picture_problems(pictures: Thumbnails) -> list[tuple[str, str]]:
    """Lines for the protocol card about pictures that could not be shown."""
    lines: list[tuple[str, str]] = []
    if pictures.missing:
        count, first = len(pictures.missing), pictures.missing[0]
        lines.append(("Pictures missing", f"{count} items have no image file, the first: {first}"))
    if pictures.unreadable:
        lines.append(("Pictures unreadable", "; ".join(pictures.unreadable[:5])))
    return lines


def _from_details(
    evaluation: _Evaluation, details: Sequence[Details] | None, names: Mapping[int, str]
) -> dict[str, Any]:
    """Histograms, thresholds and cameras, where there are details."""
    if details is None:
        return {"distances": [], "roc": None, "cameras": [], "no_cameras": None}
    panels: list[tuple[Report, str, tables.OperatingPoints]] = []
    for number, (report, each) in enumerate(zip(evaluation.reports, details, strict=True)):
        operating = tables.operating_points(each.separation, report.method)
        histograms = figures.score_histograms(number, each.separation, operating.points)
        panels.append((report, histograms, operating))
    comparable = [
        (number, each.separation)
        for number, each in enumerate(details)
        if each.separation.comparable
    ]
    return {
        "distances": panels,
        "roc": figures.roc_curves(comparable) if comparable else None,
        **_cameras(evaluation, details, names),
    }


def _cameras(
    evaluation: _Evaluation, details: Sequence[Details], names: Mapping[int, str]
) -> dict[str, Any]:
    """A table of camera pairs for each method, or why there is none."""
    base = details[0].cameras
    if base is None:
        labels = (evaluation.query_labels, evaluation.gallery_labels)
        if any(each.camera is None for each in labels):
            reason = "The data have no cameras."
        else:
            reason = f"There are more than {MAX_CAMERAS} cameras, too many for a table."
        return {"cameras": [], "no_cameras": reason}
    shown: list[tuple[str, list[tuple[str, list[tables.Cell]]]]] = []
    columns: list[str] = []
    for report, each in zip(evaluation.reports, details, strict=True):
        if each.cameras is not None:
            compared = None if report is evaluation.reports[0] else base
            measure = report.protocol.named("mAP")
            columns, rows = tables.camera_rows(each.cameras, compared, names, measure)
            shown.append((report.method, rows))
    return {"cameras": shown, "no_cameras": None, "camera_columns": columns}


def _maps(evaluation: _Evaluation) -> list[tuple[str, str]]:
    """(Title, drawing) of the vectors, and of each method's new vectors; none where there are too
    few identities.
    """
    query = evaluation.query
    gallery = evaluation.gallery
    seed = evaluation.seed
    sample = embedding_map.sample_images(
        query, evaluation.query_labels, gallery, evaluation.gallery_labels, seed=seed
    )
    if sample is None:
        return []
    before = embedding_map.tsne_layout(sample.vectors(query, gallery.features), seed=seed)
    drawn = [("the embeddings", figures.embedding_map(0, before, sample.identity, sample.is_query))]
    for name, method in evaluation.methods.items():
        if isinstance(method, Transforms) and gives_vectors(method):
            new = method.transform(query, gallery, resources=evaluation.resources)
            after = embedding_map.tsne_layout(sample.vectors(*new), seed=seed, start=before)
            drawing = figures.embedding_map(len(drawn), after, sample.identity, sample.is_query)
            drawn.append((f"after {name}", drawing))
    return drawn


def _heatmaps(evaluation: _Evaluation) -> list[tuple[str, str, float]]:
    """(Title, drawing, `heatmaps.identity_ratio`) of each graph of the methods that give their edge
    weights.
    """
    rows = heatmaps.pick_rows(evaluation.gallery_labels)
    if rows is None:
        return []
    identity = evaluation.gallery_labels.identity[rows]
    images = evaluation.gallery.features.take(rows)
    drawn: list[tuple[str, str, float]] = []
    for name, method in evaluation.methods.items():
        if not isinstance(method, HasGraphWeights):
            continue
        graphs = method.graph_weights(images, resources=evaluation.resources)
        for graph, weights in graphs.items():
            title = f"{name}: {graph}"
            drawing = figures.heat_map(len(drawn), title, weights, identity)
            drawn.append((title, drawing, heatmaps.identity_ratio(weights, identity)))
    return drawn


def _render(path: str | Path, content: Mapping[str, Any]) -> None:
    from markupsafe import Markup  # noqa: PLC0415  # an extra

    environment = templates.template_environment(FOLDER)
    environment.filters["drawing"] = Markup  # our own SVG and style: all other text is escaped
    environment.filters["breakable"] = _breakable
    style = "".join(
        (FOLDER / name).read_text(encoding="utf-8") for name in ("theme.css", "style.css")
    )
    text = environment.get_template("template.html").render(style=Markup(style), **content)  # noqa: S704
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _breakable(name: str) -> Any:
    """A method's name with a possible line break after each punctuation mark."""
    from markupsafe import Markup  # noqa: PLC0415  # an extra

    return Markup("<wbr>").join(re.split(r"(?<=[:,+/=])", name))
