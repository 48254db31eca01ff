"""A paper as data: its tables and figures with the printed numbers, rows, and claims, read from a
TOML file.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from graphreid.methods import METHODS
from graphreid.methods.spec import FITTED

Numbers = Mapping[str, Mapping[str, float]]
"""From a data set (a key of SETS) and a metric (one of METRICS) to the number as printed, in
percent.
"""
Value = int | float | str
Grid = Mapping[str, tuple[Value, ...]]
Kind = Literal["table", "curve", "lists", "heatmaps", "map", "pictures"]
Needs = Literal["embeddings", "images", "images with part masks"]

MASKS: Needs = "images with part masks"
METRICS = ("mAP", "rank-1", "rank-5", "rank-10", "mINP")
SETS = {
    "market1501": "Market-1501",
    "dukemtmc-reid": "DukeMTMC-reID",
    "veri-776": "VeRi-776",
    "cuhk03-np": "CUHK03-NP",
    "msmt17": "MSMT17",
}
"""The papers' data sets, by the names under which they are imported."""


@dataclass(frozen=True)
class Row:
    """One line of a table, or one point of a curve.

    Attributes:
        name: as the table shows it.
        method: a METHOD text; "{fitted}" stands for the method that `fit` gives, so that its
            options can be changed after the fit.
        fit: the METHOD text that is fitted, or None where nothing is learned.
        grid: options of `method` that are chosen on validation identities, each with its values.
        headline: fitted with every seed; the other rows with one.
        at: the place on a curve's axis.
        axis: that axis; rows of another axis make a curve of their own.
        measure: what is measured beside the ranking, a key of `measures.MEASURES`.
        train: the embedder that is trained for the row, MODEL[:key=value,...]; None where all rows
            share given embeddings. With it, the method "parts" gets the widths of the network's
            parts.
        paper: what the paper prints.
    """

    name: str
    method: str = FITTED
    fit: str | None = None
    grid: Grid | None = None
    headline: bool = False
    at: int | float | None = None
    axis: str = ""
    measure: str | None = None
    train: str | None = None
    paper: Numbers = field(default_factory=dict[str, Mapping[str, float]])

    def missing(self) -> str | None:
        """Why the row can't run here: a method that is not installed; None where it can."""
        texts = (self.method,) if self.fit is None else (self.fit, self.method)
        names = (part.partition(":")[0] for text in texts for part in text.split("+"))
        unknown = [name for name in names if name != FITTED and name not in METHODS]
        return f"there is no method {unknown[0]!r} here" if unknown else None


@dataclass(frozen=True)
class Claim:
    """What a paper says of its table, as a comparison of two rows.

    Attributes:
        text: the claim in a sentence.
        better: the name of the row that should be better.
        worse: the name of the other row.
        metric: "mAP" or "rank-k".
        strict: `better` must be above `worse`; otherwise it must not be below.
    """

    text: str
    better: str
    worse: str
    metric: str = "mAP"
    strict: bool = True


@dataclass(frozen=True)
class Table:
    """A table or figure of a paper.

    Attributes:
        id: "paper/table3" or "paper/fig4".
        title: what it shows.
        rows: the first is what all others are compared with.
        kind: "table", "curve" (rows have `at`), "lists" (the first images of some queries, by the
            first and the last row), "heatmaps" (the edge weights of the last row's graphs), "map"
            (t-SNE of twenty identities by the first and the last row's vectors) or "pictures" (the
            parts that trained embedders find).
        columns: metrics to show.
        data: the paper's own data sets, on which our numbers can be compared with the printed ones.
        needs: what it can be made of; any data set will do.
        claims: what the paper says of it.
        axis: name of a curve's axis, where its rows name none.
        notes: what a reader should know of the paper's numbers or of our reading of them.
    """

    id: str
    title: str
    rows: tuple[Row, ...]
    kind: Kind = "table"
    columns: tuple[str, ...] = METRICS[:4]
    data: tuple[str, ...] = ()
    needs: Needs = "embeddings"
    claims: tuple[Claim, ...] = ()
    axis: str = ""
    notes: tuple[str, ...] = ()

    @property
    def paper(self) -> str:
        """The paper's name in the id."""
        return self.id.partition("/")[0]

    @property
    def source(self) -> str:
        """Where it stands in the paper: "Table 3"."""
        name = self.id.partition("/")[2]
        return name.replace("table", "Table ").replace("fig", "Fig. ")

    @property
    def trains(self) -> bool:
        """Whether its rows train embedders, from images."""
        return any(row.train is not None for row in self.rows)

    @property
    def printed_sets(self) -> tuple[str, ...]:
        """The data sets of the paper's numbers, in the order of SETS."""
        given = {name for row in self.rows for name in row.paper}
        return tuple(name for name in SETS if name in given)

    def state(self) -> str:
        """Whether it can be made here, in a few words."""
        missing = {row.name: why for row in self.rows if (why := row.missing())}
        if not missing:
            return "runs here"
        if len(missing) >= len(self.rows) - 1:
            return next(iter(missing.values()))
        return f"runs here, without {', '.join(missing)}"


def with_options(text: str, options: Mapping[str, Value]) -> str:
    """A METHOD text with options that it does not give itself (of the last method of a chain)."""
    before, plus, last = text.rpartition("+")
    name, _, given = last.partition(":")
    own = [pair for pair in given.split(",") if pair]
    known = {pair.partition("=")[0] for pair in own}
    own += [f"{key}={value}" for key, value in options.items() if key not in known]
    return f"{before}{plus}{name}{':' if own else ''}{','.join(own)}"


def read_paper(file: Path) -> list[Table]:
    """The tables of a paper's file. See docs/papers.md for how one is written.

    Raises:
        ValueError: the file is not TOML, or it has a key or the name of a row that is not known.
    """
    try:
        content = tomllib.loads(file.read_text())
        shared = _COMMON | content.get("rows", {})
        columns = content.get("columns", METRICS[:4])
        return [_table(file.stem, dict(each), shared, columns) for each in content["table"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not a paper's tables ({error}): see docs/papers.md") from None


def _table(
    paper: str, content: dict[str, Any], shared: Mapping[str, Any], columns: Sequence[str]
) -> Table:
    shown = tuple(content.pop("columns", columns))
    rows = [
        row
        for given in content.pop("rows")
        for row in (
            [_row({"name": given, **shared[given]}, columns)]
            if isinstance(given, str)
            else _rows(given, shown)
        )
    ]
    claims = tuple(Claim(**claim) for claim in content.pop("claims", ()))
    number = content.pop("id")
    rest: dict[str, Any] = {
        key: tuple(given) if isinstance(given, list) else given for key, given in content.items()
    }
    return Table(id=f"{paper}/{number}", rows=tuple(rows), columns=shown, claims=claims, **rest)


def _rows(content: Mapping[str, Any], columns: tuple[str, ...]) -> Iterator[Row]:
    """The row of an object; or a row for each of its `values`, which take the place of {value}."""
    if "values" not in content:
        yield _row(content, columns)
        return
    rest = {key: given for key, given in content.items() if key not in ("values", "printed")}
    for value in content["values"]:
        filled = {
            key: given.replace("{value}", f"{value:g}") if isinstance(given, str) else given
            for key, given in rest.items()
        }
        row = _row(filled | content.get("printed", {}).get(f"{value:g}", {}), columns)
        yield replace(row, at=value)


def _row(content: Mapping[str, Any], columns: Sequence[str]) -> Row:
    fields = {key: given for key, given in content.items() if key not in SETS}
    if "grid" in fields:
        fields["grid"] = {key: tuple(values) for key, values in fields["grid"].items()}
    # a row that tables share may have more numbers than one of them has columns
    paper = {
        name: dict(zip(columns, content[name], strict=False)) for name in SETS if name in content
    }
    return Row(**fields, paper=paper)


_HERE = Path(__file__).parent
_COMMON: Mapping[str, Any] = tomllib.loads((_HERE / "common.toml").read_text())["rows"]
PAPERS = ("cagcn", "fa-ec-gcn", "ffgnn", "hrnet", "icg")
TABLES: dict[str, Table] = {
    table.id: table for name in PAPERS for table in read_paper(_HERE / f"{name}.toml")
}
"""Every table and figure of the papers that can be made, by id; diagrams are left out."""


def select(names: tuple[str, ...]) -> list[Table]:
    """The tables of ids, and of papers ("cagcn" is all of its tables).

    Raises:
        ValueError: an unknown id, or a table whose methods are not installed.
    """
    chosen: dict[str, Table] = {}
    for name in names:
        found = [table for table in TABLES.values() if name in (table.id, table.paper)]
        if not found:
            raise ValueError(
                f"{name!r} is no table or figure: 'graphreid papers list' shows all {len(TABLES)}"
            )
        able = [table for table in found if table.state().startswith("runs here")]
        if not able:
            raise ValueError(f"{name} can't be made here: {found[0].state()}")
        chosen |= {table.id: table for table in able}
    return list(chosen.values())
