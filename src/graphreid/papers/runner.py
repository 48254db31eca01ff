"""Runs the rows of tables. Every run is kept in the store: interrupted, the same command goes on,
and a run that several tables show is made once.
"""

import datetime
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from graphreid import peak_memory as memory
from graphreid.gallery import Gallery
from graphreid.methods import Parts
from graphreid.methods.persistence import load
from graphreid.methods.spec import FITTED, MethodSpec, parse
from graphreid.metrics.evaluate import evaluate
from graphreid.papers import fits, provenance
from graphreid.papers.fits import ORDERS_FOLDER, Choice, Fitted, Setup
from graphreid.papers.measures import MEASURES, Trained
from graphreid.papers.paper import Row, Table, with_options
from graphreid.papers.runs import protocol_of, results_of
from graphreid.papers.store import Plan, Run, Store, updated
from graphreid.report.ranked_lists import MAX_ENTRIES
from graphreid.training.run_folder import PARTS

Say = Callable[[str], None]
Train = Callable[[str, int], Trained]
"""From what a row trains and a seed to the embedder, trained or found."""


@dataclass(frozen=True, eq=False)
class Result:
    """A row and its runs.

    Attributes:
        row: the table's.
        runs: one a seed; none where the row was not run.
        missing: why it was not run.
    """

    row: Row
    runs: tuple[Run, ...]
    missing: str | None = None


@dataclass(frozen=True, eq=False)
class _Task:
    """One run: a row with a seed."""

    row: Row
    setup: Setup
    plan: Plan
    key: str
    lists: bool
    trained: Trained | None

    def kind(self, fitted: set[str]) -> str:
        """What it will spend its time on; `fitted` are the fits that will be there."""
        fit = self.plan.fit
        if fit is not None and fit not in fitted and not fits.is_fitted(self.setup, fit):
            return "fit"
        return "choose" if self.row.grid else "rank"

    def order_file(self) -> Path:
        """Where the first gallery images of its queries are kept."""
        return self.setup.work / ORDERS_FOLDER / f"{self.key}.npz"

    def find(self, store: Store) -> Run | None:
        """The run, where it has been made with all that the row wants of it."""
        run = store.runs.get(self.key)
        if run is None or (self.lists and not self.order_file().is_file()):
            return None
        wanted = () if self.row.measure is None else MEASURES[self.row.measure].columns
        return run if set(wanted) <= set(run["measured"]) else None


def run_table(table: Table, setup: Setup, *, seeds: int, say: Say) -> list[Result]:
    """Every row of a table on embeddings that the rows share.

    Methods are fitted on "fit"; options are chosen, and what was learned is validated, on
    "validation"; query and gallery are read by the run that is kept, once.

    Args:
        table: what to run.
        setup: what it runs on.
        seeds: how many, for the rows that are headlines; the others that learn have seed 0.
        say: called with a line for each run.

    Raises:
        ValueError: a part of the data is missing, or what a method refuses.
    """
    _warn(table, setup, say)
    lists = table.kind == "lists"
    tasks = {
        row.name: list(_tasks(row, setup, seeds, lists=lists))
        for row in table.rows
        if not row.missing()
    }
    return _results(table, tasks, say)


def run_trained_table(
    table: Table, train: Train, setup: Callable[[Trained, int], Setup], *, seeds: int, say: Say
) -> tuple[list[Result], dict[str, Trained], Setup]:
    """Every row of a table whose rows train an embedder of their own, from images.

    Args:
        table: what to run.
        train: makes the embedders.
        setup: from an embedder and its seed to what its row runs on.
        seeds: how many, for the rows that are headlines; the others have seed 0.
        say: called with a line for each run.

    Returns:
        The results; the embedder of each row's first seed, by the row's name; and the first row's
        setup.
    """
    tasks: dict[str, list[_Task]] = {}
    trained: dict[str, Trained] = {}
    for row in table.rows:
        tasks[row.name] = []
        for seed in range(seeds if row.headline else 1):
            made = train(row.train or "", seed)
            trained.setdefault(row.name, made)
            with_widths = replace(row, method=_with_widths(row.method, made))
            on = setup(made, seed)
            lists = table.kind == "lists"
            tasks[row.name] += _tasks(with_widths, on, 1, lists=lists, trained=made)
    results = _results(table, tasks, say)
    return results, trained, tasks[table.rows[0].name][0].setup


def orders(setup: Setup, run: Run) -> Int32[np.ndarray, "q top"]:
    """The first gallery images of each query, of a run of a table of kind "lists"."""
    with np.load(setup.work / ORDERS_FOLDER / f"{run.key}.npz") as file:
        return file["order"]


def _results(table: Table, tasks: Mapping[str, list[_Task]], say: Say) -> list[Result]:
    missing = {row.name: why for row in table.rows if (why := row.missing())}
    for name, why in missing.items():
        say(f"{table.id}: {name} is left out: {why}")
    every = {task.key: task for each in tasks.values() for task in each}
    store = Store.read(next(iter(every.values())).setup.results, empty=True)
    made = {key: run for key, task in every.items() if (run := task.find(store)) is not None}
    waiting = [task for key, task in every.items() if key not in made]
    if made:
        say(f"{table.id}: {len(made)} of {len(every)} runs are there already")
    spent: dict[str, list[float]] = {}
    for place, task in enumerate(waiting):
        kind, start = task.kind(set()), time.perf_counter()
        run = _perform(task)
        with updated(task.setup.results) as store:
            former = store.runs.get(run.key)
            if former is not None:  # another table measured something else of it
                run["measured"].update({**former["measured"], **run["measured"]})
            store.runs[run.key] = run
        made[task.key] = run
        seconds = time.perf_counter() - start
        spent.setdefault(kind, []).append(seconds)
        left = _left(spent, waiting[place + 1 :])
        line = f"{task.row.name}{_line(run)}, {_time(seconds)}{left}"
        say(f"{table.id} {place + 1}/{len(waiting)}: {line}")
    return [
        Result(
            row,
            tuple(made[task.key] for task in tasks.get(row.name, ())),
            missing=missing.get(row.name),
        )
        for row in table.rows
    ]


def _tasks(
    row: Row, setup: Setup, seeds: int, *, lists: bool, trained: Trained | None = None
) -> Iterator[_Task]:
    found: list[tuple[int | None, MethodSpec | None]] = [(setup.seed, None)]
    if row.fit is not None:
        spec = setup.fit_spec(row.fit)
        wanted = range(seeds if row.headline else 1)
        numbered = [(seed, fits.seeded(spec, seed)) for seed in wanted]
        found = [(seed, each) for seed, each in numbered if each is not None] or [(None, spec)]
    for seed, fit in found:
        used = ["query", "gallery"]
        if fit is not None:
            used += ["fit", "validation"]
        elif row.grid:
            used += ["validation"]
        method = MethodSpec.parse(row.method, fitted=fit).canonical()
        plan = Plan(
            method=method,
            versions=fits.versions(method),
            fit=None if fit is None else fit.canonical(),
            grid=None if row.grid is None else json.dumps(row.grid),
            digests=setup.digests(*used),
            protocol=protocol_of(setup.protocol),
            setting=parse(method).setting,
            seed=seed,
        )
        yield _Task(row, setup, plan, plan.key(), lists, trained)


def _with_widths(method: str, made: Trained) -> str:
    """A METHOD text in which "parts" has the widths of the network's parts."""
    name, plus, rest = method.partition("+")
    file = made.run / PARTS
    if name != "parts" or not file.is_file():
        return method
    parts = load(file)
    if not isinstance(parts, Parts):
        return method
    return f"{name}:parts={parts.parts},width={parts.width},fixed={parts.fixed}{plus}{rest}"


def _perform(task: _Task) -> Run:
    """Fit, choose, validate, and only then rank the test queries."""
    row, setup, plan = task.row, task.setup, task.plan
    text, fit, choice = row.method, None, None
    if plan.fit is not None:
        fit = fits.fitted(setup, plan.fit)
        text = text.replace(FITTED, str(fit.file))
    if row.grid is not None:
        choice = fits.choose(setup, text, row.grid, spec=plan.method, fit=plan.fit)
        text = with_options(text, choice.options)
    method = parse(text)
    validation = None
    if fit is not None or choice is not None:
        validation = {"mAP": setup.validate(method), "input": setup.validation_input}
    query, gallery = setup.inputs.part("query"), setup.inputs.part("gallery")
    memory.reset_peak()
    report = evaluate(
        method,
        query.features,
        Gallery(gallery.features),
        query.labels,
        gallery.labels,
        protocol=setup.protocol,
        top=MAX_ENTRIES if task.lists else 0,
        name=row.name,
        resources=setup.resources,
    )
    peak = setup.peak_mb()
    if report.order is not None:
        np.savez(task.order_file(), order=report.order)
    measure = None if row.measure is None else MEASURES[row.measure]
    results, queries = results_of(report)
    learned = fits.learned(text)
    columns = {
        "key": task.key,
        "made": datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        "data": setup.inputs.name,
        "method": plan.method,
        "versions": plan.versions,
        "fit": plan.fit,
        "grid": plan.grid,
        "sets": _sets(task),
        "seed": plan.seed,
        **results,
        "measured": {}
        if measure is None
        else dict(measure.function(method, setup.inputs, task.trained)),
        "validation": validation,
        "chosen": None if choice is None else _chosen(choice),
        "learned": json.dumps(learned, allow_nan=False) if learned else None,
        "cost": _cost(fit, report.seconds, peak),
        "embeddings": None
        if setup.inputs.provenance is None
        else json.dumps(setup.inputs.provenance),
        "environment": provenance.environment(setup.resources),
        "code": provenance.code(),
    }
    return Run(columns, **queries)


def _sets(task: _Task) -> dict[str, object]:
    inputs, used = task.setup.inputs, task.plan.digests
    names = ("query", "gallery", "fit", "validation")
    return {name: inputs.part(name).summary() if name in used else None for name in names}


def _chosen(choice: Choice) -> dict[str, object]:
    return {"options": choice.text, "mAP": choice.mAP, "tried": choice.tried}


def _cost(fit: Fitted | None, seconds: float, peak: float) -> dict[str, float | None]:
    return {
        "fit_seconds": None if fit is None else fit.seconds,
        "fit_peak_mb": None if fit is None else fit.peak_mb,
        "rank_seconds": round(seconds, 3),
        "peak_mb": peak,
    }


def _warn(table: Table, setup: Setup, say: Say) -> None:
    if any(row.fit for row in table.rows) and "fit" in setup.inputs.parts:
        seen = setup.inputs.part("fit").seen
        if seen:
            say(
                f"warning: the embedder was trained on the identities of {seen:.0%} of the fit"
                " images, which are closer together than new ones' (train with"
                " --holdout-identities 0.25)"
            )


def _line(run: Run) -> str:
    metrics = run["metrics"]
    seed = "" if run["seed"] is None else f" (seed {run['seed']})"
    interval = f"[{metrics['mAP low']:.3f}, {metrics['mAP high']:.3f}]"
    return f"{seed}: mAP {metrics['mAP']:.3f} {interval}, rank-1 {metrics['rank-1']:.3f}"


def _left(spent: Mapping[str, list[float]], waiting: Sequence[_Task]) -> str:
    """The time that is still needed, from what runs of each kind took so far."""
    every = [seconds for each in spent.values() for seconds in each]
    fitted: set[str] = set()
    total = 0.0
    for task in waiting:
        alike = spent.get(task.kind(fitted), every)
        fitted |= set() if task.plan.fit is None else {task.plan.fit}
        total += sum(alike) / len(alike)
    return f"; about {_time(total)} left" if waiting else ""


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
