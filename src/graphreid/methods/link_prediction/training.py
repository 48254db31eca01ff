"""Training of link predictors: each training image in turn is the query, the others its gallery."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from graphreid.gallery import Gallery, RetrievalSet, normalise
from graphreid.graphs.query_graphs import Candidates
from graphreid.knn.exact import Metric
from graphreid.methods.fitting import TrainingOptions, fit_network, half_precision
from graphreid.methods.link_prediction.calibration import (
    Fusion,
    Lam,
    best_mean_ap,
    choose_fusion,
)
from graphreid.methods.link_prediction.scoring import UNCALIBRATED, Scorer
from graphreid.methods.validation import Validation
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.types import NORMAL, Features, Labels, drop_junk

N = TypeVar("N", bound=nn.Module)
Batch = NDArray[np.intp]
"""Rows of the training images that are queries."""


@runtime_checkable
class LinkTrainingOptions(TrainingOptions, Protocol):
    """What the fit of a link predictor follows; each method documents its own."""

    @property
    def optimizer(self) -> Literal["sgd", "adamw"]:
        """SGD with momentum 0.9, or AdamW."""
        ...

    @property
    def schedule(self) -> Literal["constant", "cosine", "steps"]:
        """Of the learning rate: "steps" is times 0.1 after each epoch."""
        ...

    @property
    def epochs(self) -> int:
        """At most."""
        ...

    @property
    def calibrate(self) -> bool:
        """Whether slope and offset of the logit are fitted on the validation identities."""
        ...

    @property
    def precision(self) -> Literal["auto", "bf16", "fp32"]:
        """Of the network's pass."""
        ...


class LinkTrainingSet:
    """Labelled images as queries of each other, with the candidates of their graphs.

    Embeddings of images that the embedder was trained on lie closer together than others. `noise`
    loosens them, so that what is learned holds for new images too: Gaussian noise of that expected
    length on vectors of unit length, drawn anew in each epoch. Neighbours are searched among the
    loosened vectors.

    Args:
        train: the images; junk is left out.
        labels: of the images.
        k1: candidates of a query.
        k2: neighbours of a gallery image.
        noise: expected length of the noise, 0 for none.
        seed: of the noise and of the order of the queries.
        resources: for the searches.
        metric: the distance of two vectors; with "euclidean" they are not normalised.

    Attributes:
        queries: rows of the images that are queries: all but distractors.
        epoch: the epoch begun last.
        retrieval_set: queries and gallery of that epoch.
        candidates: of that epoch.

    Raises:
        ValueError: lengths that differ, or no identity with two images.
    """

    retrieval_set: RetrievalSet
    candidates: Candidates

    def __init__(
        self,
        train: Features,
        labels: Labels,
        *,
        k1: int,
        k2: int,
        noise: float,
        seed: int,
        resources: Resources,
        metric: Metric = "cosine",
    ) -> None:
        self.train, self.labels = drop_junk(train, labels)
        self.metric: Metric = metric
        self.k1 = k1
        self.k2 = k2
        self.noise = noise
        self.seed = seed
        self.resources = resources
        self.queries = np.flatnonzero(self.labels.role == NORMAL)
        _, count = np.unique(self.labels.identity[self.queries], return_counts=True)
        if not (count > 1).any():
            raise ValueError("no identity has two images: there is no right match to learn from")
        self.epoch = -1

    def batches(self, epoch: int, size: int) -> list[Batch]:
        """Begin an epoch: each query once, in a new order, in batches of `size`."""
        if self.epoch < 0 or self.noise:
            features = self._loosened(epoch) if self.noise else self.train
            gallery = Gallery(features, metric=self.metric)
            self.retrieval_set = RetrievalSet(features, gallery, resources=self.resources)
            self.candidates = Candidates.of(self.retrieval_set, self.k1, self.k2)
        self.epoch = epoch
        order = generator(self.seed, epoch, 0, 4).permutation(self.queries)
        return [order[start : start + size] for start in range(0, len(order), size)]

    def vectors(self, rows: NDArray[np.integer[Any]]) -> Float[Tensor, "*n d"]:
        """Embeddings of images by row, times the root of d: entries of about unit variance."""
        vectors = self.retrieval_set.gallery.vectors
        scale = np.float32(vectors.shape[1] ** 0.5)
        return torch.from_numpy(vectors[rows] * scale).to(self.resources.device)

    def targets(
        self, queries: Batch, nodes: Int32[np.ndarray, "b n"]
    ) -> Float32[np.ndarray, "b n"]:
        """1 where a node shows its query's identity, in any camera; 0 for others and padding."""
        same = self.labels.identity[nodes] == self.labels.identity[queries, None]
        return (same & (nodes >= 0) & (self.labels.role[nodes] == NORMAL)).astype(np.float32)

    def _loosened(self, epoch: int) -> Features:
        noise = generator(self.seed, epoch, 0, 5).standard_normal(
            self.train.vectors.shape, np.float32
        )
        noise *= np.float32(self.noise / np.sqrt(self.train.width))
        noise += normalise(self.train.vectors) if self.metric == "cosine" else self.train.vectors
        return Features(noise, self.train.items, self.train.camera, self.train.zero)


@dataclass(frozen=True, eq=False)
class LinkFit:
    """What a link predictor has learned.

    Attributes:
        state: weights by name.
        calibration: slope and offset of the logit.
        lam: weight of 1 - probability.
        record: facts of the fit, a JSON object.
    """

    state: dict[str, Tensor]
    calibration: list[float]
    lam: float
    record: dict[str, Any]


def train_links(
    method: Any,
    *,
    network: Callable[[], N],
    training_set: LinkTrainingSet,
    logits: Callable[[N, Batch], tuple[Float[Tensor, " m"], Float[Tensor, " m"]]],
    loss: Callable[[Float[Tensor, " m"], Float[Tensor, " m"]], Float[Tensor, ""]],
    scorer: Callable[[N, RetrievalSet], Scorer],
    batches: Callable[[int], Sequence[Batch]],
    options: LinkTrainingOptions,
    validation: tuple[Features, Labels] | None,
    folder: Path | None,
) -> LinkFit:
    """Train a network; then choose calibration and lam on the validation identities, if any.

    Args:
        method: has `name` and `lam`; its options tell one checkpoint from another.
        network: makes the network; random numbers follow the seed.
        training_set: the queries.
        logits: from the network and a batch to logits and targets (0 or 1) of nodes. It runs in
            bf16 where the options ask for it.
        loss: of logits and targets, in fp32.
        scorer: of a network for queries and a gallery.
        batches: begins an epoch.
        options: of the training.
        validation: images of other identities: the epoch of the best mAP is kept.
        folder: gets a checkpoint after each epoch, from which a later call goes on.

    Raises:
        ValueError: an identity is in both sets, or lam is "auto" without validation.
    """
    lam: Lam = method.lam
    resources = training_set.resources
    if lam == "auto" and validation is None:
        raise ValueError("lam='auto' is chosen on validation identities: give them, or a number")

    def losses(module: N, queries: Batch) -> dict[str, Tensor]:
        with half_precision(options.precision, resources.device):
            values, targets = logits(module, queries)
        return {"loss": loss(values.float(), targets)}

    def score(module: N, held_out: Validation) -> float:
        return best_mean_ap(scorer(module, held_out.retrieval_set), held_out, lam)

    fit = fit_network(
        method,
        network,
        batches,
        losses,
        score,
        train=(training_set.train, training_set.labels),
        used_labels=training_set.labels,
        validation=validation,
        options=options,
        epochs=options.epochs,
        optimizer=options.optimizer,
        milestones=milestones(options),
        precision=options.precision,
        metric=training_set.metric,
        resources=resources,
        folder=folder,
    )
    fusion = Fusion([*UNCALIBRATED], 1.0 if lam == "auto" else lam, {})
    if fit.validation is not None:
        fitted = scorer(fit.module, fit.validation.retrieval_set)
        fusion = choose_fusion(fitted, fit.validation, lam, calibrate=options.calibrate)
        fit.record["validation"] = fusion.record
    state = {key: value.detach().cpu() for key, value in fit.module.state_dict().items()}
    return LinkFit(state, fusion.calibration, fusion.lam, fit.record)


def milestones(options: LinkTrainingOptions) -> Sequence[float] | None:
    """Epochs at each of which the learning rate becomes a tenth; None for half a cosine."""
    if options.schedule == "steps":
        return [float(epoch) for epoch in range(1, options.epochs)]
    return None if options.schedule == "cosine" else ()


def focal_loss(
    logits: Float[Tensor, " n"],
    targets: Float[Tensor, " n"],
    alpha: float | None = 0.25,
    gamma: float = 2.0,
) -> Float[Tensor, ""]:
    """Mean of -a_t (1 - p_t)^gamma log p_t; p_t is the probability of the right answer.

    Lin et al. 2017, Eq. 5: a_t is `alpha` for target 1 and 1 - alpha for 0; with alpha None, 1
    for both.
    """
    signed = torch.where(targets > 0.5, logits, -logits)  # p_t = sigmoid(signed)
    loss = -functional.logsigmoid(signed) * torch.sigmoid(-signed) ** gamma
    if alpha is not None:
        loss = loss * torch.where(targets > 0.5, alpha, 1 - alpha)
    return loss.mean()
