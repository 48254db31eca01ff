"""The columns of a store of results: four Parquet files in a folder."""

from typing import Any

import pyarrow as pa

FORMAT = 1
_META = {"graphreid": str(FORMAT)}


def _struct(**fields: Any) -> Any:
    return pa.struct(list(fields.items()))


_TEXT, _NUMBER, _COUNT, _YES = pa.string(), pa.float64(), pa.int32(), pa.bool_()
_NAMED = pa.map_(_TEXT, _NUMBER)
_SET = _struct(digest=_TEXT, images=_COUNT, identities=_COUNT, junk=_COUNT, seen=_NUMBER)

RUNS = pa.schema(
    {
        "key": _TEXT,
        "made": pa.timestamp("s", "UTC"),
        "data": _TEXT,
        # what determines the numbers: see Plan
        "method": _TEXT,
        "versions": pa.list_(_COUNT),
        "fit": _TEXT,
        "grid": _TEXT,
        "sets": _struct(query=_SET, gallery=_SET, fit=_SET, validation=_SET),
        "protocol": _struct(camera=_TEXT, ap=_TEXT, denominator=_TEXT, distractor=_COUNT),
        "setting": _TEXT,
        "seed": _COUNT,
        # what came of it; metrics are shares in [0, 1]
        "queries": _COUNT,
        "skipped": _COUNT,
        "metrics": _NAMED,
        "measured": _NAMED,
        "validation": _struct(mAP=_NUMBER, input=_NUMBER),
        "chosen": _struct(options=_TEXT, mAP=_NUMBER, tried=_COUNT),
        "learned": _TEXT,
        "cost": _struct(
            fit_seconds=_NUMBER, fit_peak_mb=_NUMBER, rank_seconds=_NUMBER, peak_mb=_NUMBER
        ),
        # on what, and by which code
        "embeddings": _TEXT,
        "environment": _struct(
            python=_TEXT,
            torch=_TEXT,
            numpy=_TEXT,
            system=_TEXT,
            processor=_TEXT,
            cores=_COUNT,
            threads=_COUNT,
            device=_TEXT,
        ),
        "code": _struct(version=_TEXT, sources=_TEXT, commit=_TEXT, dirty=_YES),
    },
    metadata=_META,
)
"""A row a run. `validation` is the mAP on validation identities of the method as it was evaluated,
beside that of its input's own order; `chosen` the best options of `grid` there; `learned`, `grid`
and `embeddings` (what made them, where it is known) are JSON."""

QUERIES = pa.schema(
    {"run": _TEXT, "query": _COUNT, "ap": pa.float32(), "first_rank": _COUNT}, metadata=_META
)
"""A row a run and query (its place in the query file): AP, rounded to 1e-6, null without a
positive; the 1-based rank of the first positive, or 0."""

SETS = pa.schema({"data": _TEXT, "query": _COUNT, "identity": _COUNT}, metadata=_META)
"""The identity of each query of a query file, by its digest: numbered from 0 in their codes'
order.
"""

_SHOWN = _struct(
    method=_TEXT,
    ap=_NUMBER,
    entries=pa.list_(_struct(item=_TEXT, mark=_TEXT, rank=_COUNT)),
)
TABLES = pa.schema(
    {
        "data": _TEXT,
        "table": _TEXT,
        "command": _TEXT,
        "rows": pa.list_(_struct(name=_TEXT, runs=pa.list_(_TEXT), missing=_TEXT)),
        "notes": pa.list_(_TEXT),
        "figure": _TEXT,
        "lists": pa.list_(_struct(kind=_TEXT, query=_TEXT, shown=pa.list_(_SHOWN))),
    },
    metadata=_META,
)
"""A row a table made on a data set: its rows' runs, one a seed; notes and the figure's file name;
and the ranked lists of a table of kind "lists"."""

FILES = {"runs": RUNS, "queries": QUERIES, "sets": SETS, "tables": TABLES}
