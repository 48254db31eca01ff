"""A benchmark's record: what was measured, on what, and how far it is from what the machine could
do at best.
"""

import json
import math
from pathlib import Path
from typing import Any

from graphreid.atomic_files import whole_file

VERSION = 1

SCHEMA: dict[str, Any] = {
    "version": int,
    "shape": {"name": str, "queries": int, "gallery": int, "width": int, "seed": int},
    "code": {"version": str, "sources": str, "commit": (str, None), "dirty": (bool, None)},
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
    "load": float,
    "memory_limit": (int, None),
    "rates": {"float32": float, "bfloat16": float, "bandwidth": float},
    "yardstick": {"median": float, "runs": [float], "rows": int},
    "methods": [
        {
            "method": str,
            "setting": str,
            "seconds": float,
            "runs": [float],
            "cold": float,
            "stages": {str: float},
            "evaluation": float,
            "peak_mb": float,
            "floor": float,
            "to_floor": float,
            "to_yardstick": float,
            "metrics": {str: float},
        }
    ],
}
"""Seconds are wall time; `rates` are 10^12 operations a second of square products, and 10^9 bytes a
second of memory.

load: the system's load average when the record was begun; well above 0 means that others used the
machine.
yardstick: exact float32 top-100 of the whole set by blocked products and `torch.topk`; `rows`: how
    many rows were timed, and scaled to all. A method's `to_yardstick` is seconds / yardstick.
seconds: the median of `runs`, from embeddings to the last distance; `cold` is the process's first
call, which they leave out.
stages: seconds of one run, by what the work says it is; "rest" is what lies between.
evaluation: seconds that counting the distances took beside.
peak_mb: highest memory of the method's own process, less what it had after imports; read from the
system.
floor: seconds of the method's products at the measured rates; to_floor is seconds / floor.
"""


def check(record: Any) -> None:
    """Raises ValueError where a record is not as SCHEMA says, or a number is not finite, and says
    where.
    """
    _check(record, SCHEMA, "record")
    if record["version"] != VERSION:
        raise ValueError(f"record.version is {record['version']}: {VERSION} is known")


def _check(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object")
        if str in schema:
            for key, inner in value.items():
                _check(inner, schema[str], f"{where}.{key}")
            return
        if set(value) != set(schema):
            differ = ", ".join(sorted(map(str, set(value) ^ set(schema))))
            raise ValueError(f"{where} lacks or has too much: {differ}")
        for key, inner in schema.items():
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        if not isinstance(value, list) or not value:
            raise ValueError(f"{where} must be a list that is not empty")
        for place, inner in enumerate(value):
            _check(inner, schema[0], f"{where}[{place}]")
    elif isinstance(schema, tuple):
        if value is not None:
            _check(value, schema[0], where)
    elif schema is float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{where} is {value!r}: it must be a finite number")
    elif not isinstance(value, schema) or (schema is int and isinstance(value, bool)):
        raise ValueError(f"{where} is {value!r}: it must be {schema.__name__}")


def read(path: Path) -> dict[str, Any]:
    """A record that was checked.

    Raises:
        ValueError: not a record.
    """
    try:
        record = json.loads(path.read_text())
        check(record)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return record


def table(records: list[dict[str, Any]]) -> str:
    """Records as Markdown."""
    lines: list[str] = []
    for record in records:
        shape, environment, rates = record["shape"], record["environment"], record["rates"]
        lines += [
            f"## {shape['name']}: {shape['queries']:,} queries, {shape['gallery']:,} gallery "
            f"images, width {shape['width']:,}",
            "",
            f"{environment['processor']}, {environment['threads']} threads; torch "
            f"{environment['torch']}; products "
            f"{rates['float32']:.2f} (float32) and {rates['bfloat16']:.2f} (bfloat16) x 10^12 "
            f"operations a second, memory "
            f"{rates['bandwidth']:.0f} GB/s; yardstick {record['yardstick']['median']:.2f} s; load "
            f"at the start "
            f"{record['load']:.1f}.",
            "",
            "| method | setting | seconds | first call | / yardstick | floor | / floor | peak MB | "
            "evaluation | stages "
            "| mAP | rank-1 |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
        ]
        for row in record["methods"]:
            stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in row["stages"].items())
            metrics = [
                f"{row['metrics'][name]:.4f}" if name in row["metrics"] else ""
                for name in ("mAP", "rank-1")
            ]
            lines.append(
                f"| {row['method']} | {row['setting']} | {row['seconds']:.3g} | {row['cold']:.3g} "
                f"| "
                f"{row['to_yardstick']:.3f} | {row['floor']:.3g} | {row['to_floor']:.2f} | "
                f"{row['peak_mb']:.0f} | "
                f"{row['evaluation']:.3f} | {stages} | {' | '.join(metrics)} |"
            )
        lines.append("")
    return "\n".join(lines)


def write(made: dict[str, Any], file: Path) -> None:
    """Write a record, whole or not at all."""
    with whole_file(file) as temporary:
        temporary.write_text(json.dumps(made, indent=1) + "\n")
