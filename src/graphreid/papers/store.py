"""The store of results: runs, each query's result, the data sets' identities, and which runs a
table shows.

A folder with four Parquet files, whose columns `schema` explains. A run's key is a hash of
what determines its numbers (see `Plan`); environment, cost and the digest of the sources stand
beside it, so that a rename in the sources makes no run stale. A method's `version` is raised when
its numbers change.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64

from graphreid.atomic_files import whole_file
from graphreid.papers.schema import FILES, FORMAT, QUERIES, RUNS, SETS, TABLES


@dataclass(frozen=True)
class Plan:
    """What determines a run's numbers.

    Attributes:
        method: METHOD text with all options, as it is applied (options of `grid` as it starts).
        versions: of the methods in it.
        fit: METHOD text with all options of what is fitted, or None.
        grid: JSON of the options chosen on validation identities, or None.
        digests: of the query and gallery files, and of fit and validation where they are used.
        protocol: which gallery images count, and how.
        setting: what the method may see of the other queries.
        seed: of the fit, or of the embedder where the row trains one.
    """

    method: str
    versions: list[int]
    fit: str | None
    grid: str | None
    digests: Mapping[str, str]
    protocol: Mapping[str, Any]
    setting: str
    seed: int | None

    def key(self) -> str:
        """The run's key."""
        return key_of(asdict(self))


def key_of(content: Mapping[str, Any]) -> str:
    """A hash of an object, as 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, eq=False)
class Run:
    """A run: the columns of `RUNS` by name, and its queries.

    Attributes:
        columns: the row of the runs' table.
        identity: int64 [q], of each query, numbered from 0.
        ap: float64 [q] in [0, 1], rounded to 1e-6; NaN without a positive.
        first_rank: int64 [q], 1-based; 0 without a positive.
    """

    columns: Mapping[str, Any]
    identity: Int64[np.ndarray, " q"]
    ap: Float64[np.ndarray, " q"]
    first_rank: Int64[np.ndarray, " q"]

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    @property
    def key(self) -> str:
        """The run's key."""
        return self.columns["key"]

    @property
    def query_digest(self) -> str:
        """The digest of the query file."""
        return self.columns["sets"]["query"]["digest"]

    def plan(self) -> Plan:
        """What determined the run's numbers."""
        names = ("method", "versions", "fit", "grid", "protocol", "setting", "seed")
        digests = {name: each["digest"] for name, each in self["sets"].items() if each is not None}
        return Plan(digests=digests, **{name: self[name] for name in names})


@dataclass(frozen=True)
class Made:
    """A table made on a data set: a row of `TABLES`."""

    data: str
    table: str
    command: str
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list[str])
    figure: str | None = None
    lists: list[dict[str, Any]] | None = None

    def shown(self) -> set[str]:
        """The keys of the runs that it shows."""
        return {key for row in self.rows for key in row["runs"]}


@dataclass(eq=False)
class Store:
    """What a folder of results holds.

    Attributes:
        folder: where it is.
        runs: by key, oldest first.
        made: the tables, by data set and id.
    """

    folder: Path
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    made: dict[tuple[str, str], Made] = field(default_factory=dict[tuple[str, str], Made])

    @classmethod
    def read(cls, folder: Path, *, empty: bool = False) -> "Store":
        """The store in a folder.

        Args:
            folder: where it is.
            empty: whether a folder without one is an empty store.

        Raises:
            ValueError: there is none, a file is missing or damaged, or it is of another format.
        """
        missing = [name for name in FILES if not (folder / f"{name}.parquet").is_file()]
        if len(missing) == len(FILES) and empty:
            return cls(folder)
        if missing:
            raise ValueError(
                f"{folder}: no {missing[0]}.parquet: 'graphreid papers reproduce' writes results"
            )
        tables = {name: _read(folder / f"{name}.parquet", FILES[name]) for name in FILES}
        store = cls(folder)
        results = _by(tables["queries"], "run")
        identities = _by(tables["sets"], "data")
        for row in tables["runs"].to_pylist():
            for name in ("metrics", "measured"):
                row[name] = dict(row[name])
            store.runs[row["key"]] = Run(
                row,
                identities[row["sets"]["query"]["digest"]]["identity"].astype(np.int64),
                np.round(results[row["key"]]["ap"].astype(np.float64), 6),
                results[row["key"]]["first_rank"].astype(np.int64),
            )
        for row in tables["tables"].to_pylist():
            store.made[row["data"], row["table"]] = Made(**row)
        return store

    def put(self, made: Made) -> None:
        """Take a table in; runs that its former version had, and no table has now, are dropped."""
        former = self.made.get((made.data, made.table))
        self.made[made.data, made.table] = made
        used = {key for each in self.made.values() for key in each.shown()}
        for key in (set() if former is None else former.shown()) - used:
            self.runs.pop(key, None)

    def rewrite(self, written: Callable[[str], str]) -> None:
        """Write the METHOD texts of all runs anew, after an option came or got another name.

        Args:
            written: from a METHOD text of the store to the one that means the same today.
        """
        today: dict[str, str] = {}
        for run in list(self.runs.values()):
            texts = {
                name: None if run[name] is None else written(run[name])
                for name in ("method", "fit")
            }
            changed = replace(run, columns={**run.columns, **texts})
            today[run.key] = changed.plan().key()
            del self.runs[run.key]
            self.runs[today[run.key]] = replace(
                changed, columns={**changed.columns, "key": today[run.key]}
            )
        for made in self.made.values():
            for row in made.rows:
                row["runs"] = [today[key] for key in row["runs"]]

    def write(self) -> None:
        """Write the four files, whole or not at all.

        Raises:
            ValueError: the folder can't be written, or a run does not fit the schema.
        """
        runs = sorted(self.runs.values(), key=lambda run: (run["made"], run.key))
        tables = {
            "runs": _rows((dict(run.columns) for run in runs), RUNS),
            "queries": _queries(runs),
            "sets": _sets(runs),
            "tables": _rows((vars(self.made[place]) for place in sorted(self.made)), TABLES),
        }
        with ExitStack() as files:
            for name, table in tables.items():
                temporary = files.enter_context(whole_file(self.folder / f"{name}.parquet"))
                # floats of many values are smaller without a dictionary
                indexed = [each for each in table.column_names if each not in ("ap", "first_rank")]
                pq.write_table(
                    table,
                    temporary,
                    compression="zstd",
                    compression_level=19,
                    use_dictionary=indexed,  # pyright: ignore[reportArgumentType]  # names of columns will do
                    row_group_size=2**23,
                    data_page_size=2**23,
                )

    def find(self, key: str) -> Run:
        """The run whose key begins so.

        Raises:
            ValueError: there is none, or more than one.
        """
        found = [run for run in self.runs.values() if run.key.startswith(key)]
        if len(found) != 1:
            keys = ", ".join(run.key for run in found) if found else "none"
            raise ValueError(
                f"{self.folder}: {key!r} begins the keys of {len(found)} runs ({keys}): give one"
                " that is there once"
            )
        return found[0]


@contextmanager
def updated(folder: Path) -> Generator[Store]:
    """The store in a folder, made where there is none, and written at the end; one writer at a
    time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        store = Store.read(folder, empty=True)
        yield store
        store.write()
    finally:
        os.close(handle)


def _read(file: Path, schema: Any) -> Any:  # Arrow's types: pyarrow ships none
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: not a readable Parquet file ({error})") from None
    given = int((table.schema.metadata or {}).get(b"graphreid", b"0"))
    if given > FORMAT:
        raise ValueError(
            f"{file}: format {given} is newer than this package reads: update graphreid"
        )
    try:
        return table.cast(schema)  # Parquet names the entries of lists and maps in its own way
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{file}: not results of this package ({error})") from None


def _by(table: Any, name: str) -> dict[str, dict[str, np.ndarray]]:
    """The other columns of the rows of each value of a column, in the order of column "query"."""
    codes = table[name].combine_chunks().dictionary_encode()
    place = codes.indices.to_numpy()
    order = np.lexsort((table["query"].to_numpy(), place))
    ends = np.cumsum(np.bincount(place, minlength=len(codes.dictionary)))
    columns = {
        each: table[each].to_numpy(zero_copy_only=False)[order]
        for each in table.column_names
        if each not in (name, "query")
    }
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    return {
        value: {each: values[start:end] for each, values in columns.items()}
        for value, start, end in zip(codes.dictionary.to_pylist(), starts, ends, strict=True)
    }


def _rows(rows: Iterable[Mapping[str, Any]], schema: Any) -> Any:
    maps = {field.name for field in schema if pa.types.is_map(field.type)}
    listed: list[dict[str, Any]] = []
    for row in rows:
        if set(row) != set(schema.names):
            names = ", ".join(sorted(set(row) ^ set(schema.names)))
            raise ValueError(f"not as the schema: {names} is missing or not known")
        # Arrow takes a map as pairs
        listed.append(
            {key: list(value.items()) if key in maps else value for key, value in row.items()}
        )
    try:
        return pa.Table.from_pylist(listed, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"not as the schema: {error}") from None


def _queries(runs: list[Run]) -> Any:
    """The queries' results, ordered by query: the runs' results of one query are much alike."""
    if not runs:
        return QUERIES.empty_table()
    place = np.concatenate([np.full(len(run.ap), number) for number, run in enumerate(runs)])
    query = np.concatenate([np.arange(len(run.ap)) for run in runs])
    digests = {run.query_digest: None for run in runs}
    sets = {digest: number for number, digest in enumerate(digests)}
    of_set = np.concatenate([np.full(len(run.ap), sets[run.query_digest]) for run in runs])
    order = np.lexsort((place, query, of_set))
    ap = np.concatenate([run.ap for run in runs])[order]
    keys = pa.DictionaryArray.from_arrays(pa.array(place[order]), [run.key for run in runs])
    return pa.Table.from_arrays(
        [
            keys.cast(pa.string()),
            pa.array(query[order], pa.int32()),
            pa.array(ap, pa.float32(), mask=np.isnan(ap)),
            pa.array(np.concatenate([run.first_rank for run in runs])[order], pa.int32()),
        ],
        schema=QUERIES,
    )


def _sets(runs: list[Run]) -> Any:
    identities = {run.query_digest: run.identity for run in runs}
    rows = [
        pa.Table.from_arrays(
            [
                pa.array([digest] * len(identity), pa.string()),
                pa.array(np.arange(len(identity)), pa.int32()),
                pa.array(identity, pa.int32()),
            ],
            schema=SETS,
        )
        for digest, identity in identities.items()
    ]
    return pa.concat_tables([SETS.empty_table(), *rows])
