"""The training loop of embedders and re-rankers, with checkpoints and learning-rate schedules."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graphreid.atomic_files import whole_file
from graphreid.protocols import described
from graphreid.resources import Resources
from graphreid.seeding import generator, seeded
from graphreid.training import processes
from graphreid.types import Features, Labels

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)
History = list[dict[str, int | float]]
Schedule = Callable[[float], float]
"""Maps elapsed epochs (a fraction within an epoch) to the factor of all learning rates."""


class Batches(Protocol[Batch_co]):
    """The batches of an epoch; a list will do.

    An attribute `statistics`, numbers by name, is added to the epoch's record.
    """

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __iter__(self) -> Iterator[Batch_co]:
        """The batches in their order."""
        ...


def optimise(
    module: nn.Module,
    optimizer: Optimizer,
    batches: Callable[[int], Batches[Batch]],
    loss: Callable[[Batch], Mapping[str, Tensor]],
    *,
    epochs: int,
    seed: int,
    schedule: Schedule = lambda _: 1.0,
    accumulate: int = 1,
    validate: Callable[[int], float] | None = None,
    patience: int | None = None,
    folder: Path | None = None,
    stamp: str = "",
    what: str = "training",
    resources: Resources | None = None,
) -> History:
    """Train `module` in place. With a folder, resume from its checkpoint, to the same result.

    The random numbers of an epoch depend on the seed and its index only, so a checkpoint between
    epochs consists of the weights, the optimizer's state and the history.

    Args:
        module: has all parameters that are learned; its weights are in the checkpoint.
        optimizer: its groups' learning rates are multiplied by the schedule's factor.
        batches: maps the index of an epoch, from 0, to its batches.
        loss: maps a batch to named losses, whose sum is minimised.
        epochs: largest number of epochs.
        seed: of all random numbers.
        schedule: the factor of the learning rates.
        accumulate: number of batches whose gradients are averaged for one step.
        validate: scores the module after an epoch, higher is better; the best epoch's weights are
            the result.
        patience: stop after this many epochs without a better score; None for never.
        folder: gets checkpoint/state.pt and log.jsonl after each epoch.
        stamp: identifies options and data; a checkpoint with another stamp is refused.
        what: name of the work in progress reports.
        resources: progress and threads.

    Returns:
        A record of each epoch: mean of each loss, "epoch" (from 1), "rate" (learning rate of the
        first group at its end), "batches", "seconds", and "score" if there is one.

    Raises:
        ValueError: the loss is not finite, an epoch has no batches, or the checkpoint is of other
            options or data.
    """
    resources = resources or Resources()
    state = _State(module, optimizer, folder, stamp)
    with resources.limits():
        while len(state.history) < epochs and not state.stale(patience):
            epoch = len(state.history)
            with seeded(int(generator(seed, epoch, 0, 3).integers(2**32))):
                module.train()
                began = perf_counter()
                sums: dict[str, Tensor] = {}
                drawn = batches(epoch)
                factor = 1.0
                if not len(drawn):
                    raise ValueError(
                        f"{what}: epoch {epoch + 1} has no batches: there are too few images"
                    )
                for step, batch in enumerate(drawn, 1):
                    factor = schedule(epoch + (step - 1) / len(drawn))
                    for group in optimizer.param_groups:
                        group["lr"] = group["initial_lr"] * factor
                    parts = loss(batch)
                    torch.stack([*parts.values()]).sum().div(accumulate).backward()
                    sums = {name: part.detach() + sums.get(name, 0) for name, part in parts.items()}
                    if step % accumulate == 0 or step == len(drawn):
                        optimizer.step()
                        optimizer.zero_grad()
                    if resources.progress:
                        resources.progress(what, epoch * len(drawn) + step, epochs * len(drawn))
                record: dict[str, int | float] = {
                    name: float(part) / len(drawn) for name, part in sums.items()
                }
                if not all(math.isfinite(mean) for mean in record.values()):
                    raise ValueError(
                        f"{what}: the loss is not finite in epoch {epoch + 1} ({record}): lower "
                        f"the learning rate"
                    )
                record |= getattr(drawn, "statistics", {})
                record |= {
                    "epoch": epoch + 1,
                    "rate": optimizer.param_groups[0]["lr"],
                    "batches": len(drawn),
                }
                record["seconds"] = round(perf_counter() - began, 3)
                state.close(
                    record if validate is None else {**record, "score": float(validate(epoch))}
                )
    return state.finish()


class _State:
    """The state between two epochs, and its checkpoint on disk."""

    def __init__(
        self, module: nn.Module, optimizer: Optimizer, folder: Path | None, stamp: str
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.folder = folder
        self.stamp = stamp
        self.history: History = []
        self.best: dict[str, Tensor] | None = None
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        file = None if folder is None else folder / "checkpoint" / "state.pt"
        if file is None or not file.is_file():
            return
        try:
            saved: Any = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # damage makes torch raise errors of any kind
            raise ValueError(
                f"{file}: a damaged checkpoint: restore it, or remove it to begin anew"
            ) from None
        if saved["stamp"] != stamp:
            raise ValueError(
                f"{file}: made with other settings or data: give those, or remove it to begin anew"
            )
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        self.history = saved["history"]
        self.best = saved["best"]

    def scores(self) -> list[float]:
        """The scores of all epochs; empty without validation."""
        return [record["score"] for record in self.history if "score" in record]

    def stale(self, patience: int | None) -> bool:
        """Whether none of the last `patience` epochs had a better score."""
        scores = self.scores()
        return (
            patience is not None
            and len(scores) > 0
            and len(scores) - 1 - scores.index(max(scores)) >= patience
        )

    def close(self, record: dict[str, int | float]) -> None:
        """End an epoch: append its record and, in process 0, write the checkpoint."""
        self.history.append(record)
        if "score" in record and record["score"] >= max(self.scores()):
            self.best = deepcopy(self.module.state_dict())
        if self.folder is None or not processes.is_main_process():
            return
        (self.folder / "checkpoint").mkdir(parents=True, exist_ok=True)
        content = {
            "stamp": self.stamp,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "best": self.best,
        }
        with whole_file(self.folder / "checkpoint" / "state.pt") as temporary:
            torch.save(content, temporary)
        with whole_file(self.folder / "log.jsonl") as temporary:
            temporary.write_text("".join(f"{json.dumps(line)}\n" for line in self.history))

    def finish(self) -> History:
        """Load the best epoch's weights into the module, if epochs were scored."""
        if self.best is not None:
            self.module.load_state_dict(self.best)
        self.module.eval()
        return self.history


def steps(
    milestones: Sequence[int | float],
    *,
    gamma: float = 0.1,
    warmup: int | float = 0,
    start: float = 0.1,
) -> Schedule:
    """A step schedule: the factor is multiplied by `gamma` at each milestone.

    Args:
        milestones: epochs.
        gamma: factor at each milestone.
        warmup: epochs over which the factor first rises linearly from `start` to 1.
        start: the factor at epoch 0, if there is a warm-up.
    """

    def factor(epoch: int | float) -> float:
        rise = start + (1 - start) * epoch / warmup if epoch < warmup else 1.0
        return rise * gamma ** sum(epoch >= milestone for milestone in milestones)

    return factor


def cosine(epochs: int | float, *, warmup: int | float = 0, start: float = 0.1) -> Schedule:
    """A cosine schedule: after the warm-up the factor falls from 1 to 0 at `epochs`.

    Args:
        epochs: length of the training.
        warmup: epochs over which the factor first rises linearly from `start` to 1.
        start: the factor at epoch 0, if there is a warm-up.
    """

    def factor(epoch: int | float) -> float:
        if epoch < warmup:
            return start + (1 - start) * epoch / warmup
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))

    return factor


def stamp(
    method: Any, train: tuple[Features, Labels], validation: tuple[Features, Labels] | None
) -> str:
    """Identify a fit for its checkpoints: a digest of the re-ranker's options, the training images
    and the validation images.
    """
    digest = hashlib.blake2b(described(method).encode(), digest_size=16)
    for features, labels in (train, *([] if validation is None else [validation])):
        digest.update(features.vectors.tobytes() + "\n".join(features.items.tolist()).encode())
        digest.update(labels.identity.tobytes() + labels.role.tobytes())
    return digest.hexdigest()
