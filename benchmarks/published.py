"""The README's table of methods that learn, from the store of results."""

from typing import Any

from benchmarks.baselines import HERE
from graphreid.papers.paper import TABLES
from graphreid.papers.store import Store
from graphreid.papers.table import fill_row

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


def row_of(store: Store, name: str, table: str, row: str) -> dict[str, Any]:
    """Our numbers in a row of a table that was made on a set."""
    return fill_row(TABLES[table], store.made[name, table], store, row)["ours"]


def learned() -> str:
    """The table."""
    store = Store.read(HERE)
    lines = [
        "| method | setting | Omniglot mAP | rank-1 | error removed | synthetic mAP | rank-1 | "
        "error removed |",
        "| --- | --- | --- | ---: | --- | --- | ---: | --- |",
    ]
    for table, row, called in ROWS:
        found = [row_of(store, name, table, row) for name in SETS]
        cells = [called if "," in called else f"`{called}`", found[0]["setting"]]
        for ours in found:
            low, high = ours["mAP_interval"]
            removed = ours["error_removed"]
            share = (
                "" if removed is None else f"{removed[0]:.0%} [{removed[1]:.0%}, {removed[2]:.0%}]"
            )
            cells += [f"{ours['mAP']:.3f} [{low:.3f}, {high:.3f}]", f"{ours['rank-1']:.3f}", share]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
