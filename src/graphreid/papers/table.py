"""A table of a paper with our runs beside it.

A filled table is a plain object, which is also its JSON: ours are shares in [0, 1], the paper's are
percent as printed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphreid.methods.spec import MethodSpec
from graphreid.papers.measures import MEASURES
from graphreid.papers.paper import Row, Table
from graphreid.papers.runs import averaged, check_claim, error_removed, protocol_from
from graphreid.papers.store import Made, Run, Store

Filled = dict[str, Any]


def fill(table: Table, made: Made, store: Store) -> Filled:
    """A table with the runs that were made for it on a data set.

    Args:
        table: the paper's; rows that it got after `made` are left out.
        made: which runs are shown.
        store: where they are.

    Raises:
        ValueError: a run is not in the store, or the first row was not run.
    """
    runs = _runs_of(made, store)
    rows = [row for row in table.rows if row.name in runs]
    if not rows or not runs[rows[0].name]:
        raise ValueError(f"{store.folder}: {table.id} on {made.data}: its first row was not run")
    first = runs[rows[0].name]
    filled = [_fill_row(table, row, runs[row.name], first) for row in rows]
    return {
        "id": table.id,
        "source": table.source,
        "title": table.title,
        "kind": table.kind,
        "axis": table.axis,
        "command": made.command,
        "columns": list(table.columns),
        "measured": sorted({name for row in rows for name in _measured(row)}),
        "data": made.data,
        "paper_sets": list(table.printed_sets),
        "same_data": made.data in table.printed_sets,
        "protocol": _protocol(first[0]),
        "rows": filled,
        "claims": check_claims(table, made, store),
        "notes": [*table.notes, *_notes(rows, runs, made), *made.notes],
        "figure": made.figure,
        "lists": made.lists,
    }


def fill_row(table: Table, made: Made, store: Store, name: str) -> Filled:
    """One row of a table, as `fill` has it.

    Raises:
        ValueError: as `fill`, or there is no such row.
    """
    one = [row for row in table.rows if row.name == name]
    if not one:
        raise ValueError(f"{table.id} has no row {name!r}")
    runs = _runs_of(made, store)
    return _fill_row(table, one[0], runs[name], runs[table.rows[0].name])


def check_claims(table: Table, made: Made, store: Store) -> list[dict[str, Any]]:
    """The paper's claims of a table, with the difference of the two rows and whether they hold."""
    runs = _runs_of(made, store)
    found = [
        check_claim(claim, runs)
        for claim in table.claims
        if {claim.better, claim.worse} <= set(runs)
    ]
    return [
        {**vars(each.claim), "holds": each.holds, "difference": each.difference} for each in found
    ]


def _runs_of(made: Made, store: Store) -> dict[str, list[Run]]:
    """The runs of each row, by its name."""
    lost = sorted(key for key in made.shown() if key not in store.runs)
    if lost:
        where = f"{store.folder}: {made.table} on {made.data}"
        raise ValueError(f"{where} shows the run {lost[0]}, which is not there: make it anew")
    return {row["name"]: [store.runs[key] for key in row["runs"]] for row in made.rows}


def _fill_row(table: Table, row: Row, runs: Sequence[Run], first: Sequence[Run]) -> Filled:
    filled: Filled = {
        "name": row.name,
        "at": row.at,
        "axis": row.axis or table.axis,
        "paper_percent": row.paper,
        "ours": None,
    }
    if not runs:
        return filled
    mean, base, run = averaged(runs), averaged(first), runs[0]
    low, high = mean.interval()
    compared = runs is not first
    filled["ours"] = {
        "method": applied(run),
        "fit": None if run["fit"] is None else MethodSpec.parse(run["fit"]).short(),
        "setting": run["setting"],
        **{column: _mean(runs, "metrics", column) for column in table.columns},
        "mAP_interval": [low, high],
        "difference": _flat(mean.difference(base)) if compared else None,
        "error_removed": _flat(error_removed(mean, base)) if compared else None,
        "seeds": [
            {"seed": each["seed"], "mAP": each["metrics"]["mAP"], "run": each.key} for each in runs
        ],
        "measured": {name: _mean(runs, "measured", name) for name in _measured(row)},
        "chosen": run["chosen"],
        "validation": run["validation"],
        "cost": run["cost"],
    }
    return filled


def applied(run: Run) -> str:
    """The METHOD text of a run with the options that were chosen on validation identities, without
    those that have their default.
    """
    spec = MethodSpec.parse(run["method"])
    if run["chosen"] is not None:
        last = spec.steps[-1].source
        [chosen] = MethodSpec.parse(f"{last}:{run['chosen']['options']}").steps
        spec = spec.with_options(**dict(chosen.options))
    return spec.short()


def _measured(row: Row) -> tuple[str, ...]:
    return () if row.measure is None else MEASURES[row.measure].columns


def _mean(runs: Sequence[Run], kind: str, name: str) -> float:
    return float(np.mean([run[kind][name] for run in runs]))


def _flat(value: tuple[float, tuple[float, float]]) -> list[float | None]:
    return [None if math.isnan(each) else each for each in (value[0], *value[1])]


def _protocol(run: Run) -> Filled:
    return {
        "rule": str(protocol_from(run)),
        "setting": run["setting"],
        "queries": run["queries"],
        "skipped": run["skipped"],
        "gallery": run["sets"]["gallery"]["images"],
    }


def _notes(rows: Sequence[Row], runs: Mapping[str, Sequence[Run]], made: Made) -> list[str]:
    notes = [
        f"{row['name']} was not run: {row['missing']}." for row in made.rows if not row["runs"]
    ]
    for row in rows:
        several = len(runs[row.name]) > 1
        for run in runs[row.name]:
            seed = f" (seed {run['seed']})" if several else ""
            notes += _run_notes(row.name, seed, run)
        chosen = runs[row.name][0]["chosen"] if runs[row.name] else None
        if chosen:
            notes.append(
                f"{row.name}: {chosen['options'].replace(',', ', ')}, the best of "
                f"{chosen['tried']} on"
                f" validation identities ({percent(chosen['mAP'])} mAP)."
            )
    fits = [run["sets"]["fit"] for each in runs.values() for run in each if run["sets"]["fit"]]
    if fits and fits[0]["seen"]:
        notes.append(
            f"The embedder was trained on the identities of {fits[0]['seen']:.0%} of the images "
            "that"
            " methods were fitted on."
        )
    return notes


def _run_notes(name: str, seed: str, run: Run) -> list[str]:
    notes: list[str] = []
    held = run["validation"]
    if held is not None and held["mAP"] <= held["input"]:
        notes.append(
            f"**{name}{seed} does not beat the embeddings' own order on validation identities**"
            f" ({percent(held['mAP'])} against {percent(held['input'])} mAP)."
        )
    learned: dict[str, Any] = json.loads(run["learned"] or "{}")
    fits = (each.get("record", {}).get("validation", {}) for each in learned.values())
    if any(fit.get("best_lam") == 0 for fit in fits):
        notes.append(
            f"{name}: on validation identities lam = 0, its input's own order, is the best weight."
        )
    return notes


def percent(value: float) -> str:
    """A share as percent with one decimal."""
    return f"{100 * value:.1f}"
