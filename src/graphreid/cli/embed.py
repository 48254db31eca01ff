"""`graphreid embed`."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from graphreid.cli.options import ResourceOptions
from graphreid.datasets.loading import Pixels
from graphreid.datasets.manifest import Manifest, read_manifest
from graphreid.features.writer import FeatureWriter
from graphreid.models import load_embedder, name_of
from graphreid.training.run_folder import (
    MODEL,
    IdentitySplit,
    is_complete,
    read_config,
    read_identities,
)

Split = Literal["train", "fit", "validation", "query", "gallery"]


def embed(
    *,
    data: Annotated[Path, Parameter(help="the data folder")],
    model: Annotated[Path, Parameter(help="a run's folder")],
    split: Annotated[
        Split,
        Parameter(help="which images; fit and validation are the run's identities for a re-ranker"),
    ],
    out: Annotated[
        Path,
        Parameter(help="the features file, x.npz; with another ending a folder, for large sets"),
    ],
    flip: Annotated[
        bool | None,
        Parameter(help="average with the mirror image's vector; if not given, as the run says"),
    ] = None,
    batch: Annotated[
        int | None, Parameter(help="images at a time, if not what the memory allows")
    ] = None,
    on_error: Annotated[
        Literal["stop", "skip"], Parameter(help="at an image that can't be read")
    ] = "stop",
    options: ResourceOptions | None = None,
) -> None:
    """Turn images into vectors with a trained run, in the order of the manifest.

    Rows are written as they come. After an interruption the same command goes on; it loses at most
    a batch.
    """
    if batch is not None and batch < 1:
        raise ValueError(f"--batch is {batch}: it must be at least 1")
    read_config(model)
    if not is_complete(model):
        raise ValueError(
            f"{model}: its training has not ended: go on with the same 'graphreid train' command"
        )
    manifest = read_manifest(data)
    identities = read_identities(model)
    embedder = load_embedder(model / MODEL)
    embedder.flip_average = embedder.flip_average if flip is None else flip
    _, size = embedder.fitted()
    rows = _rows(manifest, split, identities, data)
    with (options or ResourceOptions()).resources() as resources:
        if on_error == "skip":
            kept = Pixels(
                manifest.images(rows), *size, resources=resources, hold=False, on_error="skip"
            ).kept
            print(f"{len(rows) - len(kept)} of {len(rows)} images can't be read and are left out")
            rows = rows[kept]
        stamp = name_of(model / MODEL, flip=embedder.flip_average)
        columns = _columns(manifest, rows, identities)
        whole = f"{stamp} {manifest.images(rows).contents()}"
        writer = FeatureWriter(
            out, len(rows), embedder.entries, columns, stamp=whole, embedder=stamp
        )
        if writer.done:
            print(f"{out}: going on after {writer.done} of {len(rows)} images")
        for block in embedder.blocks(
            manifest.images(rows), start=writer.done, batch=batch, resources=resources
        ):
            writer.write(block)
        writer.finish(embedder.columns)
    print(f"{out}: {len(rows)} images, {split}, {embedder.entries} entries a vector")


def _rows(
    manifest: Manifest, split: Split, identities: IdentitySplit, data: Path
) -> NDArray[np.intp]:
    if split not in ("fit", "validation"):
        return manifest.rows(split)
    if not identities.held_out:
        print(
            f"warning: the run kept no identities away, so {split} has some that it was trained "
            f"on; their images are closer"
            " together than new ones' (train with --holdout-identities 0.25)",
            file=sys.stderr,
        )
    rows = manifest.rows("train")
    names = identities.fit if split == "fit" else identities.validation
    rows = rows[np.isin(manifest.identity[rows], names) & (manifest.role[rows] == "normal")]
    if not len(rows):
        raise ValueError(
            f"{data}: none of the run's identities for {split} is in its train split: was it "
            f"another data folder?"
        )
    return rows


def _columns(
    manifest: Manifest, rows: NDArray[np.intp], identities: IdentitySplit
) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "identity": manifest.identity[rows],
        "item": manifest.item[rows],
        "path": manifest.path[rows],
        "role": manifest.role[rows],
        "seen": np.isin(manifest.identity[rows], identities.backbone),
    }
    if manifest.camera is not None:
        columns["camera"] = manifest.camera[rows]
    if "track" in manifest.extra:
        columns["track"] = manifest.extra["track"][rows]
    return columns
