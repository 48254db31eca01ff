"""`graphreid evaluate`."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid import peak_memory as memory
from graphreid.atomic_files import whole_file, writable
from graphreid.cli import report as page
from graphreid.cli.options import ResourceOptions
from graphreid.features.features_file import load_columns, load_features, require_same_embedder
from graphreid.gallery import Gallery
from graphreid.kernels import neighbor_sets as jaccard
from graphreid.kernels import pair_distances as pairs
from graphreid.kernels import rank_counts as counting
from graphreid.methods.spec import parse
from graphreid.metrics import DEFAULT, metrics_of
from graphreid.metrics import evaluate as evaluation
from graphreid.metrics.metric import Metric, name_of
from graphreid.metrics.precomputed import Precomputed, is_precomputed, load_precomputed
from graphreid.metrics.protocol import PROTOCOLS
from graphreid.metrics.report import Report
from graphreid.protocols import Reranker
from graphreid.types import JUNK, drop_junk

IMPORTED = (counting, jaccard, pairs)
"""Memory is counted from after the imports: these would else be imported by the first method and
charged to it.
"""


def evaluate(
    *,
    query: Annotated[Path, Parameter(help="features of the queries, with identities")],
    gallery: Annotated[Path, Parameter(help="features of the gallery, with identities")],
    method: Annotated[
        list[str],
        Parameter(
            help="NAME or FILE.safetensors, then [:key=value,…]; or RANKING.npz, DISTANCES.npy; "
            "once for each"
        ),
    ],
    metrics: Annotated[
        list[str] | None,
        Parameter(
            help="what to compute, by commas or once for each, such as mAP,rank-5,recall@10 (case "
            "does not matter); the first with intervals and differences; mAP,rank-1,mINP if not "
            "given",
            negative="",
        ),
    ] = None,
    rule: Annotated[
        Literal["market", "no-camera", "layumi"], Parameter(help="which images count")
    ] = "market",
    ap: Annotated[
        Literal["step", "trapezoid"] | None, Parameter(help="average precision, if not the rule's")
    ] = None,
    denominator: Annotated[
        Literal["valid", "all"] | None, Parameter(help="queries of the mean, if not the rule's")
    ] = None,
    distractor: Annotated[
        int | None, Parameter(help="an identity number that is wrong for every query")
    ] = None,
    tracks: Annotated[
        bool,
        Parameter(
            negative="",
            help="find the gallery's tracks (its track column), each as near as its nearest image",
        ),
    ] = False,
    keep_junk: Annotated[
        bool,
        Parameter(negative="", help="leave junk in the gallery as graph nodes; it never counts"),
    ] = False,
    zero: Annotated[
        Literal["refuse", "keep"], Parameter(help="what to do with a vector of zeros")
    ] = "refuse",
    json_: Annotated[Path | None, Parameter(name="--json", help="write the numbers here")] = None,
    pages: page.ReportOptions | None = None,
    options: ResourceOptions | None = None,
) -> None:
    """Evaluate methods on labelled queries and gallery: mAP, mINP and CMC, with bootstrap
    intervals and paired differences.

    A file of another program is evaluated as a method is: a ranking as 'graphreid rerank' writes it
    or an .npy array of gallery rows, the nearest first, or an .npy array of distances [queries,
    gallery]. With lists of K images that leave others out, every method is evaluated by its first
    K: mAP@K.
    """
    pages = pages or page.ReportOptions()
    _check(pages, json_, method, tracks=tracks)
    wanted = _metrics(metrics)
    base = memory.resident()
    known_methods = {text: parse(text) for text in method if not is_precomputed(text)}
    changes = {"ap": ap, "denominator": denominator, "distractor": distractor}
    protocol = dataclasses.replace(
        PROTOCOLS[rule], **{key: value for key, value in changes.items() if value is not None}
    )
    queries, query_labels = load_features(query, zero=zero)
    images, image_labels = load_features(gallery, zero=zero)
    require_same_embedder(query, gallery)
    files = {query: queries.items, gallery: images.items}
    counted = image_labels.role != JUNK
    given = {
        text: load_precomputed(text, queries.items, images.items, counted)
        for text in method
        if is_precomputed(text)
    }
    chosen: list[Reranker] = [
        given[text] if text in given else known_methods[text] for text in method
    ]
    if shortest := min((each.listed for each in given.values() if each.listed), default=None):
        protocol = dataclasses.replace(protocol, listed=shortest)
    visits = _tracks(gallery)[counted | keep_junk] if tracks else None
    if not keep_junk:
        images, image_labels = drop_junk(images, image_labels)
    known = (
        page.sources(pages, files, junk=len(files[gallery]) - len(images)) if pages.wanted else None
    )
    reports: list[Report] = []
    details: list[Any] = []
    options = options or ResourceOptions()
    with options.resources() as resources:
        for name, each in zip(method, chosen, strict=True):
            memory.reset_peak()
            # a gallery of its own for each method: none may profit from what another derived
            subject = each, queries, Gallery(images), query_labels, image_labels
            if known is not None:
                score = each.score if isinstance(each, Precomputed) else "distance"
                report, detail = page.examine(
                    *subject,
                    metrics=wanted,
                    protocol=protocol,
                    name=name,
                    score=score,
                    resources=resources,
                )
                details.append(detail)
            else:
                report = evaluation.evaluate(
                    *subject,
                    metrics=wanted,
                    protocol=protocol,
                    name=name,
                    tracks=visits,
                    resources=resources,
                )
            if isinstance(each, Precomputed):
                report = dataclasses.replace(report, seconds=math.nan)  # it ran elsewhere
            report.extra["peak_mb"] = (
                None if name in given else round((memory.peak() - base) / 2**20, 1)
            )
            reports.append(report)
    # a pipe has no width: don't cut numbers to fit 80 columns there
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(_table(reports, wanted))
    if json_ is not None:
        _write(json_, reports)
    if known is not None:
        shown = queries, query_labels, Gallery(images), image_labels
        with options.resources() as resources:
            page.write(pages, chosen, reports, details, shown, known, resources)


def _check(
    pages: page.ReportOptions, file: Path | None, method: list[str], *, tracks: bool
) -> None:
    """Refuse before any work what can't end well."""
    if pages.wanted:
        pages.check()
        if tracks:
            raise ValueError(
                "--report shows images, and --tracks finds tracks: leave one of them out"
            )
    if file is not None:
        writable(file)
    if twice := [text for text in method if method.count(text) > 1]:
        raise ValueError(
            f"--method {twice[0]} is given {method.count(twice[0])} times: give each method once"
        )


def _metrics(given: list[str] | None) -> tuple[Metric, ...]:
    return DEFAULT if given is None else metrics_of(",".join(given))


def _write(file: Path, reports: list[Report]) -> None:
    content = {
        "rule": str(reports[0].protocol),
        "methods": {report.method: report.summary() for report in reports},
    }
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _tracks(gallery: Path) -> NDArray[Any]:
    columns = load_columns(gallery)
    if "track" not in columns:
        raise ValueError(
            f"{gallery}: it has no column track: leave --tracks out, or make the features from a "
            f"set with tracks"
        )
    return columns["track"]


def _table(reports: list[Report], metrics: tuple[Metric, ...]) -> Table:
    """A row a method: each metric, the first with its interval and its difference to the first
    method's.
    """
    first = reports[0]
    caption = (
        f"{first.protocol}. {first.queries} queries evaluated, {first.skipped} skipped (no "
        "positive left)."
    )
    table = Table(
        caption=f"{caption} Intervals: 95 %, bootstrap over identities.",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("method", overflow="fold")
    table.add_column("setting", no_wrap=True)
    names = [name_of(metric, first.protocol) for metric in metrics]
    for column in (*names, f"{names[0]} less the first", "s", "MB"):
        table.add_column(column, justify="right", no_wrap=True)
    for report in reports:
        low, high = report.interval(metrics[0])
        gain = "-"
        if report is not first:
            apart, (lowest, highest) = report.difference(first, metrics[0])
            gain = f"{apart:+.3f} [{lowest:+.3f}, {highest:+.3f}]"
        values = [_number(report.mean(metric)) for metric in metrics]
        row = (
            f"{values[0]} [{low:.3f}, {high:.3f}]",
            *values[1:],
            gain,
            "-" if math.isnan(report.seconds) else f"{report.seconds:.2f}",
            "-" if report.extra["peak_mb"] is None else f"{report.extra['peak_mb']:.0f}",
        )
        table.add_row(*map(escape, (report.method, report.setting, *row)))
    return table


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
