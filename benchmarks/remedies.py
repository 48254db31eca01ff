"""An embedder packs the identities that it was trained on tighter than others; a re-ranker fitted
on those expects too much.

Remedies, compared on equal data by

    python -m benchmarks.remedies NAME --train train.npz --validation validation.npz

`train.npz` is made by `graphreid embed --split train` of a run with held-out identities, so its
column "seen" tells which images the embedder was trained on; `validation.npz` by `--split
validation`. It writes benchmarks/records/remedies-NAME.json.
"""

import time
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.run import RECORDS
from graphreid.features.features_file import load_columns, load_features
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse as make
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.report import Report
from graphreid.papers.provenance import code, environment
from graphreid.resources import Resources
from graphreid.seeding import generator

QUERIES = 500
WAYS: dict[str, tuple[bool, float]] = {
    "no remedy": (False, 0.0),
    "perturbed": (False, 1.0),
    "held out": (True, 0.0),
    "held out and perturbed": (True, 1.0),
}
"""Whether the identities fitted on were kept from the embedder, and the length of the noise."""


def table(made: dict[str, Any]) -> str:
    """A record as Markdown."""
    rows = [
        f"| {row['way']} | {row['mAP']:.3f} [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}] | "
        f"{row['rank-1']:.3f} |"
        for row in made["rows"]
    ]
    return (
        f"{made['method']} on {made['name']}: fitted on {made['images']:,} images of "
        f"{made['identities']} identities, "
        f"evaluated on {made['queries']} queries of validation identities among all "
        f"{made['gallery']:,} training images, "
        f"seed {made['seed']}, online, market rule.\n\n"
        "| fitted on identities | mAP | rank-1 |\n| --- | --- | ---: |\n" + "\n".join(rows) + "\n"
    )


def main(
    name: str,
    *,
    train: Path,
    validation: Path,
    method: str = "cagcn",
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Fit in each way, evaluate, and write a record."""
    features, labels = load_features(train)
    seen = np.asarray(load_columns(train)["seen"], bool)
    held = np.unique(load_features(validation)[1].identity)
    evaluated = np.flatnonzero(np.isin(labels.identity, held))
    evaluated = np.sort(generator(seed, 0, 0, 1).permutation(evaluated)[:QUERIES])
    fresh = np.setdiff1d(np.unique(labels.identity[~seen]), held)
    packed = np.sort(
        generator(seed, 0, 0, 2).permutation(np.unique(labels.identity[seen]))[: len(fresh)]
    )
    resources, rows = Resources(), list[dict[str, Any]]()

    def add_row(way: str, reranker: Any, begun: float) -> None:
        query, of_query = features.take(evaluated), labels.take(evaluated)
        report: Report = evaluate(
            reranker, query, Gallery(features), of_query, labels, resources=resources
        )
        rows.append(
            {
                "way": way,
                "mAP": report.mean_ap(),
                "interval": [*report.interval()],
                "rank-1": report.cmc(1),
            }
        )
        rows[-1]["seconds"] = time.perf_counter() - begun
        print(rows[-1], flush=True)

    def images(identities: NDArray[np.int64]) -> NDArray[np.intp]:
        return np.flatnonzero(np.isin(labels.identity, identities))

    add_row("none: cosine", make("cosine"), time.perf_counter())
    add_row("none: k-reciprocal, transductive", make("k-reciprocal"), time.perf_counter())
    for way, (apart, noise) in WAYS.items():
        chosen = images(fresh if apart else packed)
        fitted: Any = make(f"{method}:noise={noise},seed={seed}")
        begun = time.perf_counter()
        add_row(
            way, fitted.fit(features.take(chosen), labels.take(chosen), resources=resources), begun
        )
    made = {
        "name": name,
        "method": method,
        "seed": seed,
        "images": len(images(fresh)),
        "identities": len(fresh),
        "queries": len(evaluated),
        "gallery": len(features),
        "rows": rows,
        "code": code(),
        "environment": environment(resources),
    }
    record.write(made, out or RECORDS / f"remedies-{name}.json")
    print(table(made))


if __name__ == "__main__":
    cyclopts.run(main)
