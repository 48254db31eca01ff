"""What a recipe is: a paper's table or figure as literal data, its own numbers beside the METHOD
texts that make ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from graphreid.methods import METHODS
from graphreid.protocols import Reranker
from graphreid.types import Features, Labels

Numbers = Mapping[str, Mapping[str, float]]
"""From a data set (a key of SETS) and a metric (one of METRICS) to the number as printed, in
percent.
"""
Value = int | float | str
Grid = Mapping[str, tuple[Value, ...]]
Measure = Callable[[Reranker, tuple[Features, Labels], tuple[Features, Labels]], float]
"""From a method, the queries and the gallery to a number of its own, such as the recall of a
sampler.
"""
Look = Callable[[Path, Path], Mapping[str, float]]
"""From the folder of an embedder's run and the data folder to numbers of its own, by the names of
their columns.
"""

FITTED = "{fitted}"
METRICS = ("mAP", "rank-1", "rank-5", "rank-10", "mINP")
SETS = {
    "market1501": "Market-1501",
    "dukemtmc-reid": "DukeMTMC-reID",
    "veri-776": "VeRi-776",
    "cuhk03-np": "CUHK03-NP",
    "msmt17": "MSMT17",
}
"""The papers' sets, by the names under which they are imported."""


Kind = Literal["table", "curve", "lists", "heatmaps", "map", "pictures"]


@dataclass(frozen=True)
class Row:
    """One line of a table, or one point of a curve.

    Attributes:
        name: as the table shows it.
        method: a METHOD text; "{fitted}" stands for the file that `fit` gives, so that its options
            can be changed afterwards.
        fit: the METHOD text that is fitted, or None where nothing is learned.
        grid: options of `method` that are chosen on validation identities, each with its values.
        headline: fitted with every seed; the others with one.
        at: the place on a curve's axis. axis: that axis; rows of another axis make a curve of their
            own.
        measure: what to measure of the method beside its ranking; its name is the column's.
        train: the embedder that is trained for the row, MODEL[:key=value,...]; None where all rows
            share given embeddings. With it, the method "parts" gets the widths of the network's
            blocks.
        look: what to measure of that embedder.
        paper: what the paper prints.
    """

    name: str
    method: str = FITTED
    fit: str | None = None
    grid: Grid | None = None
    headline: bool = False
    at: int | float | None = None
    axis: str = ""
    measure: Measure | None = None
    train: str | None = None
    look: Look | None = None
    paper: Numbers = field(default_factory=dict[str, Mapping[str, float]])

    def texts(self) -> tuple[str, ...]:
        """The METHOD texts that must be known for the row to run."""
        return (self.method,) if self.fit is None else (self.fit, self.method)


@dataclass(frozen=True)
class Claim:
    """What a paper says of its table, as a comparison of two rows.

    Attributes:
        text: the claim in a sentence.
        better, worse: names of rows.
        metric: "mAP" or "rank-k".
        strict: `better` must be above; otherwise it must not be below.
    """

    text: str
    better: str
    worse: str
    metric: str = "mAP"
    strict: bool = True


@dataclass(frozen=True)
class Recipe:
    """A table or figure of a paper.

    Attributes:
        id: "paper/table3", as in `coverage.COVERAGE`.
        source: where it stands in the paper.
        title: what it shows.
        rows: the first is what all others are compared with.
        kind: "table", "curve" (rows have `at`), "lists" (the first images of some queries, by the
            first and the last row), "heatmaps" (what images and pairs hear in the last row's
            graphs), "map" (t-SNE of twenty identities, by the first row's vectors and by the last
            row's) or "pictures" (what trained embedders see, see `part_figures`).
        columns: metrics to show.
        claims: what the paper says of it.
        axis: name of a curve's axis, where its rows name none.
        notes: what a reader should know of the paper's numbers or of our reading.
    """

    id: str
    source: str
    title: str
    rows: tuple[Row, ...]
    kind: Kind = "table"
    columns: tuple[str, ...] = ("mAP", "rank-1", "rank-5", "rank-10")
    claims: tuple[Claim, ...] = ()
    axis: str = ""
    notes: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether its rows train embedders, from images."""
        return any(row.train is not None for row in self.rows)

    def paper_sets(self) -> tuple[str, ...]:
        """The sets of the paper's numbers, in the order of SETS."""
        given = {name for row in self.rows for name in row.paper}
        return tuple(name for name in SETS if name in given)


def with_options(text: str, options: Mapping[str, Value]) -> str:
    """A METHOD text with options that it does not give itself (of the last method, in a chain)."""
    before, plus, last = text.rpartition("+")
    name, _, given = last.partition(":")
    own = [pair for pair in given.split(",") if pair]
    known = {pair.partition("=")[0] for pair in own}
    own += [f"{key}={value}" for key, value in options.items() if key not in known]
    return f"{before}{plus}{name}{':' if own else ''}{','.join(own)}"


def absent(row: Row) -> str | None:
    """Why this version can't run a row, or None where it can."""
    names = (part.partition(":")[0] for text in row.texts() for part in text.split("+"))
    return next(
        (
            f"{name} is not in this version"
            for name in names
            if name != FITTED and name not in METHODS
        ),
        None,
    )
