"""A benchmark's record: what was measured, on what, and how far it is from what the machine could
do at best.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, ValidationError

from graphreid.atomic_files import whole_file

VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Shape(_Strict):
    """The drawn embeddings."""

    name: str
    queries: int
    gallery: int
    width: int
    seed: int


class Code(_Strict):
    """Which sources ran."""

    version: str
    sources: str
    commit: str | None
    dirty: bool | None


class Environment(_Strict):
    """On which machine, with which libraries."""

    python: str
    torch: str
    numpy: str
    system: str
    processor: str
    cores: int
    threads: int
    device: str


class Rates(_Strict):
    """What the machine can do: 10^12 operations a second of square products, by type of number, and
    10^9 bytes a second of memory.
    """

    float32: float
    bfloat16: float
    bandwidth: float


class Yardstick(_Strict):
    """Exact float32 top-100 of the whole set by blocked products and `torch.topk`, in seconds;
    `rows`: how many rows were timed, and scaled to all.
    """

    median: float
    runs: Annotated[list[float], MinLen(1)]
    rows: int


class Method(_Strict):
    """One method's run.

    Attributes:
        seconds: the median of `runs`, from embeddings to the last distance.
        cold: the process's first call, which `runs` leave out.
        stages: seconds of one run, by what the work says it is; "rest" is what lies between.
        evaluation: seconds that counting the distances took beside.
        peak_mb: highest memory of the method's own process, less what it had after imports; read
            from the system.
        floor: seconds of the method's products at the measured rates; to_floor is seconds / floor.
        to_yardstick: seconds / yardstick.
    """

    method: str
    setting: str
    seconds: float
    runs: Annotated[list[float], MinLen(1)]
    cold: float
    stages: dict[str, float]
    evaluation: float
    peak_mb: float
    floor: float
    to_floor: float
    to_yardstick: float
    metrics: dict[str, float]


class Record(_Strict):
    """A benchmark's record. Seconds are wall time.

    Attributes:
        load: the system's load average when the record was begun; well above 0 means that others
            used the machine.
    """

    version: Literal[1]
    shape: Shape
    code: Code
    environment: Environment
    load: float
    memory_limit: int | None
    rates: Rates
    yardstick: Yardstick
    methods: Annotated[list[Method], MinLen(1)]


def check(record: Any) -> None:
    """Raises ValueError where a record is not as `Record` says, or a number is not finite, and says
    where.
    """
    try:
        Record.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("record", *first["loc"])))
        raise ValueError(f"{place}: {first['msg']}") from None


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
