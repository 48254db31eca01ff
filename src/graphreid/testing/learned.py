"""What every re-ranker that learns promises of its fit."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, flat_options, option_to_text, with_options
from graphreid.protocols import Learned
from graphreid.resources import Resources
from graphreid.testing.data import all_distances, blobs, labelled
from graphreid.testing.rerankers import parameters
from graphreid.types import Features, Labels


class _Stopped(Exception):  # noqa: N818  # it is no error
    pass


@dataclass(frozen=True)
class LearnedCase:
    """A re-ranker that learns.

    Attributes:
        kind: its class.
        options: by flat name; such that a fit is quick.
        network: options that shape the network, each with another value than its own.
        stages: names under which its fit tells its progress, one for each training in it.
    """

    kind: type[Any]
    options: Mapping[str, Any]
    network: Mapping[str, Any]
    stages: tuple[str, ...]

    def fresh(self, **options: Any) -> Any:
        """The method before a fit."""
        return build(self.kind, **{**self.options, **options})


def learned_checks(
    kind: type[Any],
    options: Mapping[str, Any] | None = None,
    *,
    network: Mapping[str, Any],
    stages: tuple[str, ...] | None = None,
    name: str = "",
) -> list[Any]:
    """Every check of a method's fit, for `pytest.mark.parametrize`, as `reranker_checks`.

    Args:
        kind: its class.
        options: by flat name, such that a fit on 60 images takes a second; of three epochs or more,
            for it is stopped after some.
        network: options that shape the network, each with another value than its own: they can't be
            changed after a fit.
        stages: names under which its fit tells its progress, one for each training in it; the
            method's name if not given.
        name: of the case, where a method has several.
    """
    case = LearnedCase(kind, options or {}, network, stages or (kind.name,))
    words = filter(None, (kind.name, name))
    return parameters("-".join(words), {check.__name__: partial(check, case) for check in CHECKS})


def train_and_validation(images: int = 60) -> tuple[tuple[Features, Labels], ...]:
    """Images to fit on, and as many of other identities."""
    _, train = labelled(1, images=images)
    _, (features, labels) = labelled(2, images=images)
    return train, (features, Labels(labels.identity + 50, labels.camera))


def check_it_is_a_method_that_learns(case: LearnedCase) -> None:
    method = case.fresh()
    assert isinstance(method, Learned)
    assert method.record_ == {}
    for preset in case.kind.presets.values():
        known = flat_options(build(case.kind, **preset))
        assert {name: known[name] for name in preset} == preset


def check_a_method_that_is_not_fitted_says_so(case: LearnedCase) -> None:
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="not fitted"):
        all_distances(case.fresh(), query, Gallery(gallery))


def check_vectors_of_another_width_are_refused(case: LearnedCase) -> None:
    train, _ = train_and_validation()
    wide = Features(np.eye(20, dtype=np.float32))
    with pytest.raises(ValueError, match=r"20 wide, and .* was fitted on 16"):
        all_distances(case.fresh().fit(*train), wide, Gallery(wide))


def check_what_nothing_can_be_learned_from_is_refused(case: LearnedCase) -> None:
    train, _ = train_and_validation()
    with pytest.raises(ValueError, match="no identity has two images"):
        case.fresh().fit(train[0], Labels(np.arange(len(train[0])), train[1].camera))
    with pytest.raises(ValueError, match="identities are in both train and validation"):
        case.fresh().fit(*train, validation=train)


def check_the_record_says_what_was_fitted(case: LearnedCase) -> None:
    train, validation = train_and_validation()
    method = case.fresh().fit(*train, validation=validation)
    record = method.record_
    assert json.loads(json.dumps(record)) == record
    assert record["images"] == len(train[0])
    assert record["identities"] == len(np.unique(train[1].identity))
    assert 1 <= record["epochs"] == len(record["mAP_of_epochs"])
    assert record["seconds"] >= 0
    assert 0 <= record["validation"]["input"] <= 1
    assert 0 <= record["validation"]["mAP"] <= 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "method.safetensors"
        save(method, file)
        again: Any = load(file)
    assert again.record_ == record
    assert flat_options(again) == flat_options(method)


def check_what_shapes_the_network_stays_as_it_was_fitted(case: LearnedCase) -> None:
    train, _ = train_and_validation()
    query, gallery = blobs(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "method.safetensors"
        save(case.fresh().fit(*train), file)
        for name, value in case.network.items():
            changed = parse(f"{file}:{name}={option_to_text(value)}")
            with pytest.raises(ValueError, match="fit it again with those options"):
                all_distances(changed, query, Gallery(gallery))


def check_another_seed_learns_something_else(case: LearnedCase) -> None:
    train, _ = train_and_validation()
    query, gallery = blobs(0)
    one, other = (
        all_distances(case.fresh(seed=seed).fit(*train), query, Gallery(gallery)) for seed in (0, 1)
    )
    assert not np.array_equal(one, other)


def check_a_fit_that_was_stopped_goes_on_to_the_same_result(case: LearnedCase) -> None:
    train, validation = train_and_validation()
    seen: set[str] = set()

    def note(what: str, done: int, total: int) -> None:
        del done, total
        seen.add(what)

    whole = case.fresh().fit(*train, validation=validation, resources=Resources(progress=note))
    assert set(case.stages) <= seen
    for stage in case.stages:
        _check_stopped(case, stage, whole)


def _check_stopped(case: LearnedCase, stage: str, whole: Any) -> None:
    train, validation = train_and_validation()

    def interrupt(what: str, done: int, total: int) -> None:
        if what == stage and done > total * 0.6:
            raise _Stopped

    with tempfile.TemporaryDirectory() as folder:
        stopped = Resources(progress=interrupt)
        given = {"validation": validation, "folder": Path(folder)}
        with pytest.raises(_Stopped):
            case.fresh().fit(*train, **given, resources=stopped)
        resumed = case.fresh().fit(*train, **given)
        other = with_options(case.fresh(), seed=flat_options(whole)["seed"] + 1)
        with pytest.raises(ValueError, match="made with other settings or data"):
            other.fit(*train, **given)
    assert resumed.state_.keys() == whole.state_.keys()
    for key, value in whole.state_.items():
        assert torch.equal(resumed.state_[key], value), key
    learned = [name for name in vars(whole) if name.endswith("_")]
    for name in set(learned) - {"state_", "record_"}:
        assert getattr(resumed, name) == getattr(whole, name), name


CHECKS: tuple[Callable[[LearnedCase], None], ...] = (
    check_it_is_a_method_that_learns,
    check_a_method_that_is_not_fitted_says_so,
    check_vectors_of_another_width_are_refused,
    check_what_nothing_can_be_learned_from_is_refused,
    check_the_record_says_what_was_fitted,
    check_what_shapes_the_network_stays_as_it_was_fitted,
    check_another_seed_learns_something_else,
    check_a_fit_that_was_stopped_goes_on_to_the_same_result,
)
