"""The report's tables as text in cells: results, thresholds, cameras, and the protocol card."""

import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from jaxtyping import Int64

from graphreid.gallery import Gallery
from graphreid.metrics import DEFAULT
from graphreid.metrics.bootstrap import RESAMPLES
from graphreid.metrics.camera_pairs import CameraTable
from graphreid.metrics.cmc import CMC
from graphreid.metrics.metric import Metric
from graphreid.metrics.open_set import Point, Separation
from graphreid.metrics.report import Report
from graphreid.report.figures import percent
from graphreid.resources import Resources
from graphreid.types import DISTRACTOR, JUNK, Features, Labels

MATCH_RATES = (1e-2, 1e-3, 1e-4)
"""False-match rates at which thresholds are chosen."""
MIN_PAIRS = 10
"""Wrong pairs (or unknown queries) that must pass at a rate before a threshold for it is shown."""
IDENTIFICATION_RATES = (0.1, 0.01)
"""False positive identification rates at which identification is shown."""
TEXT_CODES = 1 << 40
"""Camera codes from here on stand for text (`types.codes`)."""
PACKAGES = ("graphreid", "numpy", "torch", "scipy", "numba")


@dataclass(frozen=True)
class ResultRow:
    """A method's row in the table of results.

    Attributes:
        number: its place among the methods.
        cells: the metrics, as text.
        difference: to the first method: mAP, its interval, rank-1, queries won and lost.
        notes: sentences that qualify the numbers.
    """

    number: int
    method: str
    setting: str
    cells: tuple[str, ...]
    difference: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class OperatingPoints:
    """Thresholds of a method.

    Attributes:
        points: (false-match rate that was asked for, threshold).
        lines: (rate, threshold, achieved rate, share of right pairs found), as text.
        notes: sentences.
    """

    points: tuple[tuple[float, Point], ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A cell in a table of cameras: its text, its tint in [-1, 1], and its tooltip."""

    text: str
    tint: float
    title: str


def result_rows(reports: Sequence[Report]) -> list[ResultRow]:
    """The table of results, a row a method; all but the first are compared with it, query by query.

    Cells are mAP, its interval, rank-1, 5 and 10, mINP, the `more_metrics`, seconds, megabytes.
    """
    rows: list[ResultRow] = []
    base = reports[0]
    for number, report in enumerate(reports):
        low, high = report.interval()
        memory = report.extra.get("peak_mb")
        cells = (
            f"{report.mean_ap():.3f}",
            f"{low:.3f} to {high:.3f}",
            *(_share(report.cmc(k)) for k in (1, 5, 10)),
            f"{report.mean_inp():.3f}",
            *(_share(report.mean(metric)) for metric in more_metrics(report)),
            "" if math.isnan(report.seconds) else f"{report.seconds:.2f}",
            "" if memory is None else f"{memory:.0f}",
        )
        difference = ("", "", "", "")
        notes: tuple[str, ...] = ()
        if number:
            difference, notes = _compare(base, report)
        rows.append(ResultRow(number, report.method, report.setting, cells, difference, notes))
    return rows


def more_metrics(report: Report) -> tuple[Metric, ...]:
    """The metrics that were asked for beside those that every page shows."""
    every = (*DEFAULT, CMC(5), CMC(10))
    return tuple(metric for metric in report.metrics if metric not in every)


def operating_points(separation: Separation, method: str) -> OperatingPoints:
    """Thresholds at chosen false-match rates, identification with unknown queries, and calibration
    of the link probability; where scores do not compare between queries, a sentence that says so.
    """
    if not separation.comparable:
        reason = (
            f"No threshold: {method} neither gives a link probability nor declares its distances "
            f"comparable between queries, so one threshold for all queries has no meaning."
        )
        return OperatingPoints((), (), (reason,))
    wrong, right = int(separation.wrong.sum()), int(separation.right.sum())
    points = tuple(
        (rate, separation.at_fmr(rate)) for rate in MATCH_RATES if wrong * rate >= MIN_PAIRS
    )
    lines = tuple(
        (
            percent(rate),
            _number(p.threshold),
            percent(float(f"{p.false:.2g}")),
            f"{100 * p.true:.1f} %",
        )
        for rate, p in points
    )
    notes = [
        f"{right:,} right and {wrong:,} wrong pairs; equal error rate "
        f"{100 * separation.equal_error():.2f} %."
    ]
    if len(points) < len(MATCH_RATES):
        rates = ", ".join(percent(rate) for rate in MATCH_RATES[len(points) :])
        notes.append(
            f"Fewer than {MIN_PAIRS} wrong pairs would pass at {rates}: too few to choose a "
            f"threshold by."
        )
    notes.append(_identification(separation))
    if separation.calibration is not None:
        known = separation.calibration
        notes.append(
            f"Link probability over the {int(known.count.sum()):,} pairs that were given one: "
            f"expected calibration error "
            f"{known.error:.3f}, Brier score {known.brier:.3f}."
        )
    return OperatingPoints(points, lines, tuple(notes))


def camera_rows(
    table: CameraTable, before: CameraTable | None, names: Mapping[int, str], measure: str = "mAP"
) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """A table of camera pairs: mAP, or its difference to the first method's.

    Args:
        table: the method's numbers.
        before: the first method's; None where the method is the first.
        names: of the cameras, by their code.
        measure: what the mAP is called.

    Returns:
        The names of the gallery's cameras, and rows of (name of a query camera, a cell each).
    """
    queries, images = _by_name(table.query, names), _by_name(table.gallery, names)
    rows = [
        (label, [_cell(table, before, a, b, measure) for b, _ in images]) for a, label in queries
    ]
    return [label for _, label in images], rows


def _cell(table: CameraTable, before: CameraTable | None, a: int, b: int, measure: str) -> Cell:
    value = float(table.mean_ap[a, b])
    if np.isnan(value):
        return Cell("", 0.0, "no query has a right image here")
    title = (
        f"{int(table.queries[a, b])} queries, {measure} {value:.3f}, rank-1 {table.rank1[a, b]:.3f}"
    )
    if before is None:
        return Cell(f"{value:.3f}", value, title)
    difference = value - float(before.mean_ap[a, b])
    return Cell(_signed(difference), float(np.clip(difference * 5, -1, 1)), title)


def _by_name(codes: Int64[np.ndarray, " n"], names: Mapping[int, str]) -> list[tuple[int, str]]:
    """(Place, name) of each camera, with the numbers in names in numerical order. A camera that is
    text and has no name given is called by its place.
    """
    shown = [
        (place, names.get(code, str(code) if code < TEXT_CODES else f"camera {place + 1}"))
        for place, code in enumerate(codes.tolist())
    ]
    return sorted(
        shown,
        key=lambda each: [
            (part.isdecimal(), int(part) if part.isdecimal() else part) for part in _parts(each[1])
        ],
    )


def _parts(name: str) -> list[str]:
    """A name split into digits and other characters: "c10" is "c", "10"."""
    return [part for part in re.split(r"(\d+)", name) if part]


def protocol_card(
    reports: Sequence[Report],
    query: Features,
    query_labels: Labels,
    gallery: Gallery,
    gallery_labels: Labels,
    *,
    more: Mapping[str, str],
    resources: Resources,
    seed: int,
) -> list[tuple[str, str]]:
    """The protocol card, (term, text): what was evaluated, by which protocol and versions.

    `more` is added at its end.
    """
    base = reports[0]
    return [
        ("Rule", str(base.protocol)),
        ("Settings", "; ".join(f"{report.method}: {report.setting}" for report in reports)),
        (
            "Queries",
            f"{len(query):,} of {_identities(query_labels)} identities; {base.queries:,} "
            f"evaluated, {base.skipped:,} skipped because they have no right image that counts",
        ),
        ("Gallery", _gallery(gallery_labels)),
        (
            "In both",
            f"{int((gallery.rows_of(query.items) >= 0).sum()):,} queries are gallery images too; "
            f"none finds itself",
        ),
        ("Cameras", _cameras(query_labels, gallery_labels)),
        ("Embeddings", f"{query.width} wide, {gallery.metric}"),
        (
            "Intervals",
            f"95 %, percentile bootstrap over identities, {RESAMPLES:,} resamples, seed 0; "
            "differences are paired, query by query",
        ),
        ("Random queries and map", f"seed {seed}"),
        (
            "Seconds",
            "wall time of the method from embeddings to the last distance, evaluation not counted; "
            "blank for a file",
        ),
        ("Threads", f"{resources.threads or torch.get_num_threads()}, device {resources.device}"),
        ("Versions", _versions()),
        *more.items(),
    ]


def _compare(base: Report, report: Report) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The cells of a method's difference to the first, and notes about it."""
    difference, (low, high) = report.difference(base)
    is_first = report.first_rank == 1
    was_first = base.first_rank == 1
    won = int((is_first & ~was_first).sum())
    lost = int((was_first & ~is_first).sum())
    rank1 = report.cmc(1) - base.cmc(1)
    measure = base.protocol.named("mAP")
    notes: list[str] = []
    if low <= 0 <= high:
        notes.append(
            f"{report.method}: the interval of its {measure} difference includes 0; these queries "
            f"do not tell it from {base.method}."
        )
    if rank1 < 0 < difference:
        notes.append(
            f"{report.method} wins {difference:.3f} {measure} and loses {-rank1:.3f} rank-1: the "
            f"first image became right for {won} queries and wrong for {lost}."
        )
    if difference < 0:
        notes.append(
            f"{report.method} is worse than {base.method}: its {measure} is {-difference:.3f} "
            f"lower."
        )
    cells = (
        _signed(difference),
        f"{_signed(low)} to {_signed(high)}",
        _signed(rank1),
        f"{won} won, {lost} lost",
    )
    return cells, tuple(notes)


def _identification(separation: Separation) -> str:
    given, mated = int(separation.unknown.sum()), int(separation.mated.sum())
    unknowns = "given" if given * max(IDENTIFICATION_RATES) >= 1 else "removed"
    count = given if unknowns == "given" else mated
    whom = (
        f"{given:,} queries whose identity is not in the gallery"
        if unknowns == "given"
        else f"no unknown queries here, so the {mated:,} known ones a second time, their right "
        f"images hidden from the ranking"
    )
    parts: list[str] = []
    for rate in IDENTIFICATION_RATES:
        if count * rate >= 1:
            point = separation.at_fpir(rate, unknowns=unknowns)
            parts.append(
                f"{100 * point.true:.1f} % at FPIR {percent(rate)} (threshold "
                f"{_number(point.threshold)})"
            )
    found = ", ".join(parts) or "too few queries"
    return f"Identification with unknowns (DIR, rank 1; {whom}): {found}."


def _identities(labels: Labels) -> str:
    return f"{len(np.unique(labels.identity[labels.role != JUNK])):,}"


def _gallery(labels: Labels) -> str:
    parts = [f"{len(labels):,} images of {_identities(labels)} identities"]
    for role, name in ((DISTRACTOR, "distractors"), (JUNK, "junk")):
        count = int((labels.role == role).sum())
        if count:
            parts.append(f"{count:,} {name}")
    return ", ".join(parts)


def _cameras(query: Labels, gallery: Labels) -> str:
    if query.camera is None or gallery.camera is None:
        return "none: nothing is removed but the query itself"
    return (
        f"{len(np.unique(query.camera))} of the queries, {len(np.unique(gallery.camera))} of "
        f"the gallery"
    )


def _versions() -> str:
    parts = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} not installed")
    return ", ".join(parts)


def _signed(value: float) -> str:
    """With its sign, a true minus, and no sign for what rounds to 0."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _share(value: float) -> str:
    """Empty where there is none."""
    return "" if math.isnan(value) else f"{value:.3f}"


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
