"""`graphreid gallery`: a gallery on disk that grows while it is searched."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid.atomic_files import whole_file, whole_folder
from graphreid.cli.options import ResourceOptions
from graphreid.datasets.images import Images
from graphreid.explanation_json import ExplanationGraph
from graphreid.extras import require
from graphreid.features.features_file import load_embedder_name, load_features, load_vectors
from graphreid.methods.spec import parse
from graphreid.models import load_embedder, name_of
from graphreid.store import (
    GalleryConfig,
    PersistentGallery,
    SearchResult,
    choose_threshold,
    find_threshold,
    online_method,
)
from graphreid.store import explain as explain_query
from graphreid.store import search as search_gallery
from graphreid.store.import_export import export_images, read_images
from graphreid.store.summary import summarize
from graphreid.training.run_folder import MODEL, is_complete, read_config
from graphreid.types import Features, drop_junk

Folder = Annotated[Path, Parameter(help="the gallery's folder")]
Embedder = Annotated[
    str | None, Parameter(help="names what made the vectors, where the features file does not say")
]
SHOWN = 5
"""Items that a line names before it says how many more there are."""


def create(
    gallery: Folder,
    /,
    *,
    features: Annotated[
        tuple[Path, ...], Parameter(help="features files of the first images", negative="")
    ] = (),
    width: Annotated[
        int | None, Parameter(help="entries of a vector, for a gallery that starts empty")
    ] = None,
    images: Annotated[
        Path | None, Parameter(help="the folder that the images' paths start from, for thumbnails")
    ] = None,
    embedder: Embedder = None,
    metric: Annotated[
        Literal["cosine", "euclidean"], Parameter(help="what a distance is")
    ] = "cosine",
    zero: Annotated[
        Literal["refuse", "keep"], Parameter(help="what to do with a vector of zeros")
    ] = "refuse",
    k: Annotated[int, Parameter(help="neighbours of each image that are always at hand")] = 70,
    margin: Annotated[
        int,
        Parameter(help="neighbours beyond these, so that removing images seldom leaves too few"),
    ] = 26,
    options: ResourceOptions | None = None,
) -> None:
    """Make a gallery on disk.

    It is there whole or not at all. What made the vectors is noted, and vectors that something else
    made are refused later.
    """
    require("gallery", "a gallery on disk")
    if (width is None) == (not features):
        raise ValueError(
            "give --features FILE for the first images, or --width for a gallery that starts "
            "empty: one of the two"
        )
    if images is not None and not images.is_dir():
        raise ValueError(
            f"{images}: no such folder: --images is where the images' paths start from"
        )
    if features:
        width = load_vectors(features[0], zero=zero).width
        embedder = _made_by(features[0], embedder)
    root = None if images is None else str(images.resolve())
    config = GalleryConfig(
        width or 0, metric=metric, embedder=embedder, zero=zero, images=root, k=k, margin=margin
    )
    with (options or ResourceOptions()).resources() as resources, whole_folder(gallery) as made:
        opened = PersistentGallery.create(made, config, resources=resources)
        lines = [_added(opened, file, embedder) for file in features]
        opened.save_index(resources=resources)
        lines.append(f"{gallery}: {len(opened.snapshot()):,} images, vectors {config.width} wide")
    print("\n".join(lines))


def add(
    gallery: Folder,
    /,
    *,
    features: Annotated[tuple[Path, ...], Parameter(help="features files", negative="")],
    embedder: Embedder = None,
    options: ResourceOptions | None = None,
) -> None:
    """Add the images of features files to a gallery.

    Each file is added whole or not at all, and what a line says is added is on disk. Items must be
    new.
    """
    opened = PersistentGallery(gallery)
    for file in features:
        print(_added(opened, file, embedder), flush=True)
    with (options or ResourceOptions()).resources() as resources:
        opened.save_index(resources=resources)
    print(f"{gallery}: {len(opened.snapshot()):,} images")


def remove(
    gallery: Folder,
    /,
    *items: Annotated[str, Parameter(help="items to remove")],
    list_: Annotated[
        Path | None, Parameter(name="--list", help="a file with an item in each line")
    ] = None,
    options: ResourceOptions | None = None,
) -> None:
    """Remove images from a gallery, all or none."""
    names = [*items, *(() if list_ is None else _lines(list_))]
    if not names:
        raise ValueError("no items: name them, or give a file with --list")
    opened = PersistentGallery(gallery)
    opened.remove(np.array(names))
    print(f"{gallery}: removed {_some(names)}", flush=True)
    with (options or ResourceOptions()).resources() as resources:
        opened.save_index(resources=resources)
    print(f"{gallery}: {len(opened.snapshot()):,} images")


@Parameter(name="*")
@dataclass(frozen=True)
class Queries:
    """What is searched for: one of these."""

    features: Annotated[Path | None, Parameter(help="a features file")] = None
    image: Annotated[
        tuple[Path, ...], Parameter(help="image files, with --model", negative="")
    ] = ()
    item: Annotated[
        tuple[str, ...],
        Parameter(help="items of the gallery, which do not find themselves", negative=""),
    ] = ()
    model: Annotated[Path | None, Parameter(help="the run that made the gallery's vectors")] = None
    camera: Annotated[
        str | None, Parameter(help="of the image files, for methods that want one")
    ] = None


def search(
    gallery: Folder,
    /,
    *,
    queries: Queries | None = None,
    method: Annotated[
        str, Parameter(help="METHOD, as in 'graphreid rerank'; it is used in its online setting")
    ] = "cosine",
    top: Annotated[int, Parameter(help="images to give for each query")] = 10,
    embedder: Embedder = None,
    json_: Annotated[
        Path | None, Parameter(name="--json", help="write the results to a file, in full")
    ] = None,
    options: ResourceOptions | None = None,
) -> None:
    """Search a gallery, each query by itself.

    Where 'graphreid gallery calibrate' has chosen a threshold for the method, a query is unknown if
    its first image is beyond.
    """
    opened = PersistentGallery(gallery)
    chosen = online_method(parse(method), method)
    threshold = find_threshold(opened, chosen)
    with (options or ResourceOptions()).resources() as resources:
        snapshot = opened.snapshot()
        query = _queries(opened, snapshot, queries or Queries(), embedder, resources)
        results = search_gallery(
            snapshot, chosen, query, top=top, threshold=threshold, resources=resources
        )
    if json_ is not None:
        content = {
            "method": method,
            "threshold": None if threshold is None else asdict(threshold),
            "results": [asdict(result) for result in results],
        }
        with whole_file(json_) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        print(f"{json_}: {len(results)} results")
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    for result in results:
        console.print(_table(result, with_threshold=threshold is not None))
    if threshold is None:
        print(
            f"no threshold for {method}: 'graphreid gallery calibrate' chooses one, and results "
            f"then say which queries are unknown"
        )


def explain(
    gallery: Folder,
    /,
    *,
    queries: Queries | None = None,
    method: Annotated[
        str,
        Parameter(help="METHOD that makes a graph, such as cagcn's file; in its online setting"),
    ],
    top: Annotated[
        int, Parameter(help="images of the graph to show, those that the method puts first")
    ] = 10,
    embedder: Embedder = None,
    json_: Annotated[
        Path | None, Parameter(name="--json", help="write the whole graph to a file")
    ] = None,
    options: ResourceOptions | None = None,
) -> None:
    """Show a method's graph of one query: its images, the strongest edge to each, and their ranks
    before and after.
    """
    if top < 1:
        raise ValueError(f"top is {top}: ask for at least one image")
    opened = PersistentGallery(gallery)
    chosen = online_method(parse(method), method)
    with (options or ResourceOptions()).resources() as resources:
        snapshot = opened.snapshot()
        query = _queries(opened, snapshot, queries or Queries(), embedder, resources)
        graph = explain_query(snapshot, chosen, method, query, resources=resources)
    if json_ is not None:
        with whole_file(json_) as temporary:
            temporary.write_text(graph.model_dump_json(indent=1) + "\n")
        print(f"{json_}: {len(graph.nodes)} images, {len(graph.edges)} edges")
        return
    Console(width=None if sys.stdout.isatty() else 160).print(_graph_table(graph, top))


def _graph_table(graph: ExplanationGraph, top: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=escape(graph.query), title_justify="left")
    numbers = ("rank after", "before", "probability", "weight to query")
    for column in (*numbers[:2], "item", *numbers[2:], "strongest source"):
        justify = "right" if column in numbers else "left"
        table.add_column(column, justify=justify, overflow="fold")
    for place in graph.first(top):
        node = graph.nodes[place]
        sources = [
            f"{graph.nodes[edge.source].item} ({edge.weight:.3f})"
            for edge in graph.strongest_sources(place, 1)
        ]
        cells = [
            str(node.rank_after),
            str(node.rank_before),
            node.item,
            *(
                "-" if value is None else f"{value:.3f}"
                for value in (node.probability, node.query_weight)
            ),
            *(sources or ["-"]),
        ]
        table.add_row(*map(escape, cells))
    return table


def info(
    gallery: Folder,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative="", help="as JSON")] = False,
) -> None:
    """Say what a gallery holds."""
    known = summarize(PersistentGallery(gallery))
    if json_:
        print(json.dumps(known, indent=1))
        return
    chosen: list[dict[str, Any]] = known.pop("thresholds")
    for name, value in known.items():
        print(
            f"{name.replace('_', ' '):<12} "
            f"{'-' if value is None else f'{value:,}' if isinstance(value, int) else value}"
        )
    for each in chosen:
        rates = (
            f"FPIR {each['false_positive_rate']:.2%}, DIR {each['identification_rate']:.1%} "
            f"of "
            f"{each['queries']:,} queries"
        )
        print(
            f"{'threshold':<12} {each['method']}: {each['score']} {each['threshold']:.4f}; "
            f"{rates}, {each['images']:,} images"
        )


def calibrate(
    gallery: Folder,
    /,
    *,
    query: Annotated[Path, Parameter(help="features of labelled queries")],
    method: Annotated[
        str, Parameter(help="METHOD, as in 'graphreid rerank'; it is used in its online setting")
    ] = "cosine",
    fpir: Annotated[
        float,
        Parameter(
            help="false positive identification rate: share of unknown queries that may pass"
        ),
    ] = 0.01,
    unknowns: Annotated[
        Literal["given", "removed"],
        Parameter(
            help="unknown queries: those whose identity is not in the gallery, or all with their "
            "right images hidden"
        ),
    ] = "given",
    rule: Annotated[
        Literal["market", "no-camera"],
        Parameter(help="whether pairs of one camera and identity count"),
    ] = "market",
    embedder: Embedder = None,
    options: ResourceOptions | None = None,
) -> None:
    """Choose the threshold beyond which a query is unknown, for one method, on labelled queries.

    It is the largest at which the first image of at most this share of the unknown queries passes.
    It holds for a gallery of
    about this size: the more images there are, the more unknown queries find one that passes.
    """
    opened = PersistentGallery(gallery)
    chosen = online_method(parse(method), method)
    opened.check_embedder(_made_by(query, embedder), str(query))
    images, labels = drop_junk(*load_features(query, zero=opened.config.zero))
    with (options or ResourceOptions()).resources() as resources:
        made = choose_threshold(
            opened,
            method,
            chosen,
            images,
            labels,
            rate=fpir,
            unknowns=unknowns,
            protocol=rule,
            resources=resources,
        )
    print(
        f"{gallery}: {made.score} {made.threshold:.4f} for {method}: "
        f"{made.false_positive_rate:.2%} of the unknown queries pass,"
        f" and {made.identification_rate:.1%} of the known ones are identified ({made.queries:,} "
        f"queries, {made.images:,} images)"
    )


def export(
    gallery: Folder,
    /,
    *,
    out: Annotated[Path, Parameter(help="the features file, x.npz; with another ending a folder")],
) -> None:
    """Write a gallery as a features file."""
    images, left = export_images(PersistentGallery(gallery), out)
    print(f"{out}: {images:,} images")
    if left:
        print(
            f"left out, for some images have none, or a features file has no such column: "
            f"{', '.join(left)}"
        )


def _made_by(file: Path, embedder: str | None) -> str | None:
    """What made the vectors of a features file: as it says itself, or as the user says where it
    does not.
    """
    named = load_embedder_name(file)
    if None not in (named, embedder) and named != embedder:
        raise ValueError(
            f"{file}: made with {named}, as it says itself, and not with {embedder}: leave "
            f"--embedder out"
        )
    return named or embedder


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: not text ({error}): give an item in each line, in UTF-8"
        ) from None


def _added(gallery: PersistentGallery, file: Path, embedder: str | None) -> str:
    new = read_images(file, zero=gallery.config.zero)
    gallery.check_embedder(_made_by(file, embedder), str(file))
    try:
        gallery.add(new.features, new.texts)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return f"{file}: added {len(new.features):,} images" + (
        f", left out {new.junk:,} that are junk" if new.junk else ""
    )


def _queries(
    gallery: PersistentGallery,
    snapshot: Any,
    queries: Queries,
    embedder: str | None,
    resources: Any,
) -> Features:
    if sum((queries.features is not None, bool(queries.image), bool(queries.item))) != 1:
        raise ValueError(
            "what is searched for? Give --features FILE, --image FILE or --item ITEM: one of the "
            "three"
        )
    for name, given in (("--model", queries.model), ("--camera", queries.camera)):
        if given is not None and not queries.image:
            raise ValueError(f"{name} is for --image: leave it out")
    if embedder is not None and queries.features is None:
        raise ValueError("--embedder is for --features: leave it out")
    if queries.item:
        return snapshot.searchable().features.take(
            np.array([snapshot.row(item) for item in queries.item])
        )
    if queries.features is not None:
        gallery.check_embedder(_made_by(queries.features, embedder), str(queries.features))
        return load_vectors(queries.features, zero=gallery.config.zero)
    if queries.model is None:
        raise ValueError("--image needs --model RUN, which made the gallery's vectors")
    read_config(queries.model)
    if not is_complete(queries.model):
        raise ValueError(
            f"{queries.model}: its training has not ended: go on with the same 'graphreid train' "
            f"command"
        )
    network = load_embedder(queries.model / MODEL)
    gallery.check_embedder(
        name_of(queries.model / MODEL, flip=network.flip_average), str(queries.model)
    )
    camera = None if queries.camera is None else np.full(len(queries.image), queries.camera)
    return network.embed(
        Images(queries.image, np.array([f"query {path}" for path in queries.image]), camera),
        resources=resources,
    )


def _table(result: SearchResult, *, with_threshold: bool) -> Table:
    verdict = " [bold]unknown[/bold]" if result.unknown else ""
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{escape(result.query)}{verdict}",
        title_justify="left",
    )
    for column in ("", "item", "identity", "camera"):
        table.add_column(column, overflow="fold")
    has_probability = any(match.probability is not None for match in result.matches)
    for column in (
        "distance",
        *(("probability",) if has_probability else ()),
        *(("within threshold",) if with_threshold else ()),
    ):
        table.add_column(column, justify="right")
    for place, match in enumerate(result.matches, 1):
        cells = [
            str(place),
            match.item,
            match.identity or "-",
            match.camera or "-",
            f"{match.distance:.4f}",
        ]
        cells += [f"{match.probability:.3f}"] if match.probability is not None else []
        cells += ["yes" if match.within_threshold else "no"] if with_threshold else []
        table.add_row(*map(escape, cells))
    return table


def _some(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
