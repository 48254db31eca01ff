"""How far the parts that ICG finds overlap with the part masks of a rendered set."""

from pathlib import Path

import numpy as np

from graphreid.datasets.manifest import read_manifest
from graphreid.models import load_embedder
from graphreid.models.icg.embedder import ICG
from graphreid.report import part_pictures
from graphreid.synthetic.annotations import part_overlap, read_annotations
from graphreid.training.run_folder import MODEL


def icg_of(run: Path) -> ICG:
    """The embedder of a training run.

    Raises:
        ValueError: it is no ICG.
    """
    embedder = load_embedder(run / MODEL)
    if not isinstance(embedder, ICG):
        raise ValueError(f"{run}: not a run of 'graphreid train --model icg'")
    return embedder


def overlaps(run: Path, data: Path) -> dict[str, float]:
    """Intersection over union with the part masks: of the last clusters in the training images, and
    of the parts in the queries.

    Raises:
        ValueError: the data folder has no part masks, or the run no parts.
    """
    embedder = icg_of(run)
    found = part_pictures.load_pseudo_labels(run)
    manifest = read_manifest(data)
    labels, items = found[max(found)]
    train = part_overlap(labels, read_annotations(data, items).mask)
    rows = manifest.rows("query")
    views = [
        part_pictures.view_parts(embedder, manifest.images(part)).labels
        for part in np.array_split(rows, max(1, len(rows) // 256))
    ]
    test = part_overlap(np.concatenate(views), read_annotations(data, manifest.item[rows]).mask)
    return {
        f"{what}, {name}": float(value)
        for what, values in (("clusters", train), ("parts", test))
        for name, value in zip(part_pictures.OVERLAP_NAMES, values, strict=True)
    }
