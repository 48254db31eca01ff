"""`graphreid train`."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from graphreid.cli.options import ResourceOptions
from graphreid.datasets.manifest import Manifest, read_manifest
from graphreid.methods.persistence import save
from graphreid.models import build, save_embedder
from graphreid.models.bot import PRESETS, BoT
from graphreid.models.hrnet import (
    FILE,
    SETTINGS,
    graph_options,
    split_settings,
    take_trained,
)
from graphreid.models.icg.distance import part_distance
from graphreid.models.icg.embedder import ICG
from graphreid.models.icg.embedder import PRESETS as ICG_PRESETS
from graphreid.training import processes
from graphreid.training.run_folder import (
    LOG,
    MODEL,
    PARTS,
    is_complete,
    open_run,
    removed_if_refused,
    split_identities,
)


def train(
    *,
    data: Annotated[Path, Parameter(help="the data folder; its train split is used")],
    out: Annotated[
        Path, Parameter(help="the run's folder; one that was interrupted is gone on with")
    ],
    model: Annotated[
        Literal["bot", "icg", "hrnet"],
        Parameter(
            help="what to train; icg adds parts to bot, and hrnet the graphs of the re-ranker hrnet"
        ),
    ] = "bot",
    preset: Annotated[
        Literal["small", "paper", "ffgnn", "hrnet"],
        Parameter(
            help="settings: small (minutes on a CPU), or a paper's (they want a GPU and ImageNet "
            "weights)"
        ),
    ] = "small",
    holdout_identities: Annotated[
        float,
        Parameter(
            help="share of the identities to keep away, for a re-ranker's fit and validation"
        ),
    ] = 0.0,
    seed: Annotated[int, Parameter(help="of all that is random")] = 0,
    epochs: Annotated[int | None, Parameter(help="in place of the preset's")] = None,
    flip: Annotated[
        bool,
        Parameter(
            help="mirror images in training, and average both in the vectors; wrong for characters "
            "and text"
        ),
    ] = True,
    weights: Annotated[
        Path | None, Parameter(help="the backbone's first weights, .safetensors or .pth")
    ] = None,
    allow_partial: Annotated[
        bool, Parameter(negative="", help="take such weights although not all match")
    ] = False,
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            negative="",
            help="any other setting, KEY=VALUE, such as rate=1e-3 or milestones=[30,50]",
        ),
    ] = (),
    on_error: Annotated[
        Literal["stop", "skip"], Parameter(help="at an image that can't be read")
    ] = "stop",
    options: ResourceOptions | None = None,
) -> None:
    """Train an embedder on a data folder's train split.

    RUN gets config.json, identities.json (who was trained on, who was kept away),
    model.safetensors, checkpoint/ and log.jsonl (a line an epoch), and with --model hrnet the
    re-ranker hrnet.safetensors, whose options --set takes too; with --model icg labels/, the parts
    that training found, and parts.safetensors, the distance that goes with its vectors. The same
    command goes on with a run that was interrupted, to the same weights; it loses at most an epoch.
    """
    changes = _preset(model, preset)
    graphs, given = (
        split_settings(preset, _settings(set_)) if model == "hrnet" else (None, _settings(set_))
    )
    changes |= (
        given
        | {"seed": seed}
        | ({} if epochs is None else {"epochs": epochs})
        | ({} if flip else _STILL)
    )
    if weights is not None:
        changes |= {"weights": str(weights.resolve()), "allow_partial": allow_partial}
    embedder = build("icg", changes) if model == "icg" else build("bot", changes)
    manifest = read_manifest(data)
    rows = manifest.rows("train")
    rows = rows[manifest.role[rows] == "normal"]
    if not len(rows):
        raise ValueError(f"{data}: all train images are junk or distractors")
    identities = split_identities(manifest.identity[rows], holdout_identities, seed)
    config = {
        "embedder": model,
        "preset": preset,
        "holdout_identities": holdout_identities,
        "on_error": on_error,
        "fields": embedder.fields(),
        **({} if graphs is None else {"graphs": graph_options(graphs)}),
        "data": {"images": len(rows), "digest": _digest(manifest, rows)},
    }
    with processes.main_process_first():
        resumed = open_run(out, config, identities)
    if is_complete(out):
        _say(f"{out}: complete; nothing to do")
        return
    rows = rows[np.isin(manifest.identity[rows], identities.backbone)]
    _say(
        f"{out}: {'going on' if resumed else 'training'}, {len(rows)} images of "
        f"{len(identities.backbone)} identities"
    )
    with (
        removed_if_refused(out, new=processes.is_main_process() and not resumed),
        (options or ResourceOptions()).resources() as resources,
    ):
        images = manifest.images(rows)
        labels = manifest.labels(rows)
        if isinstance(embedder, BoT):
            embedder.fit(
                images,
                labels,
                resources=resources,
                run=out,
                on_error=on_error,
                beside=graphs and graphs.objective,
            )
        else:
            embedder.fit(images, labels, resources=resources, run=out, on_error=on_error)
    if processes.is_main_process():
        if isinstance(embedder, BoT) and graphs is not None:
            known = len(identities.backbone)
            take_trained(graphs, embedder, images=len(rows), identities=known)
            save(graphs, out / FILE)
        elif isinstance(embedder, ICG):
            save(part_distance(embedder), out / PARTS)
        save_embedder(embedder, out / MODEL)
    _say(_closing(embedder, out))


_STILL = {"flip": False, "flip_average": False}


def _preset(model: str, preset: str) -> dict[str, Any]:
    """The preset's settings."""
    presets = {"bot": PRESETS, "icg": ICG_PRESETS, "hrnet": SETTINGS}[model]
    if preset not in presets:
        raise ValueError(f"{model} has no preset {preset}: it has {', '.join(presets)}")
    return dict(presets[preset])


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Settings of KEY=VALUE; a value that is no JSON is text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: write KEY=VALUE")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def _digest(manifest: Manifest, rows: Any) -> str:
    digest = hashlib.blake2b(manifest.images(rows).contents().encode(), digest_size=8)
    for column in (manifest.item, manifest.identity):
        digest.update("\n".join(column[rows].tolist()).encode())
    return digest.hexdigest()


def _say(line: str) -> None:
    if processes.is_main_process():
        print(line)


def _closing(embedder: BoT | ICG, out: Path) -> str:
    trained = embedder.trained
    training = embedder.training
    if trained.matched is not None:
        _say(f"{embedder.network.weights}: {trained.matched}")
    if trained.skipped:
        _say(f"{trained.skipped} images could not be read and were left out")
    seconds = sum(record["seconds"] for record in trained.history)
    batches = sum(record["batches"] for record in trained.history)
    images = batches * training.batch_identities * training.batch_images
    return (
        f"{out}: {len(trained.history)} epochs in {seconds:.0f} s in {trained.precision},"
        f" {images / max(seconds, 1e-9):.0f} images/s; losses in {out / LOG}"
    )
