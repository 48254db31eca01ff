"""The one training loop, for the baseline and the learned re-rankers alike."""

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
"""From the epochs gone by, in fractions, to the factor of every learning rate."""


class Batches(Protocol[Batch_co]):
    """An epoch's batches; a list will do. Where they have `facts`, numbers by name, these go into
    the epoch's record.
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
    """Train `module` in place; with a folder, from where an earlier call stopped, to the same end
    result.

    Every epoch begins from random numbers of its own, made of the seed and its number; so the state
    between two epochs is the weights, the optimizer's and the history.

    Args:
        module: holds whatever is learned; its weights go into the checkpoint.
        optimizer: each of its groups' own learning rates is multiplied by the schedule's factor.
        batches: from the epoch's number, counted from 0, to its batches.
        loss: from a batch to the named parts whose sum is minimised.
        epochs: at most so many.
        seed: of all that is random.
        schedule: the learning rates' factor.
        accumulate: batches whose gradients are averaged for one step.
        validate: a score of the module after an epoch, larger is better; the best epoch's weights
            are the result.
        patience: stop after so many epochs without a better score; None for never.
        folder: gets checkpoint/state.pt and log.jsonl after each epoch. In one with a checkpoint,
            training goes on.
        stamp: names settings and data. A checkpoint with another stamp is refused.
        what: the work's name for progress.
        resources: progress; and threads.

    Returns:
        A record an epoch: each part's mean, the epoch's number (from 1), the first group's rate at
            its end, batches, seconds,
        and the score where there is one.

    Raises:
        ValueError: a loss that is not finite, an epoch without batches, or a checkpoint of other
            settings or data.
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
                record |= getattr(drawn, "facts", {})
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
    """What stands between two epochs, and its copy on disk."""

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
        """An epoch's score each, or nothing."""
        return [record["score"] for record in self.history if "score" in record]

    def stale(self, patience: int | None) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        scores = self.scores()
        return (
            patience is not None
            and len(scores) > 0
            and len(scores) - 1 - scores.index(max(scores)) >= patience
        )

    def close(self, record: dict[str, int | float]) -> None:
        """End an epoch: note its record and, in the first process, save."""
        self.history.append(record)
        if "score" in record and record["score"] >= max(self.scores()):
            self.best = deepcopy(self.module.state_dict())
        if self.folder is None or not processes.first():
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
        """Leave the best weights in the module, where epochs were scored."""
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
    """The factor rises linearly from `start` to 1 over `warmup` epochs, and is multiplied by
    `gamma` at each milestone.
    """

    def factor(epoch: int | float) -> float:
        rise = start + (1 - start) * epoch / warmup if epoch < warmup else 1.0
        return rise * gamma ** sum(epoch >= milestone for milestone in milestones)

    return factor


def cosine(epochs: int | float, *, warmup: int | float = 0, start: float = 0.1) -> Schedule:
    """The factor rises linearly from `start` to 1 over `warmup` epochs, then falls as half a
    cosine, to 0 at `epochs`.
    """

    def factor(epoch: int | float) -> float:
        if epoch < warmup:
            return start + (1 - start) * epoch / warmup
        return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))

    return factor


def stamp(
    method: Any, train: tuple[Features, Labels], validation: tuple[Features, Labels] | None
) -> str:
    """What a fit's checkpoints are of: the re-ranker's options, the images fitted on, and those
    that epochs are scored on.
    """
    digest = hashlib.blake2b(described(method).encode(), digest_size=16)
    for features, labels in (train, *([] if validation is None else [validation])):
        digest.update(features.vectors.tobytes() + "\n".join(features.items.tolist()).encode())
        digest.update(labels.identity.tobytes() + labels.role.tobytes())
    return digest.hexdigest()
