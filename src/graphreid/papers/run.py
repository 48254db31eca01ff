"""`run`: the rows of a recipe as records that are kept: a stopped run goes on, and rows that tables
share run once.
"""

import datetime
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from graphreid import peak_memory as memory
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.report import Report
from graphreid.papers import code, selection
from graphreid.papers.recipe import FITTED, Recipe, Row, absent, with_options
from graphreid.papers.records import FORMAT, Record, key_of, queries, read_record, write_record
from graphreid.papers.selection import ORDERS, RECORDS, Bench
from graphreid.report.ranked_lists import LONGEST

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Result:
    """A row and what became of it.

    Attributes:
        row: the recipe's.
        records: one a seed; none where the row was not run.
        absent: why it was not run.
    """

    row: Row
    records: tuple[Record, ...]
    absent: str | None = None


@dataclass(frozen=True, eq=False)
class _Task:
    """One run: a row with a seed, and the name of its record."""

    row: Row
    seed: int | None
    fit: str | None
    top: int
    plan: Mapping[str, Any]
    key: str

    def kind(self, bench: Bench, fitted: set[str]) -> str:
        """What it will spend its time on; `fitted` are the fits that will be there."""
        if (
            self.fit is not None
            and self.fit not in fitted
            and not selection.is_fitted(bench, self.fit)
        ):
            return "fit"
        return "choose" if self.row.grid else "rank"


def run(recipe: Recipe, bench: Bench, *, seeds: int, say: Say) -> list[Result]:
    """Every row of a recipe.

    Methods are fitted on "fit"; options are chosen, and what was learned is validated, on
    "validation"; query and gallery are read by the run that is recorded, once.

    Args:
        recipe: what to run.
        bench: what it runs on.
        seeds: how many, for the rows that are headlines; the others that learn have seed 0.
        say: told a line a run.

    Raises:
        ValueError: a part of the data is missing, or what a method refuses.
    """
    missing = {row.name: reason for row in recipe.rows if (reason := absent(row))}
    for name, reason in missing.items():
        say(f"{recipe.id}: {name} is left out: {reason}")
    _warn(recipe, bench, say)
    tasks = [
        task
        for row in recipe.rows
        if row.name not in missing
        for task in _tasks(row, bench, seeds, recipe.kind == "lists")
    ]
    made: dict[str, Record] = {
        task.key: read_record(_file(bench, task)) for task in tasks if _done(bench, task)
    }
    waiting = list({task.key: task for task in tasks if task.key not in made}.values())
    if made:
        say(f"{recipe.id}: {len(made)} of {len(made) + len(waiting)} runs are there already")
    spent: dict[str, list[float]] = {}
    for place, task in enumerate(waiting):
        kind, start = task.kind(bench, set()), time.perf_counter()
        made[task.key] = _perform(bench, task)
        seconds = time.perf_counter() - start
        spent.setdefault(kind, []).append(seconds)
        left = _left(spent, bench, waiting[place + 1 :])
        say(
            f"{recipe.id} {place + 1}/{len(waiting)}: {task.row.name}{_line(made[task.key])}, "
            f"{_time(seconds)}{left}"
        )
    return [
        Result(
            row, tuple(made[task.key] for task in tasks if task.row is row), missing.get(row.name)
        )
        for row in recipe.rows
    ]


def orders(bench: Bench, record: Record) -> Int32[np.ndarray, "q top"]:
    """The first gallery images of each query, of a run of a recipe of kind "lists"."""
    with np.load(bench.work / ORDERS / f"{record['key']}.npz") as file:
        return file["order"]


def _tasks(row: Row, bench: Bench, seeds: int, lists: bool) -> Iterator[_Task]:
    fits: list[tuple[int | None, str | None]] = [(bench.seed, None)]
    if row.fit is not None:
        text = selection.fit_text(bench, row.fit)
        numbered = [
            (seed, selection.seeded_text(text, seed))
            for seed in range(seeds if row.headline else 1)
        ]
        fits = [(seed, each) for seed, each in numbered if each is not None] or [(None, text)]
    for seed, fit in fits:
        used = (
            "query",
            "gallery",
            *(("fit", "validation") if fit is not None else ("validation",) if row.grid else ()),
        )
        meant = row.method if fit is None else row.method.replace(FITTED, fit.partition(":")[0])
        plan = {
            "format": FORMAT,
            "method": row.method,
            "fields": selection.fields(meant),
            "fit": None if fit is None else selection.fields(fit),
            "grid": None
            if row.grid is None
            else {name: list(values) for name, values in row.grid.items()},
            "rule": vars(bench.rule),
            "data": bench.data(*used),
            "code": code.digest(selection.modules(meant)),
            "lists": lists,
            "measure": next(
                (each.__name__ for each in (row.measure, row.look) if each is not None), None
            ),
        }
        yield _Task(row, seed, fit, LONGEST if lists else 0, plan, key_of(plan))


def _file(bench: Bench, task: _Task) -> Path:
    return bench.work / RECORDS / f"{task.key}.json"


def _done(bench: Bench, task: _Task) -> bool:
    return _file(bench, task).is_file() and (
        not task.top or (bench.work / ORDERS / f"{task.key}.npz").is_file()
    )


def _perform(bench: Bench, task: _Task) -> Record:
    """Fit, choose, validate, and only then rank the test queries."""
    row, text = task.row, task.row.method
    fit = None
    if task.fit is not None:
        fit = selection.fitted(bench, task.fit)
        text = text.replace(FITTED, str(fit.file))
    chosen = None
    if row.grid is not None:
        # the fitted file's name is a hash of its options, data and code: with it the text says what
        # it means
        chosen = selection.choose(bench, text, row.grid, fixed=text.replace(str(bench.work), ""))
        text = with_options(text, chosen["options"])
    method = parse(text)
    validation = None
    if fit is not None or chosen is not None:
        validation = {"mAP": bench.validate(method), "cosine": bench.validation_cosine}
    query, gallery = bench.inputs.part("query"), bench.inputs.part("gallery")
    memory.reset_peak()
    report = evaluate(
        method,
        query.features,
        Gallery(gallery.features),
        query.labels,
        gallery.labels,
        protocol=bench.rule,
        top=task.top,
        name=row.name,
        resources=bench.resources,
    )
    peak = bench.peak_mb()
    measured = {}
    if row.measure is not None:
        name = row.measure.__name__.replace("_", " ")
        measured[name] = row.measure(
            method, (query.features, query.labels), (gallery.features, gallery.labels)
        )
    if report.order is not None:
        np.savez(bench.work / ORDERS / f"{task.key}.npz", order=report.order)
    summary = report.summary()
    record: Record = {
        "format": FORMAT,
        "key": task.key,
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "configuration": {
            "method": row.method,
            "fit": task.fit,
            "fields": selection.fields(text),
            "fit_fields": task.plan["fit"],
            "grid": task.plan["grid"],
            "chosen": chosen,
        },
        "code": code.code(selection.modules(text)),
        "data": {
            "name": bench.inputs.name,
            "parts": {name: bench.inputs.part(name).facts() for name in task.plan["data"]},
        },
        "embeddings": bench.inputs.provenance,
        "environment": code.environment(bench.resources),
        "protocol": _protocol(bench, report),
        "seed": task.seed,
        "metrics": {name: summary[name] for name in ("mAP", "mAP_interval", "mINP", "cmc")},
        "measured": measured,
        "validation": validation,
        "learned": selection.learned(text),
        "cost": {
            "fit_seconds": None if fit is None else fit.facts["seconds"],
            "fit_peak_mb": None if fit is None else fit.facts["peak_mb"],
            "rank_seconds": round(report.seconds, 3),
            "peak_mb": peak,
        },
        "queries": queries(report),
    }
    write_record(bench.work / RECORDS, record)
    return json.loads(json.dumps(record))


def _protocol(bench: Bench, report: Report) -> dict[str, Any]:
    return {
        "rule": str(report.protocol),
        # rankings are whole here, and of images
        "rule_fields": {
            key: value
            for key, value in vars(report.protocol).items()
            if key not in ("listed", "tracks")
        },
        "setting": report.setting,
        "queries": report.queries,
        "skipped": report.skipped,
        "gallery": len(bench.inputs.part("gallery").features),
    }


def _warn(recipe: Recipe, bench: Bench, say: Say) -> None:
    if any(row.fit for row in recipe.rows) and "fit" in bench.inputs.parts:
        seen = bench.inputs.part("fit").seen
        if seen:
            say(
                f"warning: the embedder was trained on the identities of {seen:.0%} of the fit "
                f"images, which are closer"
                " together than new ones' (train with --holdout-identities 0.25)"
            )


def _line(record: Record) -> str:
    low, high = record["metrics"]["mAP_interval"]
    seed = "" if record["seed"] is None else f" (seed {record['seed']})"
    return (
        f"{seed}: mAP {record['metrics']['mAP']:.3f} [{low:.3f}, {high:.3f}], rank-1 "
        f"{record['metrics']['cmc']['1']:.3f}"
    )


def _left(spent: Mapping[str, list[float]], bench: Bench, waiting: Sequence[_Task]) -> str:
    """The time that is still needed, from what runs of each kind took so far."""
    every = [seconds for each in spent.values() for seconds in each]
    fitted: set[str] = set()
    total = 0.0
    for task in waiting:
        alike = spent.get(task.kind(bench, fitted), every)
        fitted |= set() if task.fit is None else {task.fit}
        total += sum(alike) / len(alike)
    return f"; about {_time(total)} left" if waiting else ""


def _time(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
