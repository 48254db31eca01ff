"""`write_report`: one self-contained HTML file, without scripts and without a network."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file
from graphreid.extras import require
from graphreid.gallery import Gallery
from graphreid.methods.chain import gives_vectors
from graphreid.metrics.metric import name_of
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report
from graphreid.protocols import HasGraphWeights, Reranker, Transforms
from graphreid.report import contributions, figures, tables
from graphreid.report import embedding_map as maps
from graphreid.report import heatmaps as heat
from graphreid.report import ranked_lists as lists
from graphreid.report.examine import MOST_CAMERAS, Details
from graphreid.report.thumbnails import Find, Thumbnails, thumbnails
from graphreid.resources import Resources
from graphreid.types import Features, Labels

FOLDER = Path(__file__).parent
SHORT = 8
"""A file's name of fewer characters is shown with its folder."""


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a page is about."""

    reports: Sequence[Report]
    query: Features
    query_labels: Labels
    gallery: Gallery
    gallery_labels: Labels


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
    thumbnails: Find | None = None,
    names: Mapping[str, str] | None = None,
    camera_names: Mapping[int, str] | None = None,
    title: str = "Retrieval report",
    facts: Mapping[str, str] | None = None,
    resources: Resources | None = None,
    seed: int = 0,
) -> None:
    """Write a page about methods that were evaluated on the same queries and gallery, whole or not
    at all.

    Args:
        path: the .html file.
        reports: one a method, by the same rule; all are compared with the first. With `order`
            (`evaluate(..., top=TOP)`) the page has ranked lists.
        query, query_labels: the queries.
        gallery, gallery_labels: the gallery as it was searched.
        details: one a method, in the same order (`examine`); without them the page has no
            histograms, thresholds and cameras.
        methods: the methods by name; the map shows the new vectors of those that give some
            (`Transforms`).
        thumbnails: the image file of an item, or None where there is none; without it lists show
            names.
        names: what to call an item, such as its file; the item itself where it is not among them.
        camera_names: the cameras' names by their code in the labels, where they are text.
        title: the page's title.
        facts: more lines for the protocol card, such as the files' names.
        resources: what the methods ran with, for the card.
        seed: of the random queries and of the map.

    Raises:
        ValueError: no report, reports that differ in queries or protocol, other numbers of labels
            or details, packages that are not installed, or a path that can't be written.
    """
    require("report", "a report")
    resources = resources or Resources()
    subject = _Subject(reports, query, query_labels, gallery, gallery_labels)
    _check(subject, details)
    shown = _Names(names or {}, query.items.tolist(), gallery.features.items.tolist())
    sections = _lists(subject, seed)
    own = gallery.rows_of(query.items)
    relevance = Relevance(query_labels, gallery_labels, own=own, protocol=reports[0].protocol)
    graphs = contributions.query_graphs(
        sections, methods or {}, query, gallery, relevance, resources=resources
    )
    pictures = _pictures(sections, graphs, shown, thumbnails)
    card = tables.protocol(
        reports,
        query,
        query_labels,
        gallery,
        gallery_labels,
        facts=facts or {},
        resources=resources,
        seed=seed,
    )
    content: dict[str, Any] = {
        "title": title,
        "base": reports[0],
        "rows": tables.results(reports),
        "more_metrics": [
            name_of(metric, reports[0].protocol) for metric in tables.more_metrics(reports[0])
        ],
        "memory": any(report.extra.get("peak_mb") is not None for report in reports),
        "series": [figures.series(number) for number in range(len(reports))],
        "cmc": figures.cmc(reports),
        "sections": sections,
        "graphs": graphs,
        "sources": contributions.SOURCES,
        "names": shown,
        "pictures": pictures,
        "shown": lists.SHOWN,
        "card": [*card, *_picture_facts(pictures)],
        "map": _maps(subject, methods or {}, resources, seed),
        "heat": _heat(subject, methods or {}, resources),
        **_measured(subject, details, camera_names or {}),
    }
    _render(path, content)


def _check(subject: _Subject, details: Sequence[Details] | None) -> None:
    if not subject.reports:
        raise ValueError("a page needs at least one method's report")
    for images, labels, side in (
        (subject.query, subject.query_labels, "queries"),
        (subject.gallery, subject.gallery_labels, "gallery images"),
    ):
        if len(images) != len(labels):
            raise ValueError(f"{len(labels)} labels for {len(images)} {side}: give one each")
    for report in subject.reports:
        if len(report.identity) != len(subject.query):
            raise ValueError(
                f"{report.method} was evaluated on {len(report.identity)} queries, and "
                f"{len(subject.query)} are given"
            )
        report.difference(subject.reports[0])
    if details is not None and len(details) != len(subject.reports):
        raise ValueError(
            f"{len(details)} details for {len(subject.reports)} reports: give one each"
        )


class _Names:
    """What an item is called on the page, in full and in short."""

    def __init__(
        self, names: Mapping[str, str], queries: Sequence[str], images: Sequence[str]
    ) -> None:
        self._names, self._queries, self._images = names, queries, images

    def query(self, row: int) -> str:
        return self._queries[row]

    def image(self, row: int) -> str:
        return self._images[row]

    def full(self, item: str) -> str:
        return self._names.get(item, item)

    def short(self, item: str) -> str:
        """The end of a path, as many of its parts as tell it apart; the row of an id that was made
        of a file's hash.
        """
        name = re.sub(r"^[0-9a-f]{12,16}#", "row ", self.full(item))
        parts = name.replace("\\", "/").rstrip("/").split("/")
        last = parts.pop()
        while parts and len(last) < SHORT:
            last = f"{parts.pop()}/{last}"
        return last or name


def _lists(subject: _Subject, seed: int) -> list[tuple[str, str | None, tuple[lists.Group, ...]]]:
    """For each method against the first: its name, the first's, and the queries; the first alone
    where it is the only one.
    """
    with_order = [report for report in subject.reports if report.order is not None]
    base = subject.reports[0]
    if base.order is None or not with_order:
        return []
    own = subject.gallery.rows_of(subject.query.items)
    relevance = Relevance(
        subject.query_labels, subject.gallery_labels, own=own, protocol=base.protocol
    )
    others = [report for report in with_order if report is not base]
    if not others:
        return [(base.method, None, lists.groups(base, None, relevance, seed=seed))]
    return [
        (
            other.method,
            base.method,
            lists.groups(base, other, relevance, others=len(others), seed=seed),
        )
        for other in others
    ]


def _pictures(
    sections: Sequence[tuple[str, str | None, tuple[lists.Group, ...]]],
    graphs: Sequence[contributions.QueryGraph],
    names: _Names,
    find: Find | None,
) -> Thumbnails:
    items: list[str] = []
    for _, _, groups in sections:
        for case in (case for group in groups for case in group.cases):
            items.append(names.query(case.query))
            items.extend(
                names.image(entry.row) for listing in case.listings for entry in listing.entries
            )
    items.extend(item for graph in graphs for item in graph.items())
    return thumbnails(items, find)


def _picture_facts(pictures: Thumbnails) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if pictures.missing:
        facts.append(
            (
                "Pictures missing",
                f"{len(pictures.missing)} items have no image file, the first: "
                f"{pictures.missing[0]}",
            )
        )
    if pictures.unreadable:
        facts.append(("Pictures unreadable", "; ".join(pictures.unreadable[:5])))
    return facts


def _measured(
    subject: _Subject, details: Sequence[Details] | None, names: Mapping[int, str]
) -> dict[str, Any]:
    """Distances, thresholds and cameras, of what was gathered; nothing where nothing was."""
    if details is None:
        return {"distances": [], "roc": None, "cameras": [], "camera_why": None}
    panels: list[tuple[Report, str, tables.Operating]] = []
    for number, (report, each) in enumerate(zip(subject.reports, details, strict=True)):
        operating = tables.operating(each.separation, report.method)
        panels.append(
            (report, figures.distances(number, each.separation, operating.points), operating)
        )
    thresholded = [
        (number, each.separation)
        for number, each in enumerate(details)
        if each.separation.comparable
    ]
    return {
        "distances": panels,
        "roc": figures.roc(thresholded) if thresholded else None,
        **_cameras(subject, details, names),
    }


def _cameras(
    subject: _Subject, details: Sequence[Details], names: Mapping[int, str]
) -> dict[str, Any]:
    base = details[0].cameras
    if base is None:
        some = subject.query_labels.camera is not None and subject.gallery_labels.camera is not None
        why = (
            f"There are more than {MOST_CAMERAS} cameras, too many for a table."
            if some
            else "The data have no cameras."
        )
        return {"cameras": [], "camera_why": why}
    made: list[tuple[str, list[tuple[str, list[tables.Cell]]]]] = []
    columns: list[str] = []
    for report, each in zip(subject.reports, details, strict=True):
        if each.cameras is not None:
            columns, rows = tables.cameras(
                each.cameras,
                None if report is subject.reports[0] else base,
                names,
                report.protocol.named("mAP"),
            )
            made.append((report.method, rows))
    return {"cameras": made, "camera_why": None, "camera_columns": columns}


def _maps(
    subject: _Subject, methods: Mapping[str, Reranker], resources: Resources, seed: int
) -> list[tuple[str, str]]:
    """(What it shows, drawing) of the embeddings, and of each method's; empty where there are too
    few identities.
    """
    sample = maps.sample(
        subject.query, subject.query_labels, subject.gallery, subject.gallery_labels, seed=seed
    )
    if sample is None:
        return []
    before = maps.layout(sample.vectors(subject.query, subject.gallery.features), seed=seed)
    drawn = [("the embeddings", figures.embedding_map(0, before, sample.identity, sample.is_query))]
    for name, method in methods.items():
        if not (isinstance(method, Transforms) and gives_vectors(method)):
            continue
        queries, images = method.transform(subject.query, subject.gallery, resources=resources)
        after = maps.layout(sample.vectors(queries, images), seed=seed, start=before)
        drawn.append(
            (
                f"after {name}",
                figures.embedding_map(len(drawn), after, sample.identity, sample.is_query),
            )
        )
    return drawn


def _heat(
    subject: _Subject, methods: Mapping[str, Reranker], resources: Resources
) -> list[tuple[str, str, float]]:
    """(What it shows, drawing, `heat.within`) of each graph of the methods that can show theirs."""
    rows = heat.batch(subject.gallery_labels)
    drawn: list[tuple[str, str, float]] = []
    for name, method in methods.items():
        if rows is None or not isinstance(method, HasGraphWeights):
            continue
        identity = subject.gallery_labels.identity[rows]
        for graph, weights in method.graph_weights(
            subject.gallery.features.take(rows), resources=resources
        ).items():
            what = f"{name}: {graph}"
            drawn.append(
                (
                    what,
                    figures.heat_map(len(drawn), what, weights, identity),
                    heat.within(weights, identity),
                )
            )
    return drawn


def _render(path: str | Path, content: Mapping[str, Any]) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # an extra
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup  # our own SVG and style: all other text is escaped
    environment.filters["breakable"] = _breakable
    style = "".join(
        (FOLDER / name).read_text(encoding="utf-8") for name in ("theme.css", "style.css")
    )
    text = environment.get_template("template.html").render(style=Markup(style), **content)  # noqa: S704
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _breakable(name: str) -> Any:
    """A method's name that may go on in the next line after its marks."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup("<wbr>").join(re.split(r"(?<=[:,+/=])", name))
