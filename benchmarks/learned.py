"""What a learned re-ranker's answer costs: one query at a time, and 64, against a gallery whose
lists are kept.

python -m benchmarks.learned NAME --query query.npz --gallery gallery.npz FILE.safetensors...

writes benchmarks/records/learned-NAME.json, from which `python -m benchmarks.table` makes
results/speed.md.
"""

import os
import time
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import record
from benchmarks.floors import rates
from benchmarks.run import RECORDS
from graphreid import peak_memory as memory
from graphreid.features.features_file import load_features
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.papers.provenance import code, environment
from graphreid.protocols import Reranker
from graphreid.resources import Resources
from graphreid.types import Features

BATCHES = (1, 64)
QUERIES = 128
"""Queries that are timed, after one batch that is not."""
PRODUCTS = (
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::baddbmm",
    "aten::mkldnn_linear",
    "mkldnn::_linear_pointwise",
)


def measure(
    text: str, query: Features, gallery: Features, rate: float, resources: Resources
) -> dict[str, Any]:
    """Seconds, operations, memory of a method; `rate` is that of float32 products on one core, in
    10^12 a second.
    """
    method, images = parse(text), Gallery(gallery)
    memory.reset_peak()
    before = memory.resident()
    _answer(method, query.take(np.arange(BATCHES[-1])), images, resources)
    found: dict[str, Any] = {"method": getattr(method, "name", text), "setting": method.setting}
    for batch in BATCHES:
        seconds: list[float] = []
        for start in range(0, QUERIES, batch):
            rows = query.take(np.arange(start, start + batch))
            begun = time.perf_counter()
            _answer(method, rows, images, resources)
            seconds.append((time.perf_counter() - begun) / batch)
        found[f"ms_{batch}"] = float(np.median(seconds)) * 1e3
    rows = query.take(np.arange(BATCHES[-1]))
    with FlopCounterMode(display=False) as counter:
        _answer(method, rows, images, resources)
    found["gflop"] = counter.get_total_flops() / BATCHES[-1] / 1e9
    found["floor_ms"] = found["gflop"] / rate
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        begun = time.perf_counter()
        _answer(method, rows, images, resources)
        spent = time.perf_counter() - begun
    products = sum(
        each.self_cpu_time_total for each in profiled.key_averages() if each.key in PRODUCTS
    )
    found["in_products"] = products / 1e6 / spent
    found["peak_mb"] = (memory.peak() - before) / 2**20
    return found


def _answer(method: Reranker, query: Features, gallery: Gallery, resources: Resources) -> None:
    for _ in method.distances(query, gallery, resources=resources):
        pass


def table(made: dict[str, Any]) -> str:
    """A record as Markdown."""
    rows = [
        f"| `{row['method']}` | {row['setting']} | {row['ms_1']:.1f} | {row['ms_64']:.1f} | "
        f"{row['gflop']:.2f} | "
        f"{row['floor_ms']:.1f} | {row['in_products']:.0%} | {row['peak_mb']:.0f} |"
        for row in made["methods"]
    ]
    return (
        f"## Learned methods, a query: {made['name']}\n\n"
        f"One core, a gallery of {made['gallery']:,} images of width {made['width']} whose lists "
        f"are kept; median of {QUERIES} "
        f"queries. *GFLOP* are those of the network's products, *floor* their time at the "
        f"{made['rate']:.2f} x 10^12 float32 "
        "operations a second that this core was measured at, *in products* the share of the time "
        "that they took in batches of "
        f"64; load at the start {made['load']:.1f}.\n\n"
        "| method | setting | ms, one at a time | ms, in batches of 64 | GFLOP | floor ms | in "
        "products | peak MB |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(rows) + "\n"
    )


def main(name: str, *files: str, query: Path, gallery: Path, out: Path | None = None) -> None:
    """Measure, and write a record.

    Args:
        name: of the set.
        files: fitted methods, as --method takes them.
        query: features of the queries.
        gallery: features of the gallery.
        out: the record, if not benchmarks/records/learned-NAME.json.
    """
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    resources, rate = Resources(threads=1), rates()["float32"]
    queries, images = load_features(query)[0], load_features(gallery)[0]
    if len(queries) < max(QUERIES, *BATCHES):
        raise SystemExit(f"{query}: {len(queries)} queries: {QUERIES} are timed")
    made = {
        "name": name,
        "gallery": len(images),
        "width": images.width,
        "rate": rate,
        "load": load,
        "methods": [measure(each, queries, images, rate, resources) for each in files],
        "code": code(),
        "environment": environment(resources),
    }
    record.write(made, out or RECORDS / f"learned-{name}.json")
    print(table(made))


if __name__ == "__main__":
    cyclopts.run(main)
