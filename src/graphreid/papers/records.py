"""Run records: one JSON file a run, with all that is needed to judge its numbers, and each query's
result to compute others.

A record is named by its "key", a hash of what determines it: configuration, data and the sources of
the code used. The queries'
APs are rounded to 1e-6. Every number that a table shows is made from records, so it does not matter
when they were made.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphreid.atomic_files import whole_file
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.protocol import Protocol
from graphreid.metrics.report import Report
from graphreid.papers.recipe import FITTED, with_options

FORMAT = 1
Record = dict[str, Any]

_NUMBER, _OPTIONAL_NUMBER = (int, float), (int, float, None)
_PART = {"digest": str, "images": int, "identities": int, "junk": int, "seen": _OPTIONAL_NUMBER}
SCHEMA: dict[str, Any] = {
    "format": int,
    "key": str,
    "made": str,
    "configuration": {
        "method": str,
        "fit": (str, None),
        "fields": dict,
        "fit_fields": (dict, None),
        "grid": (dict, None),
        "chosen": (dict, None),
    },
    "code": {"version": str, "sources": str, "commit": (str, None), "dirty": (bool, None)},
    "data": {
        "name": str,
        "parts": {"query": _PART, "gallery": _PART, "fit?": _PART, "validation?": _PART},
    },
    "embeddings": (dict, None),
    "environment": {
        "python": str,
        "torch": str,
        "numpy": str,
        "system": str,
        "processor": str,
        "cores": int,
        "threads": int,
        "device": str,
    },
    "protocol": {
        "rule": str,
        "rule_fields": {"camera": str, "ap": str, "denominator": str, "distractor": (int, None)},
        "setting": str,
        "queries": int,
        "skipped": int,
        "gallery": int,
    },
    "seed": (int, None),
    "metrics": {
        "mAP": _NUMBER,
        "mAP_interval": list,
        "mINP": _NUMBER,
        "cmc": {"1": _NUMBER, "5": _NUMBER, "10": _NUMBER},
    },
    "measured": dict,
    "validation": ({"mAP": _NUMBER, "cosine": _NUMBER}, None),
    "learned": dict,
    "cost": {
        "fit_seconds": _OPTIONAL_NUMBER,
        "fit_peak_mb": _OPTIONAL_NUMBER,
        "rank_seconds": _NUMBER,
        "peak_mb": _NUMBER,
    },
    "queries": {"identity": list, "ap": list, "first_rank": list},
}
"""What a record holds: types by key; "?" ends a key that may be missing, and a tuple lists what is
allowed.

Under "queries" stands a value a query, in the order of the query file: `identity` numbers the
identities from 0 in the order of their codes, `ap` is in [0, 1] and null without a positive,
`first_rank` is the 1-based rank of the first positive, or 0. Metrics are shares in [0, 1].
`learned` are the facts (no tensors) that a fitted method keeps, `chosen` the options chosen on
validation identities, and `validation` the mAP there of the method as it was judged, beside
cosine's.
"""


def key_of(plan: Mapping[str, Any]) -> str:
    """The name of a record: a hash of what determines it."""
    text = json.dumps(plan, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def check(content: Any, where: str, schema: Any = SCHEMA) -> None:
    """Refuse what is no record.

    Raises:
        ValueError: what is missing, unknown or of another type, and where.
    """
    if isinstance(schema, dict):
        if not isinstance(content, dict):
            raise ValueError(f"{where}: not a record: an object is expected")
        known: dict[str, Any] = {key.removesuffix("?"): value for key, value in schema.items()}  # pyright: ignore[reportUnknownVariableType]
        needed = {key for key in schema if not key.endswith("?")}  # pyright: ignore[reportUnknownVariableType]
        given = set(content)  # pyright: ignore[reportUnknownVariableType]
        for name in sorted(needed - given) + sorted(given - set(known)):
            raise ValueError(
                f"{where}: not a record: {name} is {'missing' if name in known else 'not known'}"
            )
        for name, value in content.items():  # pyright: ignore[reportUnknownVariableType]
            check(value, f"{where}: {name}", known[name])
        return
    allowed = schema if isinstance(schema, tuple) else (schema,)
    for kind in allowed:  # pyright: ignore[reportUnknownVariableType]
        if kind is None and content is None:
            return
        if isinstance(kind, dict) and isinstance(content, dict):
            check(content, where, kind)
            return
        if (
            isinstance(kind, type)
            and isinstance(content, kind)
            and not (isinstance(content, bool) and kind is not bool)
        ):
            return
    raise ValueError(f"{where}: not a record: {content!r:.40} is of the wrong type")


def describe(record: Record) -> str:
    """The METHOD text of a record, with what was fitted and chosen in it."""
    given = record["configuration"]
    text = (
        given["method"]
        if given["fit"] is None
        else given["method"].replace(FITTED, f"[{given['fit']}]")
    )
    return text if given["chosen"] is None else with_options(text, given["chosen"]["options"])


def queries(report: Report) -> dict[str, list[Any]]:
    """Each query's results, compact."""
    _, identity = np.unique(report.identity, return_inverse=True)
    ap = [None if math.isnan(value) else round(value, 6) for value in report.ap.tolist()]
    return {
        "identity": identity.reshape(-1).tolist(),
        "ap": ap,
        "first_rank": report.first_rank.tolist(),
    }


def report_of(record: Record, metric: str = "mAP") -> Report:
    """The report of a record, without galleries' order: its AP, interval and differences.

    Args:
        record: the record.
        metric: "mAP"; or "rank-k": then each query's AP is replaced by whether its first positive
            is among the first k, so that `mean_ap`, `interval` and `difference` speak of rank-k.

    Raises:
        ValueError: another metric.
    """
    content = record["queries"]
    ap = np.array([math.nan if value is None else value for value in content["ap"]], np.float64)
    first_rank = np.array(content["first_rank"], np.int64)
    if metric != "mAP":
        name, _, k = metric.partition("-")
        if name != "rank" or not k.isdecimal() or int(k) < 1:
            raise ValueError(f"metric is {metric!r}: choose mAP or rank-k")
        ap = np.where(np.isnan(ap), math.nan, (first_rank <= int(k)).astype(np.float64))
    return Report(
        method=describe(record),
        setting=record["protocol"]["setting"],
        protocol=Protocol(**record["protocol"]["rule_fields"]),
        identity=np.array(content["identity"], np.int64),
        values={AveragePrecision(): ap},
        first_rank=first_rank,
        positives=(~np.isnan(ap)).astype(np.int64),
        seconds=float(record["cost"]["rank_seconds"]),
    )


def averaged(records: Sequence[Record], metric: str = "mAP") -> Report:
    """The mean over seeds of each query's result, as a report (see `report_of`)."""
    reports = [report_of(record, metric) for record in records]
    values: list[NDArray[np.float64]] = [report.ap for report in reports]
    first = reports[0]
    return Report(
        method=first.method,
        setting=first.setting,
        protocol=first.protocol,
        identity=first.identity,
        values={AveragePrecision(): np.mean(values, axis=0)},
        first_rank=first.first_rank,
        positives=first.positives,
    )


def same_queries(one: Record, other: Record) -> bool:
    """Whether two records judged the same queries on the same gallery by the same rule, and so can
    be compared by pairs.
    """
    return all(
        one["data"]["parts"][part]["digest"] == other["data"]["parts"][part]["digest"]
        for part in ("query", "gallery")
    ) and (one["protocol"]["rule_fields"] == other["protocol"]["rule_fields"])


def write_record(folder: Path, record: Record) -> Path:
    """Write FOLDER/<key>.json, whole or not at all.

    Raises:
        ValueError: not a record, or the folder can't be written.
    """
    check(record, record.get("key", "record"))
    head = {name: value for name, value in record.items() if name != "queries"}
    lines = [
        f'  "{name}": {json.dumps(values, separators=(",", ":"))}'
        for name, values in record["queries"].items()
    ]
    text = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    file = folder / f"{record['key']}.json"
    with whole_file(file) as temporary:
        temporary.write_text(text + ',\n "queries": {\n' + ",\n".join(lines) + "\n }\n}\n")
    return file


def read_record(file: Path) -> Record:
    """The record in a file.

    Raises:
        ValueError: no such file, not JSON, not a record, or of a newer format.
    """
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a record ({error})") from None
    if (
        isinstance(content, dict)
        and isinstance(content.get("format"), int)
        and content["format"] > FORMAT
    ):
        raise ValueError(
            f"{file}: format {content['format']} is newer than this package reads: update graphreid"
        )
    if isinstance(content, dict) and "probes" in content:  # files of before
        content["queries"] = content.pop("probes")
    check(content, str(file))
    return content


def read_records(folder: Path) -> list[Record]:
    """All records in a folder, or in folders named "records" below it, oldest first.

    Raises:
        ValueError: no folder, or none in it.
    """
    files = (
        sorted(folder.glob("*.json"))
        if folder.name == "records"
        else sorted(folder.rglob("records/*.json"))
    )
    if not files:
        raise ValueError(
            f"{folder}: no run records: 'graphreid reproduce' writes them to OUT/records"
        )
    return sorted(map(read_record, files), key=lambda record: (record["made"], record["key"]))
