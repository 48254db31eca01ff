"""The fit of a network on labelled embeddings, and the network of a fitted method."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from graphreid.gallery import RetrievalSet
from graphreid.knn.exact import Metric
from graphreid.methods.validation import Validation
from graphreid.protocols import fingerprint, need_cosine
from graphreid.resources import Resources
from graphreid.seeding import seeded
from graphreid.training.loop import Batches, History, cosine, optimise, stamp, steps
from graphreid.training.precision import Precision, bf16, trained_in
from graphreid.types import Features, Labels

M = TypeVar("M", bound=nn.Module)
B = TypeVar("B")


@runtime_checkable
class TrainingOptions(Protocol):
    """What a fit follows; each method documents its own."""

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of all weights."""
        ...

    @property
    def patience(self) -> int | None:
        """Epochs without a better validation mAP after which training stops."""
        ...

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...


@dataclass(frozen=True, eq=False)
class Fit(Generic[M]):
    """A network after its fit.

    Attributes:
        module: with the best epoch's weights where there was a validation, else the last's.
        history: a record an epoch.
        record: facts of the fit, a JSON object.
        validation: the identities that epochs were scored on, or None.
    """

    module: M
    history: History
    record: dict[str, Any]
    validation: Validation | None


def fit_network(
    method: Any,
    build: Callable[[], M],
    batches: Callable[[int], Batches[B]],
    losses: Callable[[M, B], Mapping[str, Tensor]],
    score: Callable[[M, Validation], float],
    *,
    train: tuple[Features, Labels],
    used_labels: Labels,
    validation: tuple[Features, Labels] | None,
    options: TrainingOptions,
    epochs: int,
    optimizer: Literal["adam", "adamw", "sgd"] = "adam",
    milestones: Sequence[float] | None,
    precision: Precision = "fp32",
    metric: Metric = "cosine",
    resources: Resources,
    folder: Path | None,
) -> Fit[M]:
    """Train what `build` makes.

    Args:
        method: has `name`; its options tell one checkpoint from another.
        build: makes the module; random numbers follow the seed.
        batches: from an epoch's number to its batches.
        losses: from the module and a batch to the named parts whose sum is minimised.
        score: the mAP of the module on validation identities.
        train: the images fitted on.
        used_labels: of the images among them that are used, junk left out.
        validation: images of other identities: the best epoch by the score is kept.
        options: rate, weight decay, patience and seed.
        epochs: at most.
        optimizer: Adam, with the weight decay in the gradient, AdamW, or SGD with momentum 0.9.
        milestones: epochs at each of which the learning rate becomes a tenth; None: it follows half
            a cosine, to 0 at the last epoch. An empty list leaves it as it is.
        precision: of the training; `losses` must keep to it, with `half_precision`.
        metric: the distance of two vectors of the validation.
        resources: device, memory, threads, progress.
        folder: gets a checkpoint after each epoch; where there is one, training goes on from it.

    Raises:
        ValueError: an identity is in both sets, or the checkpoint is of other options or data.
    """
    held_out = None
    if validation is not None:
        held_out = Validation(
            *validation,
            train[0],
            used_labels,
            seed=options.seed,
            resources=resources,
            metric=metric,
        )
    with seeded(options.seed):
        module = build().to(resources.device)
    history = optimise(
        module,
        _optimizer(module, optimizer, options),
        batches,
        lambda batch: losses(module, batch),
        epochs=epochs,
        seed=options.seed,
        schedule=cosine(epochs) if milestones is None else steps(milestones),
        validate=None if held_out is None else lambda _: score(module, held_out),
        patience=options.patience,
        folder=folder,
        stamp=stamp(method, train, validation),
        what=method.name,
        resources=resources,
    )
    facts = record(used_labels, history, trained_in(precision, resources.device))
    return Fit(module, history, facts, held_out)


def _optimizer(
    module: nn.Module, name: Literal["adam", "adamw", "sgd"], options: TrainingOptions
) -> torch.optim.Optimizer:
    weights = module.parameters()
    decay = options.weight_decay
    if name == "sgd":
        return torch.optim.SGD(weights, options.rate, momentum=0.9, weight_decay=decay)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(weights, options.rate, weight_decay=decay)


def half_precision(precision: Precision, device: torch.device | str) -> torch.autocast:
    """Within it products are in bf16, where the precision or, for "auto", the hardware says so."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=bf16(precision, kind))


def record(
    labels: Labels, history: Sequence[Mapping[str, float]], precision: Literal["bf16", "fp32"]
) -> dict[str, Any]:
    """Facts of a fit, a JSON object.

    Args:
        labels: of the images fitted on.
        history: of the training loop, a record an epoch.
        precision: of the training.
    """
    facts: dict[str, Any] = {
        "images": len(labels),
        "identities": len(np.unique(labels.identity)),
        "precision": precision,
    }
    facts |= {
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
    }
    return facts | {
        "mAP_of_epochs": [round(epoch["score"], 5) for epoch in history if "score" in epoch]
    }


@dataclass(frozen=True, eq=False)
class FittedNetwork(Generic[M]):
    """The network of a fitted method.

    Attributes:
        network: in evaluation mode.
        width: entries of the embeddings that it was fitted on.
        key: of its weights; values derived from a gallery are kept under it.
        method: the method's name.
    """

    network: M
    width: int
    key: Hashable
    method: str

    def for_set(self, retrieval_set: RetrievalSet, *, cosine_only: bool = False) -> M:
        """The network on the device of the retrieval set.

        Args:
            retrieval_set: queries and gallery.
            cosine_only: the method needs the gallery's metric to be the cosine.

        Raises:
            ValueError: vectors of another width than those fitted on, or of another metric.
        """
        if cosine_only:
            need_cosine(retrieval_set, self.method)
        width = retrieval_set.gallery.features.width
        if width != self.width:
            raise ValueError(
                f"vectors are {width} wide, and {self.method} was fitted on {self.width}: fit it "
                f"again, or embed as before"
            )
        return self.network.to(retrieval_set.resources.device)


def fitted_network(
    method: Any,
    build: Callable[[int], M],
    input_weight: str,
    *,
    weights: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda state: state,
) -> FittedNetwork[M]:
    """The network of a method from what it has learned; no random number is drawn.

    Args:
        method: with `name`, and `state_` where it is fitted.
        build: from the width of the embeddings to a network.
        input_weight: the name of a tensor [h, d] in `state_` that tells that width.
        weights: from `state_` to the network's weights, where these are not all of it.

    Raises:
        ValueError: not fitted, or fitted with other options of the network.
    """
    need_fitted(method)
    width = int(method.state_[input_weight].shape[-1])
    with torch.device("meta"):
        network = build(width)
    try:
        network.load_state_dict(weights(method.state_), assign=True)
    except RuntimeError:
        raise ValueError(
            f"the network of a fitted {method.name} can't be changed: fit it again with those "
            f"options"
        ) from None
    # the key is that of the weights alone: options of the graph do not change what is kept
    return FittedNetwork(network.eval(), width, (method.name, fingerprint(method)[1]), method.name)


def need_fitted(method: Any) -> None:
    """Check that a method is fitted.

    Raises:
        ValueError: it is not.
    """
    if not hasattr(method, "state_"):
        raise ValueError(f"{method.name} is not fitted: fit it, or load a file of 'graphreid fit'")
