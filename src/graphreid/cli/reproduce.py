"""`graphreid papers reproduce`: the papers' tables and figures on your data."""

import hashlib
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

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
from graphreid.papers.fits import Setup
from graphreid.papers.inputs import is_embeddings, load_inputs
from graphreid.papers.pages import Draw, publish, write_indexes
from graphreid.papers.paper import MASKS, Table, Value, select
from graphreid.papers.runner import Result, run_table, run_trained_table
from graphreid.papers.store import Store
from graphreid.synthetic.annotations import ANNOTATIONS_FOLDER as ANNOTATIONS

IMPORTED = (counting, jaccard, pairs)
"""Memory is counted from after the imports, as in `evaluate`."""


def reproduce(
    *ids: Annotated[
        str, Parameter(help="PAPER/TABLE, such as cagcn/table3; or PAPER for all of its own")
    ],
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
            help="the folder for trainings, embeddings and fits; what is there is not done again"
        ),
    ] = Path("runs/reproduce"),
    results: Annotated[
        Path,
        Parameter(help="the folder of the store: every run is kept there, with tables and figures"),
    ] = Path("results"),
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
    both are kept away from the embedder and from the test. Every run is kept: interrupted, the same
    command goes on.
    """
    if not ids:
        raise ValueError("no table was named: 'graphreid papers list' shows all of them")
    tables = select(ids)
    if data is None:
        raise ValueError(
            "--data is needed: a folder with fit.npz, validation.npz, query.npz and gallery.npz, "
            "or a data folder"
        )
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}: it must be at least 1")
    figures.require(tables)
    base = memory.resident()
    given = dict(map(_option, set_))
    embedding = embedding or Embedding()
    name = name or embedding.from_ or data.resolve().name
    if embedding.from_ is not None:
        data = _imported(data, embedding.from_, work)
    tables = _possible(tables, data)
    _refuse_idle(tables, data, embedding, given=bool(given or preset))
    training = Training(data, work, embedding, options)
    folder = _folder(tables, data, work, embedding, name=name, options=options)
    with (options or ResourceOptions()).resources() as resources:

        def setup(where: Path, seed: int | None = None) -> Setup:
            inputs = load_inputs(where, name)
            if pictures and any(inputs.part(part).paths is None for part in ("query", "gallery")):
                raise ValueError(
                    f"{where}: the features files name no images (column path): leave --pictures "
                    "out"
                )
            return Setup(
                inputs, work, results, PROTOCOLS[rule], resources, given, preset, base, seed
            )

        shared = None if folder is None else setup(folder)
        for table in tables:
            made, on, draw = _run(table, shared, training, setup, seeds)
            shown = _command(table, name, seeds, set_, preset, rule, embedding)
            page = publish(table, made, on, command=shown, pictures=pictures, draw=draw)
            print(f"{table.id}: {page}", flush=True)
    write_indexes(Store.read(results))
    print(f"All tables of this set: {results / name / 'README.md'}; kept for next time: {work}")


def _possible(tables: Sequence[Table], data: Path) -> list[Table]:
    """Those that the data suffice for; the others are named, before hours were spent.

    Raises:
        ValueError: they suffice for none.
    """
    possible: list[Table] = []
    for table in tables:
        lacking = ""
        if table.trains and not (data / MANIFEST_FILE).is_file():
            lacking = (
                f"these rows train their own networks, from images, and {data} is no data "
                f"folder ({MANIFEST_FILE})"
            )
        elif table.needs == MASKS and not (data / ANNOTATIONS).is_dir():
            lacking = (
                f"it needs part masks, and {data} has none ('graphreid data render' draws them)"
            )
        if not lacking:
            possible.append(table)
        elif len(tables) == 1:
            raise ValueError(f"{table.id}: {lacking}")
        else:
            print(f"{table.id} is left out: {lacking}", flush=True)
    if not possible:
        raise ValueError(
            f"{data}: too little for any of these tables: see 'needs' in 'graphreid papers list'"
        )
    return possible


def _refuse_idle(tables: Sequence[Table], data: Path, embedding: Embedding, *, given: bool) -> None:
    """Refuse options that would do nothing."""
    own = any(table.trains for table in tables)
    shared = not all(table.trains for table in tables) and not is_embeddings(data)
    embedding.refuse_idle(training=own or (shared and embedding.model is None), embedding=shared)
    if given and not any(row.fit for table in tables for row in table.rows):
        raise ValueError("--set and --preset would do nothing: no row of these tables is fitted")


def _folder(
    tables: Sequence[Table],
    data: Path,
    work: Path,
    embedding: Embedding,
    *,
    name: str,
    options: ResourceOptions | None,
) -> Path | None:
    """The folder with the embeddings that rows share; None where every row trains its own."""
    if all(table.trains for table in tables):
        return None
    return (
        data if is_embeddings(data) else embedded(data, work, embedding, name=name, options=options)
    )


def _run(
    table: Table,
    shared: Setup | None,
    training: Training,
    setup: Callable[[Path, int | None], Setup],
    seeds: int,
) -> tuple[list[Result], Setup, Draw | None]:
    """The results of a table, what it ran on, and what draws its pictures."""
    say = partial(print, flush=True)
    if shared is not None and not table.trains:
        return run_table(table, shared, seeds=seeds, say=say), shared, None
    from graphreid.papers import part_figures  # noqa: PLC0415  # networks and pictures take seconds to import

    results, trained, on = run_trained_table(
        table, training.make, lambda made, seed: setup(made.embeddings, seed), seeds=seeds, say=say
    )
    return results, on, lambda file: part_figures.draw(table, trained, file)


def _command(
    table: Table,
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
        "papers",
        "reproduce",
        table.id,
        "--data",
        "DIR",
        "--name",
        name,
        "--seeds",
        str(seeds),
    ]
    if table.trains:
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
