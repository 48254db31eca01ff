"""Time and memory of methods on generated embeddings, each in a process of its own, against what
the machine could do.

python -m benchmarks.run --shape market                         the usual methods, into
benchmarks/records/market.json python -m benchmarks.run --shape market --method cosine --method
k-reciprocal:k1=30 --method search:k=100 python -m benchmarks.table
results/speed.md from all records
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from benchmarks import record
from benchmarks.floors import floor
from benchmarks.generate import SHAPES, ready
from graphreid.papers.provenance import code, environment
from graphreid.resources import Resources, parse_memory

ROOT = Path(__file__).parents[1]
RECORDS = Path(__file__).parent / "records"
DATA = Path(tempfile.gettempdir()) / "graphreid-benchmarks"
USUAL = {
    "market": (
        "search:k=21",
        "search:k=100",
        "cosine",
        "k-reciprocal",
        "k-reciprocal:setting=online",
        "ecn",
        "ecn:setting=online",
        "gnn-reranking",
        "gnn-reranking:setting=online",
        "aqe",
        "dba",
        "diffusion",
        "diffusion:setting=transductive",
        "random-walk",
        "ca-jaccard",
        "ca-jaccard:setting=online",
        "aqe+k-reciprocal",
        "dba+k-reciprocal",
    ),
    "msmt17": ("cosine", "k-reciprocal"),
    "500k": ("k-reciprocal",),
    "tiny": ("search:k=5", "cosine", "k-reciprocal"),
}


def worker(*words: str) -> Any:
    """What a worker prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(f"benchmarks.worker {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    shape: str,
    methods: list[str],
    *,
    runs: int,
    seed: int,
    threads: int | None,
    memory: str | None,
    data: Path,
) -> dict[str, Any]:
    """A record; the yardstick is measured before and after the methods."""
    load = os.getloadavg()[0]
    folder, size = ready(shape, seed, data), SHAPES[shape]
    few = () if threads is None else ("--threads", str(threads))
    limit = () if memory is None else ("--memory-limit", memory)
    rates = worker("machine")
    before = worker("yardstick", str(folder), *few)
    rows: list[dict[str, Any]] = []
    for text in methods:
        row = worker("method", str(folder), text, "--runs", str(runs), *few, *limit)
        print(f"{text}: {row['seconds']:.3g} s, {row['peak_mb']:.0f} MB", file=sys.stderr)
        rows.append(row)
    yards = before["runs"] + worker("yardstick", str(folder), *few)["runs"]
    for row in rows:
        row["floor"] = floor(row["method"], size.queries, size.gallery, size.width, rates)
        row["to_floor"] = row["seconds"] / row["floor"]
        row["to_yardstick"] = row["seconds"] / median(yards)
    return {
        "version": record.VERSION,
        "shape": {
            "name": shape,
            "queries": size.queries,
            "gallery": size.gallery,
            "width": size.width,
            "seed": seed,
        },
        "code": code(),
        "environment": environment(Resources(threads=threads)),
        "load": load,
        "memory_limit": None if memory is None else parse_memory(memory),
        "rates": rates,
        "yardstick": {"median": median(yards), "runs": yards, "rows": before["rows"]},
        "methods": rows,
    }


def main(
    *,
    shape: Literal["market", "msmt17", "500k", "tiny"] = "market",
    method: Annotated[
        list[str] | None, Parameter(help="METHOD text, or search:k=K; once for each")
    ] = None,
    runs: int = 3,
    seed: int = 0,
    threads: int | None = None,
    memory: str | None = None,
    out: Path | None = None,
    data: Path = DATA,
) -> None:
    """Measure, and write a record.

    Args:
        runs: warm runs of each method, after a first that is reported apart.
        memory: what a method may use, such as 4GB.
        out: the record; benchmarks/records/SHAPE.json if not given.
        data: where generated embeddings are kept between calls.
    """
    made = measure(
        shape,
        method or list(USUAL[shape]),
        runs=runs,
        seed=seed,
        threads=threads,
        memory=memory,
        data=data,
    )
    record.check(made)
    record.write(made, out or RECORDS / f"{shape}.json")
    print(record.table([made]))


if __name__ == "__main__":
    cyclopts.run(main)
