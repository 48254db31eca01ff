"""The README's table of methods that learn, from the tables that `graphreid reproduce` wrote into
docs/results.
"""

import json
from typing import Any

from benchmarks.baselines import HERE

SETS = ("omniglot", "synthetic")
ROWS = (
    ("cagcn/table1", "baseline", "cosine"),
    ("cagcn/table1", "k-reciprocal online", "k-reciprocal:setting=online"),
    ("ffgnn/table5", "SGGNN", "sggnn"),
    ("cagcn/table1", "CAGCN", "cagcn"),
    ("fa-ec-gcn/table2", "FA-GCN", "fa-gcn"),
    ("fa-ec-gcn/table2", "EC-GCN", "ec-gcn"),
    ("fa-ec-gcn/table2", "FA-GCN + EC-GCN", "fa-ec-gcn"),
    ("ffgnn/table2", "FFGNN", "ffgnn"),
    ("hrnet/table2", "HRNet", "hrnet"),
    ("cagcn/table1", "k-reciprocal", "k-reciprocal"),
    ("cagcn/table1", "k-reciprocal tuned", "k-reciprocal, tuned"),
    ("ffgnn/table2", "ECN", "ecn"),
    ("cagcn/table1", "CAGCN+RR", "cagcn+k-reciprocal"),
    ("fa-ec-gcn/table2", "FA-GCN + EC-GCN + RR", "fa-ec-gcn+k-reciprocal"),
    ("ffgnn/table5", "FFGNN+k-reciprocal", "ffgnn+k-reciprocal"),
    ("ffgnn/table2", "FFGNN+ECN", "ffgnn+ecn"),
)
"""Table, its row, and what the README calls it."""


def row_of(name: str, table: str, row: str) -> dict[str, Any]:
    """Our numbers in a row of a table that was made on a set.

    Raises:
        ValueError: the table has no such row.
    """
    path = HERE / name / f"{table}.json"
    for each in json.loads(path.read_text())["rows"]:
        if each["name"] == row:
            return each["ours"]
    raise ValueError(f"{path}: no row {row!r}")


def learned() -> str:
    """The table."""
    lines = [
        "| method | setting | Omniglot mAP | rank-1 | error removed | synthetic mAP | rank-1 | "
        "error removed |",
        "| --- | --- | --- | ---: | --- | --- | ---: | --- |",
    ]
    for table, row, called in ROWS:
        cells = [called if "," in called else f"`{called}`", row_of(SETS[0], table, row)["setting"]]
        for ours in (row_of(name, table, row) for name in SETS):
            low, high = ours["mAP_interval"]
            removed = ours["error_removed"]
            share = (
                "" if removed is None else f"{removed[0]:.0%} [{removed[1]:.0%}, {removed[2]:.0%}]"
            )
            cells += [f"{ours['mAP']:.3f} [{low:.3f}, {high:.3f}]", f"{ours['rank-1']:.3f}", share]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
