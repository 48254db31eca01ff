"""The fit of a network on labelled embeddings, scored on validation identities after each epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from graphreid.knn.exact import Metric
from graphreid.methods.fitted import record
from graphreid.methods.validation import Validation
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
    weights, rate, decay = module.parameters(), options.rate, options.weight_decay
    if name == "sgd":
        return torch.optim.SGD(weights, rate, momentum=0.9, weight_decay=decay)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(weights, rate, weight_decay=decay)


def half_precision(precision: Precision, device: torch.device | str) -> torch.autocast:
    """Within it products are in bf16, where the precision or, for "auto", the hardware says so."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=bf16(precision, kind))
