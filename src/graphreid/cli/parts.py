"""`graphreid parts`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from graphreid.atomic_files import writable
from graphreid.datasets.manifest import read_manifest
from graphreid.extras import require
from graphreid.models import load_embedder
from graphreid.models.icg.embedder import ICG
from graphreid.models.icg.pseudo_labels import LABELS
from graphreid.report import part_pictures
from graphreid.synthetic.annotations import ANNOTATIONS_FOLDER, part_overlap, read_annotations
from graphreid.training.run_folder import MODEL, is_complete, read_config


def parts(
    run: Annotated[Path, Parameter(help="a run's folder, of 'graphreid train --model icg'")],
    /,
    *,
    data: Annotated[Path, Parameter(help="the data folder that it was trained on")],
    out: Annotated[Path, Parameter(help="the page, one HTML file")],
    images: Annotated[int, Parameter(help="how many images to show, one an identity")] = 12,
) -> None:
    """Show what a run with parts sees in images: foreground, parts, the graph among them, and how
    they came about.

    Where the data folder has part masks (as 'graphreid data render' writes them), of as many parts,
    it also prints how far foreground and parts meet them.
    """
    require("report", "a page")
    writable(out)
    read_config(run)
    if images < 1:
        raise ValueError(f"--images is {images}: it must be at least 1")
    if not is_complete(run):
        raise ValueError(
            f"{run}: its training has not ended: go on with the same 'graphreid train' command"
        )
    embedder = load_embedder(run / MODEL)
    if not isinstance(embedder, ICG) or not embedder.parts.clustering:
        raise ValueError(f"{run}: its network has no parts: train with --model icg")
    manifest = read_manifest(data)
    found = part_pictures.load_pseudo_labels(run)
    rows, over = part_pictures.pick_labels(found, manifest, images)
    views = part_pictures.view_parts(embedder, manifest.images(rows))
    drawn: list[tuple[str, str, Any]] = [
        (
            "Foreground",
            "Responses before and after the attention; what was learned.",
            part_pictures.draw_foregrounds(views),
        ),
        (
            "Parts",
            "The last clusters, the parts, each one's confidence.",
            part_pictures.draw_parts(views, over[max(over)]),
        ),
    ]
    if views.matrix is not None:
        drawn.append(
            (
                "Graphs",
                "The weights between parts, in each image.",
                part_pictures.draw_matrices(views),
            )
        )
    drawn.append(
        (
            "Development",
            "Clusters after so many epochs.",
            part_pictures.draw_development(views.pixels, over),
        )
    )
    if (data / ANNOTATIONS_FOLDER).is_dir() and embedder.parts.parts != len(
        part_pictures.OVERLAP_NAMES
    ):
        print(
            f"{data} has masks of {len(part_pictures.OVERLAP_NAMES) - 1} parts, the network "
            f"{embedder.parts.parts - 1}: they are not compared"
        )
    elif (data / ANNOTATIONS_FOLDER).is_dir():
        labels, items = found[max(found)]
        mask = read_annotations(data, items).mask
        text = "Intersection over union of the clusters with the masks, in all training images."
        drawn.append(("Against the ground truth", text, part_pictures.draw_overlap(found, mask)))
        values = part_overlap(labels, mask)
        shown = ", ".join(
            f"{name} {value:.3f}"
            for name, value in zip(part_pictures.OVERLAP_NAMES, values, strict=True)
        )
        print(f"intersection over union of the clusters after {max(found)} epochs: {shown}")
    part_pictures.write_page(out, f"Parts of {run.name}", drawn)
    print(
        f"{out}: {out.stat().st_size / 2**20:.1f} MB, open it in any browser; clusters by epoch "
        f"are in {run / LABELS}"
    )
