"""One method in a process of its own, so that memory is its own; prints JSON. `benchmarks.run`
starts it.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cyclopts
import numpy as np
import torch

from benchmarks import floors
from graphreid import peak_memory as memory
from graphreid.features.features_file import load_features
from graphreid.gallery import Gallery, normalise
from graphreid.kernels import neighbor_sets as jaccard
from graphreid.kernels import product_tiles as tiles
from graphreid.kernels import rank_counts as counting
from graphreid.kernels import sparse_rows as sparse
from graphreid.knn.exact import search
from graphreid.methods.spec import parse
from graphreid.metrics import parse_metric
from graphreid.metrics.metric import mean
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.protocols import Reranker
from graphreid.resources import Resources, parse_memory
from graphreid.types import DistanceBlock, Features, Labels

app = cyclopts.App()
IMPORTED = (counting, jaccard, sparse, tiles)
Set = tuple[tuple[Features, Labels], tuple[Features, Labels]]


class Watch:
    """Seconds by the name of the work, from what the work tells of its progress; stands still while
    results are counted.
    """

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.aside = 0.0
        self.stages: dict[str, float] = {}
        self.last = 0.0

    def now(self) -> float:
        return time.perf_counter() - self.started - self.aside

    def tell(self, what: str, done: int, total: int) -> None:
        del total
        now = self.now()
        self.stages[what] = self.stages.get(what, 0.0) + (now - self.last if done else 0.0)
        self.stages["rest"] = self.stages.get("rest", 0.0) + (0.0 if done else now - self.last)
        self.last = now

    def ended(self) -> dict[str, float]:
        self.stages["rest"] = self.stages.get("rest", 0.0) + self.now() - self.last
        return {name: round(seconds, 4) for name, seconds in sorted(self.stages.items())}


def load(folder: Path) -> Set:
    return load_features(folder / "query"), load_features(folder / "gallery")


def once(method: Reranker, given: Set, threads: int | None, limit: int | None) -> dict[str, Any]:
    """One run: from embeddings to the last distance, evaluated as the blocks come."""
    (query, query_labels), (images, image_labels) = given
    own = np.full(len(query), -1)
    counter = RankCounter(Relevance(query_labels, image_labels, own=own, protocol=MARKET))
    watch = Watch()
    resources = Resources(memory=limit, threads=threads, progress=watch.tell)
    gallery = Gallery(images)
    for block in _timed(method, query, gallery, resources):
        before = time.perf_counter()
        counter.add(block)
        watch.aside += time.perf_counter() - before
    seconds = watch.now()
    before = time.perf_counter()
    ranks = counter.result()
    values = {name: mean(parse_metric(name), ranks) for name in ("mAP", "rank-1")}
    return {
        "seconds": seconds,
        "stages": watch.ended(),
        "evaluation": watch.aside + time.perf_counter() - before,
        "metrics": values,
    }


def _timed(
    method: Reranker, query: Features, gallery: Gallery, resources: Resources
) -> Iterator[DistanceBlock]:
    with resources.limits():
        yield from method.distances(query, gallery, resources=resources)


def search_once(k: int, given: Set, threads: int | None, limit: int | None) -> dict[str, Any]:
    """One search of the whole set among itself."""
    (query, _), (images, _) = given
    watch = Watch()
    resources = Resources(memory=limit, threads=threads, progress=watch.tell)
    search(normalise(images.vectors), k, more=normalise(query.vectors), resources=resources)
    return {"seconds": watch.now(), "stages": watch.ended(), "evaluation": 0.0, "metrics": {}}


@app.command
def method(
    folder: Path,
    text: str,
    /,
    *,
    runs: int = 3,
    threads: int | None = None,
    memory_limit: str | None = None,
) -> None:
    """Measure a METHOD, or `search:k=K`."""
    limit = None if memory_limit is None else parse_memory(memory_limit)
    name, _, k = text.partition(":k=")
    chosen = None if name == "search" else parse(text)
    if threads is not None:
        torch.set_num_threads(threads)
    base = memory.resident()
    memory.reset_peak()
    given = load(folder)
    done = [
        search_once(int(k), given, threads, limit)
        if chosen is None
        else once(chosen, given, threads, limit)
        for _ in range(runs + 1)
    ]
    warm = [run["seconds"] for run in done[1:]]
    print(
        json.dumps(
            {
                "method": text,
                "setting": "-" if chosen is None else chosen.setting,
                "seconds": median(warm),
                "runs": warm,
                "cold": done[0]["seconds"],
                "stages": done[-1]["stages"],
                "evaluation": median(run["evaluation"] for run in done[1:]),
                "peak_mb": round((memory.peak() - base) / 2**20, 1),
                "metrics": done[-1]["metrics"],
            }
        )
    )


@app.command
def machine() -> None:
    """Measure the machine's rates."""
    print(json.dumps(floors.rates()))


@app.command
def yardstick(folder: Path, /, *, threads: int | None = None) -> None:
    """Measure the yardstick."""
    if threads is not None:
        torch.set_num_threads(threads)
    (query, _), (images, _) = load(folder)
    times, rows = floors.yardstick(np.concatenate([images.vectors, query.vectors]))
    print(json.dumps({"runs": times, "rows": rows}))


if __name__ == "__main__":
    app()
