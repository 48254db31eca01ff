"""How `graphreid papers reproduce` makes embeddings of images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from graphreid.atomic_files import whole_file
from graphreid.cli.embed import Split, embed
from graphreid.cli.options import ResourceOptions
from graphreid.cli.train import train
from graphreid.datasets.manifest import MANIFEST_FILE, read_manifest
from graphreid.models import EMBEDDERS
from graphreid.options import options_of
from graphreid.papers.inputs import PARTS, PROVENANCE
from graphreid.papers.measures import Trained
from graphreid.training.run_folder import MODEL, is_complete, read_config, read_identities

Model = Literal["bot", "icg"]
MODELS: tuple[Model, ...] = ("bot", "icg")
"""Those that rows train."""
HOLDOUT = 0.25
"""Share of the identities that is kept away from an embedder whose embeddings methods are fitted
on.
"""


@Parameter(name="*")
@dataclass(frozen=True)
class Embedding:
    """How images become embeddings, where --data has images."""

    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            help="--data is a public set as published: its name, as in 'graphreid data import'",
        ),
    ] = None
    model: Annotated[
        Path | None,
        Parameter(
            help="a run of 'graphreid train', to embed images with; if not given, one is trained"
        ),
    ] = None
    train_preset: Annotated[
        Literal["small", "paper"],
        Parameter(help="of that training: small (minutes on a CPU), or BoT as published (a GPU)"),
    ] = "small"
    train_set: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="any other setting of that training, KEY=VALUE, as in 'graphreid train'",
        ),
    ] = ()
    weights: Annotated[
        Path | None, Parameter(help="the backbone's first weights in that training")
    ] = None
    flip: Annotated[
        bool, Parameter(help="mirror images in that training; wrong for characters and text")
    ] = True

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
                raise ValueError(
                    f"{name} would do nothing: with this --data and these tables there is no "
                    f"network to {what}"
                )

    def train(
        self,
        data: Path,
        out: Path,
        *,
        options: ResourceOptions | None,
        set_: Sequence[str],
        model: Model = "bot",
        seed: int = 0,
        holdout: float = 0.0,
    ) -> None:
        """`graphreid train` with these options."""
        out.parent.mkdir(parents=True, exist_ok=True)
        train(
            data=data,
            out=out,
            model=model,
            preset=self.train_preset,
            holdout_identities=holdout,
            seed=seed,
            flip=self.flip,
            weights=self.weights,
            set_=tuple(set_),
            options=options,
        )


def contents(data: Path) -> bytes:
    """What a data folder holds: its manifest, and a digest of its images, which may be others under
    the same names.
    """
    manifest = read_manifest(data)
    return (data / MANIFEST_FILE).read_bytes() + manifest.images(
        np.arange(len(manifest.item))
    ).contents().encode()


@dataclass(frozen=True)
class Training:
    """Trains the embedders of rows that have their own, or finds them in the work folder."""

    data: Path
    work: Path
    embedding: Embedding
    options: ResourceOptions | None

    def make(self, text: str, seed: int) -> Trained:
        """The embedder MODEL[:key=value,...] with a seed, and its vectors of query and gallery.

        Settings of the training that another model of these has, and this one has not, are left
        out.

        Raises:
            ValueError: a setting that no model has, or what `train` refuses.
        """
        given = self.embedding
        name, _, settings = text.partition(":")
        model: Model | None = next((each for each in MODELS if each == name), None)
        if model is None:
            raise ValueError(
                f"{name!r} is no embedder that is trained here: choose {' or '.join(MODELS)}"
            )
        fields = {each: {option.name for option in options_of(EMBEDDERS[each])} for each in MODELS}
        known = fields[model]
        for pair in given.train_set:
            if pair.partition("=")[0] not in set().union(*fields.values()):
                raise ValueError(
                    f"--train-set {pair}: no such setting of {' or '.join(MODELS)}: write "
                    f"KEY=VALUE with one"
                )
        pairs = [
            *(pair for pair in given.train_set if pair.partition("=")[0] in known),
            *filter(None, settings.split(",")),
        ]
        facts = [text, pairs, given.train_preset, given.flip, str(given.weights)]
        digest = hashlib.blake2b(
            json.dumps(facts).encode() + self._contents, digest_size=6
        ).hexdigest()
        run = self.work / f"{model}-{digest}-{seed}"
        given.train(self.data, run, options=self.options, set_=pairs, model=model, seed=seed)
        folder = self.work / f"{run.name}-embeddings"
        _embed(self.data, run, ("query", "gallery"), folder, {}, options=self.options)
        return Trained(run, self.data, folder)

    @cached_property
    def _contents(self) -> bytes:
        return contents(self.data)


def embedded(
    data: Path, work: Path, embedding: Embedding, *, name: str, options: ResourceOptions | None
) -> Path:
    """The folder with the embeddings of a data folder's images, made where they are not there yet.

    Raises:
        ValueError: no data folder, a run that keeps no identities away or has not ended, or what
            `train` and `embed` refuse.
    """
    if not (data / MANIFEST_FILE).is_file():
        raise ValueError(
            f"{data}: neither embeddings (query.npz, gallery.npz, …) nor a data folder "
            f"({MANIFEST_FILE}): make one of them first"
        )
    model = embedding.model
    if model is None:
        model = work / f"{name}-{embedding.train_preset}{'' if embedding.flip else '-no-flip'}"
        embedding.train(data, model, options=options, set_=embedding.train_set, holdout=HOLDOUT)
    identities = read_identities(model)
    if not identities.held_out:
        raise ValueError(
            f"{model}: the run kept no identities away for a re-ranker: train with "
            f"--holdout-identities {HOLDOUT}"
        )
    if not is_complete(model):
        raise ValueError(
            f"{model}: its training has not ended: go on with the same 'graphreid train' command"
        )
    digest = hashlib.blake2b(
        (model / MODEL).read_bytes() + contents(data), digest_size=6
    ).hexdigest()
    folder = work / f"{name}-embeddings-{digest}"
    counts = {part: len(getattr(identities, part)) for part in ("backbone", "fit", "validation")}
    _embed(data, model, PARTS, folder, {"identities": counts}, options=options)
    return folder


def _embed(
    data: Path,
    run: Path,
    splits: Sequence[Split],
    folder: Path,
    facts: Mapping[str, Any],
    *,
    options: ResourceOptions | None,
) -> None:
    """Write a run's embeddings of some splits where they are not there yet, and how they were
    made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        if not (folder / f"{split}.npz").is_file():
            embed(data=data, model=run, split=split, out=folder / f"{split}.npz", options=options)
    config = read_config(run)
    fields = {
        key: Path(value).name if key == "weights" and value else value
        for key, value in config["fields"].items()
    }
    with whole_file(folder / PROVENANCE) as temporary:
        temporary.write_text(json.dumps({**config, "fields": fields, **facts}, indent=1) + "\n")
