"""The pictures of ICG's figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graphreid.datasets.manifest import Manifest, read_manifest
from graphreid.features.features_file import load_features
from graphreid.models.icg.embedder import ICG
from graphreid.papers import figures
from graphreid.papers.measures import Trained
from graphreid.papers.paper import Table
from graphreid.papers.part_overlaps import icg_of
from graphreid.report import part_pictures

SHOWN, IDENTITIES, EACH = 12, 4, 3
"""Images of a figure, one an identity; or so many identities with so many images each."""


def draw(table: Table, trained: Mapping[str, Trained], file: Path) -> str | None:
    """Write the figure of a table of kind "pictures" or "map" whose rows train.

    Args:
        table: what is drawn.
        trained: the rows' embedders, in their order.
        file: the figure, .png or .svg.

    Returns:
        Why there is none, where there are too few identities for it; then no file is written.
    """
    if table.kind == "map":
        return _maps(trained, file)
    figures.save(_DRAWN[table.id](trained), file)
    return None


def _last(trained: Mapping[str, Trained]) -> tuple[ICG, Manifest, Trained]:
    made = list(trained.values())[-1]
    return icg_of(made.run), read_manifest(made.data), made


def _queries(trained: Mapping[str, Trained]) -> part_pictures.PartViews:
    """The parts that the last row's network finds in some queries."""
    embedder, manifest, _ = _last(trained)
    rows = manifest.rows("query")
    rows = rows[manifest.role[rows] == "normal"]
    return part_pictures.view_parts(
        embedder, manifest.images(rows[part_pictures.pick_rows(manifest.identity[rows], SHOWN)])
    )


def _clusters(
    trained: Mapping[str, Trained], identities: int, each: int
) -> tuple[part_pictures.PartViews, dict[int, Any]]:
    """Some training images of the last row, and their pseudo-labels by epoch."""
    embedder, manifest, made = _last(trained)
    rows, labels = part_pictures.pick_labels(
        part_pictures.load_pseudo_labels(made.run), manifest, identities, each
    )
    return part_pictures.view_parts(embedder, manifest.images(rows)), labels


def _development(trained: Mapping[str, Trained], identities: int, each: int) -> Any:
    views, labels = _clusters(trained, identities, each)
    return part_pictures.draw_development(views.pixels, labels)


def _beside(trained: Mapping[str, Trained]) -> Any:
    views, labels = _clusters(trained, SHOWN, 1)
    return part_pictures.draw_parts(views, labels[max(labels)])


def _by_parts(trained: Mapping[str, Trained]) -> Any:
    """Parts of the same queries by each row's network."""
    lines: list[tuple[str, list[Any]]] = []
    for name, made in trained.items():
        views = _queries({name: made})
        lines = lines or [("image", list(views.pixels))]
        lines.append(
            (
                name,
                [
                    part_pictures.paint_parts(*pair)
                    for pair in zip(views.pixels, views.labels, strict=True)
                ],
            )
        )
    return part_pictures.picture_grid(lines)


def _maps(trained: Mapping[str, Trained], file: Path) -> str | None:
    """T-SNE of twenty identities by the first and by the last row's vectors."""
    names = list(trained)
    parts = ("query", "gallery")
    read = {
        name: [load_features(trained[name].embeddings / f"{part}.npz") for part in parts]
        for name in (names[0], names[-1])
    }
    labels = [labels for _, labels in read[names[0]]]
    return figures.draw_maps(
        {name: [features for features, _ in pair] for name, pair in read.items()}, labels, file
    )


_DRAWN: dict[str, Callable[[Mapping[str, Trained]], Any]] = {
    "icg/fig7": lambda trained: part_pictures.draw_foregrounds(_queries(trained)),
    "icg/fig8": lambda trained: part_pictures.draw_matrices(_queries(trained)),
    "icg/fig11": _by_parts,
    "icg/fig12": lambda trained: _development(trained, SHOWN, 1),
    "icg/fig13": _beside,
    "icg/fig14": lambda trained: _development(trained, IDENTITIES, EACH),
}
