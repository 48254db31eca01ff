"""Rows that train an embedder of their own, from images: each is trained, embeds, and is judged on
its own vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from graphreid.methods import Parts
from graphreid.methods.persistence import load
from graphreid.papers.recipe import Recipe
from graphreid.papers.records import write_record
from graphreid.papers.run import Result, Say, run
from graphreid.papers.selection import RECORDS, Bench
from graphreid.training.run_folder import PARTS

NAME = "parts"
"""The method whose widths are the network's."""


@dataclass(frozen=True)
class Trained:
    """An embedder that was trained for a row.

    Attributes:
        run: its folder.
        data: the data folder.
        embeddings: the folder with its vectors of query and gallery.
    """

    run: Path
    data: Path
    embeddings: Path


Make = Callable[[str, int], Trained]
"""From what a row trains and a seed to the embedder, trained or found."""


def run_trained(
    recipe: Recipe, make: Make, bench: Callable[[Trained, int], Bench], *, seeds: int, say: Say
) -> tuple[list[Result], dict[str, Trained], Bench]:
    """Every row of a recipe whose rows train; headlines with every seed, the others with seed 0.

    Returns:
        The results; the embedder of each row's first seed, by the row's name; and the first row's
        bench.
    """
    results: list[Result] = []
    trained: dict[str, Trained] = {}
    first: Bench | None = None
    for row in recipe.rows:
        records = []
        for seed in range(seeds if row.headline else 1):
            made = make(row.train or "", seed)
            trained.setdefault(row.name, made)
            on = bench(made, seed)
            first = first or on
            lists = replace(
                recipe, rows=(replace(row, method=_with_widths(row.method, made)),), claims=()
            )
            [result] = run(lists, on, seeds=1, say=say)
            for record in result.records:
                if row.look is not None and not record["measured"]:
                    record["measured"] = dict(row.look(made.run, made.data))
                    write_record(on.work / RECORDS, record)
                records.append(record)
        results.append(Result(row, tuple(records)))
    if first is None:
        raise ValueError(f"{recipe.id}: it has no rows")
    return results, trained, first


def _with_widths(method: str, made: Trained) -> str:
    """A METHOD text in which "parts" has the widths of the network's blocks."""
    name, plus, rest = method.partition("+")
    file = made.run / PARTS
    if name != NAME or not file.is_file():
        return method
    parts = load(file)
    if not isinstance(parts, Parts):
        return method
    return f"{NAME}:parts={parts.parts},width={parts.width},fixed={parts.fixed}{plus}{rest}"
