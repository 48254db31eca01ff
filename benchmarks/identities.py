"""How much of what a learned re-ranker lacks is a matter of how many identities it was fitted on.

A rendered set has as many identities as one likes. With the run RUN of results/README.md for
the synthetic set:

    graphreid data render --identities 1000 --test-identities 2 --distractors 0 --junk 0 --out more
    graphreid embed --data more --model RUN --split train --out more.npz
    python -m benchmarks.identities synthetic --train more.npz --query query.npz --gallery
    gallery.npz

The first identities of the larger set are those of the set itself (the seed is the same): whoever
is in query or gallery, and whoever the embedder was trained on, is left out. It writes
benchmarks/records/identities-NAME.json.
"""

import time
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np

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

METHODS = ("cagcn", "fa-gcn", "fa-ec-gcn", "ffgnn", "hrnet")
HELD = 50
"""Identities for validation, of all fits the same."""


def table(made: dict[str, Any]) -> str:
    """A record as Markdown."""
    fixed = {row["method"]: row for row in made["rows"] if row["identities"] is None}
    start, goal = fixed["cosine"]["mAP"], fixed["k-reciprocal"]["mAP"]
    cells = {(row["method"], row["identities"]): row for row in made["rows"]}

    def shown(row: dict[str, Any]) -> str:
        share = (row["mAP"] - start) / (goal - start)
        return (
            f"{row['mAP']:.3f} [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}], "
            f"{row['rank-1']:.3f}, {share:.2f}"
        )

    lines = [
        "| " + " | ".join([method, *(shown(cells[method, size]) for size in made["sizes"])]) + " |"
        for method in made["methods"]
    ]
    heads = " | ".join(f"{size} identities" for size in made["sizes"])
    return (
        f"{made['name']}, seed {made['seed']}, online, market rule. Cells: mAP with its interval, "
        f"rank-1, and the share of what"
        f" transductive k-reciprocal adds to mAP. Cosine has {shown(fixed['cosine'])};"
        f" k-reciprocal {shown(fixed['k-reciprocal'])}.\n\n"
        f"| fitted on | {heads} |\n| --- |{' --- |' * len(made['sizes'])}\n"
        + "\n".join(lines)
        + "\n"
    )


def main(
    name: str,
    *,
    train: Path,
    query: Path,
    gallery: Path,
    sizes: tuple[int, ...] = (40, 160, 480),
    methods: tuple[str, ...] = METHODS,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Fit on so many identities, evaluate, and write a record.

    Args:
        sizes: numbers of identities to fit on; the smaller ones are among the larger.
        methods: METHOD texts.
    """
    features, labels = load_features(train)
    (queries, wanted), (images, found) = load_features(query), load_features(gallery)
    known = np.concatenate(
        [
            labels.identity[np.asarray(load_columns(train)["seen"], bool)],
            wanted.identity,
            found.identity,
        ]
    )
    fresh = generator(seed, 0, 0, 1).permutation(np.setdiff1d(labels.identity, known))
    if len(fresh) < HELD + max(sizes):
        raise SystemExit(f"{train}: {len(fresh)} new identities: {HELD + max(sizes)} are needed")
    resources, rows = Resources(), list[dict[str, Any]]()
    held = np.flatnonzero(np.isin(labels.identity, fresh[:HELD]))

    def add_row(method: str, size: int | None, begun: float, reranker: Any) -> None:
        report: Report = evaluate(
            reranker, queries, Gallery(images), wanted, found, resources=resources
        )
        rows.append(
            {
                "method": method,
                "identities": size,
                "mAP": report.mean_ap(),
                "interval": [*report.interval()],
            }
        )
        rows[-1] |= {"rank-1": report.cmc(1), "seconds": time.perf_counter() - begun}
        print(rows[-1], flush=True)

    for method in ("cosine", "k-reciprocal"):
        add_row(method, None, time.perf_counter(), make(method))
    for method in methods:
        for size in sizes:
            begun, fitted = time.perf_counter(), make(f"{method}:seed={seed}")
            chosen = np.flatnonzero(np.isin(labels.identity, fresh[HELD : HELD + size]))
            validation = features.take(held), labels.take(held)
            fitted.fit(
                features.take(chosen),
                labels.take(chosen),
                validation=validation,
                resources=resources,
            )
            add_row(method, size, begun, fitted)
    made = {
        "name": name,
        "sizes": list(sizes),
        "methods": list(methods),
        "seed": seed,
        "rows": rows,
        "code": code(),
        "environment": environment(resources),
    }
    record.write(made, out or RECORDS / f"identities-{name}.json")
    print(table(made))


if __name__ == "__main__":
    cyclopts.run(main)
