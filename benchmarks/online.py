"""One query at a time against a gallery whose lists are kept: k-reciprocal's online form on one
core.

python -m benchmarks.online                    100,000 images of width 512, 500 queries, into
benchmarks/records/online.json
"""

import os
import time
from pathlib import Path
from typing import Any

import cyclopts
import numba
import numpy as np
import torch

from benchmarks import record
from benchmarks.generate import BLOCK, Embeddings, Shape, part
from benchmarks.run import RECORDS
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.papers.provenance import code, environment
from graphreid.resources import Resources
from graphreid.types import Features

FIRST = 20
"""Queries that are not counted."""


def measure(gallery: int, width: int, queries: int, method: str, seed: int) -> dict[str, Any]:
    """Seconds of each query, from its embedding to all distances."""
    shape = Shape(
        queries + FIRST,
        gallery,
        gallery,
        max(gallery // 25, 1),
        6,
        width=width,
        rank=min(160, width),
    )
    vectors = {
        which: np.concatenate(
            [embeddings.block(start) for start in range(0, len(rows.identity), BLOCK)]
        )
        for which in ("query", "gallery")
        for rows in [part(shape, seed, which)]
        for embeddings in [Embeddings(shape, seed, which, rows)]
    }
    load = os.getloadavg()[0]
    images, chosen = Gallery(Features(vectors["gallery"])), parse(method)
    threads = torch.get_num_threads()
    images.neighbors(50, resources=Resources(threads=threads))
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    times: list[float] = []
    for row in range(len(vectors["query"])):
        start = time.perf_counter()
        query = Features(vectors["query"][row : row + 1])
        for _ in chosen.distances(query, images, resources=Resources(threads=1)):
            pass
        times.append(time.perf_counter() - start)
    counted = np.array(times[FIRST:]) * 1e3
    return {
        "method": method,
        "gallery": gallery,
        "width": width,
        "queries": queries,
        "seed": seed,
        "median_ms": float(np.median(counted)),
        "p99_ms": float(np.percentile(counted, 99)),
        "load": load,
        "code": code(),
        "environment": environment(Resources(threads=1)),
    }


def line(made: dict[str, Any]) -> str:
    """A record as Markdown."""
    return (
        "## One query at a time\n\n"
        f"`{made['method']}`, one core, a gallery of {made['gallery']:,} images of width "
        f"{made['width']} whose lists are kept: "
        f"median {made['median_ms']:.1f} ms, 99th percentile {made['p99_ms']:.1f} ms over "
        f"{made['queries']} queries "
        f"(load at the start {made['load']:.1f}).\n"
    )


def main(
    *,
    gallery: int = 100_000,
    width: int = 512,
    queries: int = 500,
    method: str = "k-reciprocal:setting=online",
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Measure, and write a record."""
    made = measure(gallery, width, queries, method, seed)
    record.write(made, out or RECORDS / "online.json")
    print(line(made))


if __name__ == "__main__":
    cyclopts.run(main)
