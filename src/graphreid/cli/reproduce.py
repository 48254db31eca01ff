"""`graphreid reproduce`: the papers' tables and figures."""

import hashlib
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid import peak_memory as memory
from graphreid.cli.data import import_
from graphreid.cli.embedding import Embedding, Training, embedded
from graphreid.cli.options import ResourceOptions
from graphreid.datasets.manifest import MANIFEST_FILE
from graphreid.datasets.published import SETS
from graphreid.kernels import neighbor_sets as jaccard
from graphreid.kernels import pair_distances as pairs
from graphreid.kernels import rank_counts as counting
from graphreid.metrics.protocol import PROTOCOLS
from graphreid.papers import figures
from graphreid.papers.coverage import COVERAGE, MASKS, select, state
from graphreid.papers.inputs import is_embeddings, load_inputs
from graphreid.papers.pixels import run_trained
from graphreid.papers.publish import publish
from graphreid.papers.recipe import Recipe, Value
from graphreid.papers.run import Result, run
from graphreid.papers.selection import Bench
from graphreid.synthetic.annotations import ANNOTATIONS_FOLDER as TRUTH

IMPORTED = (counting, jaccard, pairs)
"""Memory is counted from after the imports, as in `evaluate`."""


def reproduce(
    *ids: Annotated[
        str, Parameter(help="PAPER/TABLE, such as cagcn/table3; or PAPER for all of its own")
    ],
    list_: Annotated[
        bool,
        Parameter(
            name="--list", negative="", help="show all tables and figures, and what runs here"
        ),
    ] = False,
    data: Annotated[
        Path | None,
        Parameter(
            help="a folder with fit.npz, validation.npz, query.npz and gallery.npz; or a data "
            "folder with images"
        ),
    ] = None,
    name: Annotated[
        str | None, Parameter(help="the data set's name, if not that of --from or the folder's")
    ] = None,
    embedding: Embedding | None = None,
    work: Annotated[
        Path,
        Parameter(
            help="the folder for runs, embeddings, fits and records; what is there is not done "
            "again"
        ),
    ] = Path("runs/reproduce"),
    out: Annotated[Path, Parameter(help="the folder for tables, figures and their records")] = Path(
        "results"
    ),
    seeds: Annotated[
        int, Parameter(help="seeds of the headline rows; the other rows have one")
    ] = 3,
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="an option of methods that are fitted, where a row has none of its own: KEY=VALUE",
        ),
    ] = (),
    preset: Annotated[
        str | None, Parameter(help="likewise a preset of theirs, such as paper")
    ] = None,
    rule: Annotated[
        Literal["market", "no-camera", "layumi"], Parameter(help="which images count")
    ] = "market",
    pictures: Annotated[
        bool,
        Parameter(
            negative="",
            help="put the images themselves into ranked lists; not of people who did not agree",
        ),
    ] = False,
    options: ResourceOptions | None = None,
) -> None:
    """Make the papers' tables and figures on your data, their numbers and ours side by side.

    Methods are fitted on the fit identities, settings are chosen on the validation identities, and
    both are kept away from the
    embedder and from the test. Every run is kept: interrupted, the same command goes on.
    """
    if list_ or not ids:
        _list()
        return
    recipes = select(ids)
    if data is None:
        raise ValueError(
            "--data is needed: a folder with fit.npz, validation.npz, query.npz and gallery.npz, "
            "or a data folder"
        )
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}: it must be at least 1")
    figures.require(recipes)
    base = memory.resident()
    given = dict(map(_option, set_))
    embedding = embedding or Embedding()
    name = name or embedding.from_ or data.resolve().name
    if embedding.from_ is not None:
        data = _imported(data, embedding.from_, work)
    recipes = _possible(recipes, data)
    _refuse_idle(recipes, data, embedding, given=bool(given or preset))
    training = Training(data, work, embedding, options)
    folder = _folder(recipes, data, work, embedding, name=name, options=options)
    with (options or ResourceOptions()).resources() as resources:

        def bench(where: Path, seed: int | None = None) -> Bench:
            inputs = load_inputs(where, name)
            if pictures and any(inputs.part(part).paths is None for part in ("query", "gallery")):
                raise ValueError(
                    f"{where}: the features files name no images (column path): leave --pictures "
                    f"out"
                )
            return Bench(inputs, work, PROTOCOLS[rule], resources, given, preset, base, seed)

        shared = None if folder is None else bench(folder)
        for recipe in recipes:
            results, on, draw = _run(recipe, shared, training, bench, seeds)
            shown = _command(recipe, name, seeds, set_, preset, rule, embedding)
            page = publish(recipe, results, on, out, command=shown, pictures=pictures, draw=draw)
            print(f"{recipe.id}: {page}", flush=True)
    print(
        f"All tables of this set: {out / name / 'README.md'}; records: {out / 'records'}; kept for "
        f"next time: {work}"
    )


def _possible(recipes: Sequence[Recipe], data: Path) -> list[Recipe]:
    """Those that the data suffice for; the others are named, before hours were spent.

    Raises:
        ValueError: they suffice for none.
    """
    possible: list[Recipe] = []
    for recipe in recipes:
        lacking = ""
        if recipe.trains and not (data / MANIFEST_FILE).is_file():
            lacking = (
                f"these rows train their own networks, from images, and {data} is no data "
                f"folder ({MANIFEST_FILE})"
            )
        elif COVERAGE[recipe.id].needs == MASKS and not (data / TRUTH).is_dir():
            lacking = (
                f"it needs part masks, and {data} has none ('graphreid data render' draws them)"
            )
        if not lacking:
            possible.append(recipe)
        elif len(recipes) == 1:
            raise ValueError(f"{recipe.id}: {lacking}")
        else:
            print(f"{recipe.id} is left out: {lacking}", flush=True)
    if not possible:
        raise ValueError(
            f"{data}: too little for any of these tables: see 'needs' in 'graphreid reproduce "
            f"--list'"
        )
    return possible


def _refuse_idle(
    recipes: Sequence[Recipe], data: Path, embedding: Embedding, *, given: bool
) -> None:
    """Refuse options that would do nothing."""
    own = any(recipe.trains for recipe in recipes)
    shared = not all(recipe.trains for recipe in recipes) and not is_embeddings(data)
    embedding.refuse_idle(training=own or (shared and embedding.model is None), embedding=shared)
    if given and not any(row.fit for recipe in recipes for row in recipe.rows):
        raise ValueError("--set and --preset would do nothing: no row of these tables is fitted")


def _folder(
    recipes: Sequence[Recipe],
    data: Path,
    work: Path,
    embedding: Embedding,
    *,
    name: str,
    options: ResourceOptions | None,
) -> Path | None:
    """The folder with the embeddings that rows share; None where every row trains its own."""
    if all(recipe.trains for recipe in recipes):
        return None
    return (
        data if is_embeddings(data) else embedded(data, work, embedding, name=name, options=options)
    )


def _run(
    recipe: Recipe,
    shared: Bench | None,
    training: Training,
    bench: Callable[[Path, int | None], Bench],
    seeds: int,
) -> tuple[list[Result], Bench, Callable[[Path], str | None] | None]:
    """The results of a recipe, what it ran on, and what draws its pictures."""
    say = partial(print, flush=True)
    if shared is not None and not recipe.trains:
        return run(recipe, shared, seeds=seeds, say=say), shared, None
    from graphreid.papers import part_figures  # noqa: PLC0415  # networks and pictures take seconds to import

    results, trained, on = run_trained(
        recipe, training.make, lambda made, seed: bench(made.embeddings, seed), seeds=seeds, say=say
    )
    return results, on, lambda file: part_figures.draw(recipe, trained, file)


def _command(
    recipe: Recipe,
    name: str,
    seeds: int,
    set_: tuple[str, ...],
    preset: str | None,
    rule: str,
    embedding: Embedding,
) -> str:
    """What makes a page again. Embeddings that rows share say in their provenance how they were
    made.
    """
    words = [
        "graphreid",
        "reproduce",
        recipe.id,
        "--data",
        "DIR",
        "--name",
        name,
        "--seeds",
        str(seeds),
    ]
    if recipe.trains:
        words += (
            [] if embedding.train_preset == "small" else ["--train-preset", embedding.train_preset]
        )
        words += [word for pair in embedding.train_set for word in ("--train-set", pair)]
        words += [] if embedding.weights is None else ["--weights", embedding.weights.name]
        words += [] if embedding.flip else ["--no-flip"]
    words += [word for pair in set_ for word in ("--set", pair)]
    words += [] if preset is None else ["--preset", preset]
    return shlex.join(words + ([] if rule == "market" else ["--rule", rule]))


def _option(pair: str) -> tuple[str, Value]:
    key, equals, value = pair.partition("=")
    if not equals or not key or not value or set(pair) & set(",:+"):
        raise ValueError(f"--set {pair}: write KEY=VALUE")
    return key, value


def _imported(source: Path, set_: str, work: Path) -> Path:
    """The data folder of a public set, with links to its images, made where it is not there yet."""
    if set_ not in SETS:
        raise ValueError(f"--from {set_}: choose one of {', '.join(SETS)}")
    work.mkdir(parents=True, exist_ok=True)
    digest = hashlib.blake2b(str(source.resolve()).encode(), digest_size=4).hexdigest()
    out = work / f"{set_}-images-{digest}"
    if not (out / MANIFEST_FILE).is_file():
        import_(set_, source, out=out, link=True)
    return out


def _list() -> None:
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption=f"{len(COVERAGE)} tables and figures; any data set will do for each.",
    )
    for column in ("id", "what", "needs", "the paper's own data", "in this version"):
        table.add_column(column, no_wrap=column == "id", overflow="fold")
    for key, entry in COVERAGE.items():
        table.add_row(*map(escape, (key, entry.what, entry.needs, entry.sets, state(key))))
    # a pipe has no width
    Console(width=None if sys.stdout.isatty() else 160).print(table)
