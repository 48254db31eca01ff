import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from graphreid.methods import METHODS
from graphreid.methods.spec import parse
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.training.loop import History, cosine, optimise, stamp, steps
from tests.support import labelled

Batch = tuple[Tensor, Tensor]


class StopHereError(Exception):
    pass


class Work:
    """A small network with dropout, so that global random numbers matter, to be interrupted at a
    step.
    """

    def __init__(
        self, stop: int | None = None, kind: type[torch.optim.Optimizer] = torch.optim.Adam
    ) -> None:
        torch.manual_seed(5)
        self.module = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        self.optimizer = kind(self.module.parameters(), lr=0.05)  # type: ignore[call-arg]
        self.calls, self.stop = 0, stop
        self.scores: list[float] = []
        self.rates: list[float] = []

    def batches(self, epoch: int) -> list[Batch]:
        x = torch.from_numpy(generator(9, epoch).standard_normal((3, 6, 4))).float()
        return [(batch, batch.sum(1, keepdim=True)) for batch in x]

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        if self.calls == self.stop:
            raise StopHereError
        self.calls += 1
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        error = self.module(batch[0]) - batch[1]
        return {"square": error.square().mean(), "size": 1e-3 * error.abs().mean()}

    def train(
        self,
        epochs: int = 5,
        folder: Path | None = None,
        validate: Callable[[int], float] | None = None,
        patience: int | None = None,
        accumulate: int = 1,
        stamp: str = "a",
    ) -> History:
        return optimise(
            self.module,
            self.optimizer,
            self.batches,
            self.loss,
            epochs=epochs,
            seed=3,
            schedule=cosine(epochs, warmup=1),
            validate=validate,
            patience=patience,
            accumulate=accumulate,
            folder=folder,
            stamp=stamp,
        )

    def weights(self) -> Tensor:
        return torch.cat([value.flatten().double() for value in self.module.state_dict().values()])


def timeless(history: History) -> History:
    return [
        {name: value for name, value in record.items() if name != "seconds"} for record in history
    ]


@pytest.mark.parametrize("stop", [0, 1, 4, 6, 14])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, stop: int, kind: type[torch.optim.Optimizer]
):
    whole = Work(kind=kind)
    history = whole.train()
    broken = Work(stop, kind)
    with pytest.raises(StopHereError):
        broken.train(folder=tmp_path)
    resumed = Work(kind=kind)
    torch.manual_seed(77)  # whatever ran before
    assert timeless(resumed.train(folder=tmp_path)) == timeless(history)
    assert torch.equal(resumed.weights(), whole.weights())
    assert resumed.calls == 15 - stop // 3 * 3
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert timeless(lines) == timeless(history)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert {path.name for path in tmp_path.rglob("*")} == {"checkpoint", "state.pt", "log.jsonl"}


def test_a_run_that_ended_is_not_run_again(tmp_path: Path):
    whole = Work()
    history = whole.train(folder=tmp_path)
    again = Work(stop=0)
    assert again.train(folder=tmp_path) == history
    assert torch.equal(again.weights(), whole.weights())


def test_other_settings_are_refused(tmp_path: Path):
    Work().train(folder=tmp_path)
    with pytest.raises(ValueError, match="other settings or data"):
        Work().train(folder=tmp_path, stamp="b")


def test_a_damaged_checkpoint_is_named(tmp_path: Path):
    Work().train(folder=tmp_path)
    file = tmp_path / "checkpoint" / "state.pt"
    for damaged in (b"", file.read_bytes()[:200]):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"state\.pt: a damaged checkpoint"):
            Work().train(folder=tmp_path)


def test_the_global_random_state_is_put_back():
    work = Work()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    work.train(epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop", [None, 7])
def test_the_best_epoch_is_the_result_and_training_stops_early(tmp_path: Path, stop: int | None):
    scores = [0.1, 0.5, 0.4, 0.3, 0.9]

    def scored(work: Work) -> tuple[History, list[Tensor]]:
        after: list[Tensor] = []

        def validate(epoch: int) -> float:
            after.append(work.weights())
            return scores[epoch]

        return work.train(validate=validate, patience=2, folder=tmp_path), after

    best = Work()
    best.train(epochs=5, validate=lambda epoch: -epoch)  # the first epoch is best: its weights
    if stop is not None:
        with pytest.raises(StopHereError):
            scored(Work(stop))
    work = Work()
    history, _ = scored(work)
    assert [record["score"] for record in history] == scores[:4]
    reference = Work()
    reference.train(epochs=5, validate=lambda epoch: scores[epoch] if epoch < 4 else -1)
    assert torch.equal(work.weights(), reference.weights())
    assert not torch.equal(best.weights(), work.weights())
    assert not work.module.training


def test_accumulated_batches_are_one_large_batch():
    def run(parts: int) -> Tensor:
        layer = nn.Linear(4, 1, bias=False)
        nn.init.ones_(layer.weight)
        x = torch.arange(24, dtype=torch.float32).view(6, 4) / 24
        batches = list(x.chunk(parts))
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        optimise(
            layer,
            optimizer,
            lambda _: batches,
            lambda batch: {"x": layer(batch).square().mean()},
            epochs=3,
            seed=0,
            accumulate=parts,
        )
        return layer.weight.detach()

    torch.testing.assert_close(run(3), run(1))


def test_loss_that_is_not_finite_and_epochs_without_batches():
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def bad(batch: Tensor) -> dict[str, Tensor]:
        return {"x": layer(batch).sum() * torch.inf}

    with pytest.raises(ValueError, match=r"not finite in epoch 1 .*lower the learning rate"):
        optimise(layer, optimizer, lambda _: [torch.ones(1)], bad, epochs=1, seed=0)
    nothing: list[Tensor] = []
    with pytest.raises(ValueError, match="epoch 1 has no batches"):
        optimise(layer, optimizer, lambda _: nothing, bad, epochs=1, seed=0)


def test_progress_counts_steps_of_all_epochs():
    told: list[tuple[str, int, int]] = []
    layer = nn.Linear(1, 1)
    optimise(
        layer,
        torch.optim.SGD(layer.parameters(), lr=0.1),
        lambda _: [torch.ones(1)] * 2,
        lambda batch: {"x": layer(batch).sum()},
        epochs=2,
        seed=0,
        what="work",
        resources=Resources(progress=lambda what, done, total: told.append((what, done, total))),
    )
    assert told == [("work", done, 4) for done in (1, 2, 3, 4)]


def test_schedules():
    published = steps((40, 70), warmup=10)
    assert [published(epoch) for epoch in (0, 5, 10, 39.9)] == pytest.approx([0.1, 0.55, 1, 1])
    assert [published(epoch) for epoch in (40, 69, 70, 119)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01]
    )
    falling = cosine(20, warmup=4)
    assert [falling(epoch) for epoch in (0, 2, 4, 12, 20)] == pytest.approx([0.1, 0.55, 1, 0.5, 0])


def test_every_step_has_the_rate_of_the_schedule():
    work = Work()
    work.train(epochs=4)
    factor = cosine(4, warmup=1)
    assert work.rates == pytest.approx(
        [0.05 * factor(epoch + step / 3) for epoch in range(4) for step in range(3)]
    )


def test_stamps_name_options_and_data():
    _, train = labelled(1, images=12)
    _, other = labelled(2, images=12)
    method = METHODS["cagcn"]()
    same = stamp(method, train, None)
    assert same == stamp(METHODS["cagcn"](), train, None)
    changed = [
        stamp(METHODS["sggnn"](), train, None),
        stamp(method, other, None),
        stamp(method, train, other),
    ]
    changed += [
        stamp(parse("cagcn:layers=1"), train, None),
        stamp(method, (train[0], other[1]), None),
    ]
    assert len({same, *changed}) == 6
