"""How `graphreid reproduce` makes embeddings of images."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from graphreid.cli.embed import embed
from graphreid.cli.options import ComputeOptions
from graphreid.cli.train import train
from graphreid.data.manifest import NAME, read_manifest
from graphreid.embedders import EMBEDDERS
from graphreid.experiments.inputs import PROVENANCE
from graphreid.experiments.pixels import Trained
from graphreid.files import whole_file
from graphreid.runs import read_config

SPLITS = ("query", "gallery")
MODELS = ("bot", "icg")
"""Those that rows train."""


@Parameter(name="*")
@dataclass(frozen=True)
class Embedding:
    """How images become embeddings, where --data has images."""

    from_: Annotated[
        str | None,
        Parameter(name="--from", help="--data is a public set as published: its name, as in 'graphreid data import'"),
    ] = None
    model: Annotated[
        Path | None, Parameter(help="a run of 'graphreid train', to embed images with; if not given, one is trained")
    ] = None
    train_preset: Annotated[
        Literal["small", "paper"], Parameter(help="of that training: small (minutes on a CPU), or BoT as published (a GPU)")
    ] = "small"
    train_set: Annotated[
        tuple[str, ...], Parameter(negative="", help="any other setting of that training, KEY=VALUE, as in 'graphreid train'")
    ] = ()
    weights: Annotated[Path | None, Parameter(help="the backbone's first weights in that training")] = None
    flip: Annotated[bool, Parameter(help="mirror images in that training; wrong for characters and text")] = True

    def refuse_idle(self, *, training: bool, embedding: bool) -> None:
        """Refuse options that would do nothing.

        Args:
            training: whether a network is trained.
            embedding: whether there are embeddings to be made that rows share.

        Raises:
            ValueError: which option it is.
        """
        of_training = {
            "--train-preset": self.train_preset != "small",
            "--train-set": bool(self.train_set),
            "--weights": self.weights is not None,
            "--no-flip": not self.flip,
        }
        for name, given in {"--model": self.model is not None, **of_training}.items():
            if given and not (embedding if name == "--model" else training):
                what = "embed images with" if name == "--model" else "train"
                raise ValueError(f"{name} would do nothing: with this --data and these tables there is no network to {what}")


def contents(data: Path) -> bytes:
    """What a data folder holds: its manifest, and a digest of its images, which may be others under the same names."""
    manifest = read_manifest(data)
    return (data / NAME).read_bytes() + manifest.images(np.arange(len(manifest.item))).contents().encode()


@dataclass(frozen=True)
class Training:
    """Trains the embedders of rows that have their own, or finds them in the work folder."""

    data: Path
    work: Path
    embedding: Embedding
    options: ComputeOptions | None

    def make(self, text: str, seed: int) -> Trained:
        """The embedder MODEL[:key=value,...] with a seed, and its vectors of query and gallery.

        Settings of the training that another model of these has, and this one has not, are left out.

        Raises:
            ValueError: a setting that no model has, or what `train` refuses.
        """
        given = self.embedding
        model, _, settings = text.partition(":")
        if model not in MODELS:
            raise ValueError(f"{model!r} is no embedder that is trained here: choose {' or '.join(MODELS)}")
        fields = {name: {entry.name for entry in dataclasses.fields(EMBEDDERS[name])} for name in MODELS}
        known = fields[model]
        for pair in given.train_set:
            if pair.partition("=")[0] not in set().union(*fields.values()):
                raise ValueError(f"--train-set {pair}: no such setting of {' or '.join(MODELS)}: write KEY=VALUE with one")
        pairs = [*(pair for pair in given.train_set if pair.partition("=")[0] in known), *filter(None, settings.split(","))]
        facts = [text, pairs, given.train_preset, given.flip, str(given.weights)]
        digest = hashlib.blake2b(json.dumps(facts).encode() + contents(self.data), digest_size=6).hexdigest()
        run = self.work / f"{model}-{digest}-{seed}"
        self.work.mkdir(parents=True, exist_ok=True)
        train(
            data=self.data,
            out=run,
            model=model,
            preset=given.train_preset,
            seed=seed,
            flip=given.flip,
            weights=given.weights,
            set_=tuple(pairs),
            options=self.options,
        )
        folder = self.work / f"{run.name}-embeddings"
        folder.mkdir(exist_ok=True)
        for split in SPLITS:
            if not (folder / f"{split}.npz").is_file():
                embed(data=self.data, model=run, split=split, out=folder / f"{split}.npz", options=self.options)
        config = read_config(run)
        with whole_file(folder / PROVENANCE) as temporary:
            weights = config["fields"].get("weights")
            fields = {**config["fields"], "weights": Path(weights).name if weights else None}
            temporary.write_text(json.dumps({**config, "fields": fields}, indent=1) + "\n")
        return Trained(run, self.data, folder)
