"""The pictures of ICG's recipes, and what is measured of its embedders."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphreid.atomic_files import whole_file
from graphreid.datasets.manifest import Manifest, read_manifest
from graphreid.features.features_file import load_features
from graphreid.models import load_embedder
from graphreid.models.icg.embedder import ICG
from graphreid.papers import figures
from graphreid.papers.pixels import Trained
from graphreid.papers.recipe import Recipe
from graphreid.report import part_pictures as pictures
from graphreid.synthetic.annotations import part_overlap, read_annotations
from graphreid.training.run_folder import MODEL

SHOWN, IDENTITIES, EACH = 12, 4, 3
"""Images of a figure, one an identity; or so many identities with so many images each."""
BATCH = 64
"""Images in the network while its speed is measured."""
SECONDS = 2
"""For so long, at least."""


def cost(run: Path, _: Path) -> dict[str, float]:
    """Parameters that vectors take (so without classifiers), multiplications with additions, and
    images a second.
    """
    network, (height, width) = load_embedder(run / MODEL).fitted()
    size = sum(
        each.numel() for name, each in network.named_parameters() if "classifier" not in name
    )
    pixels = torch.rand(BATCH, 3, height, width)
    counted = [0]

    def count(module: Any, _: Any, made: torch.Tensor) -> None:
        inner = module.weight[0].numel()  # products for each entry that comes out
        counted[0] += made[0].numel() * inner

    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [
        each.register_forward_hook(count) for each in network.modules() if isinstance(each, kinds)
    ]
    with torch.inference_mode():
        network.eval()(pixels)
        for hook in hooks:
            hook.remove()
        start, times = time.perf_counter(), 0
        while times < 3 or time.perf_counter() - start < SECONDS:
            network(pixels)
            times += 1
    speed = times * BATCH / (time.perf_counter() - start)
    return {"parameters, M": size / 1e6, "multiply-adds, G": counted[0] / 1e9, "images/s": speed}


def overlaps(run: Path, data: Path) -> dict[str, float]:
    """Intersection over union with the truth: of the last clusters in the training images, and of
    the parts in the queries.

    Raises:
        ValueError: the data folder has no part masks, or the run no parts.
    """
    embedder, found, manifest = _icg(run), pictures.development(run), read_manifest(data)
    labels, items = found[max(found)]
    train = part_overlap(labels, read_annotations(data, items).mask)
    rows = manifest.rows("query")
    views = [
        pictures.look(embedder, manifest.images(part)).labels
        for part in np.array_split(rows, max(1, len(rows) // 256))
    ]
    test = part_overlap(np.concatenate(views), read_annotations(data, manifest.item[rows]).mask)
    named = {
        f"clusters, {name}": float(value) for name, value in zip(pictures.NAMES, train, strict=True)
    }
    return named | {
        f"parts, {name}": float(value) for name, value in zip(pictures.NAMES, test, strict=True)
    }


def draw(recipe: Recipe, trained: Mapping[str, Trained], file: Path) -> str | None:
    """Write the figure of a recipe of kind "pictures" or "map" whose rows train.

    Args:
        recipe: what is drawn.
        trained: the rows' embedders, in their order.
        file: the figure, .png or .svg.

    Returns:
        Why there is none, where there are too few identities for it; then no file is written.
    """
    if recipe.kind == "map":
        return _maps(trained, file)
    figure = _DRAWN[recipe.id](trained)
    with whole_file(file) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    return None


def _icg(run: Path) -> ICG:
    embedder = load_embedder(run / MODEL)
    if not isinstance(embedder, ICG):
        raise ValueError(f"{run}: not a run of 'graphreid train --model icg'")
    return embedder


def _last(trained: Mapping[str, Trained]) -> tuple[ICG, Manifest, Trained]:
    made = list(trained.values())[-1]
    return _icg(made.run), read_manifest(made.data), made


def _queries(trained: Mapping[str, Trained]) -> pictures.Views:
    """What the last row's network sees in some queries."""
    embedder, manifest, _ = _last(trained)
    rows = manifest.rows("query")
    rows = rows[manifest.role[rows] == "normal"]
    return pictures.look(
        embedder, manifest.images(rows[pictures.few(manifest.identity[rows], SHOWN)])
    )


def _clusters(
    trained: Mapping[str, Trained], identities: int, each: int
) -> tuple[pictures.Views, dict[int, Any]]:
    """Some training images of the last row, and their pseudo-labels by epoch."""
    embedder, manifest, made = _last(trained)
    rows, labels = pictures.some(pictures.development(made.run), manifest, identities, each)
    return pictures.look(embedder, manifest.images(rows)), labels


def _development(trained: Mapping[str, Trained], identities: int, each: int) -> Any:
    views, labels = _clusters(trained, identities, each)
    return pictures.draw_development(views.pixels, labels)


def _beside(trained: Mapping[str, Trained]) -> Any:
    views, labels = _clusters(trained, SHOWN, 1)
    return pictures.draw_parts(views, labels[max(labels)])


def _by_parts(trained: Mapping[str, Trained]) -> Any:
    """Parts of the same queries by each row's network."""
    lines: list[tuple[str, list[Any]]] = []
    for name, made in trained.items():
        views = _queries({name: made})
        lines = lines or [("image", list(views.pixels))]
        lines.append(
            (
                name,
                [pictures.painted(*pair) for pair in zip(views.pixels, views.labels, strict=True)],
            )
        )
    return pictures.grid(lines)


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
    "icg/fig7": lambda trained: pictures.draw_foregrounds(_queries(trained)),
    "icg/fig8": lambda trained: pictures.draw_matrices(_queries(trained)),
    "icg/fig11": _by_parts,
    "icg/fig12": lambda trained: _development(trained, SHOWN, 1),
    "icg/fig13": _beside,
    "icg/fig14": lambda trained: _development(trained, IDENTITIES, EACH),
}
