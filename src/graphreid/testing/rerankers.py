"""What every re-ranker promises, in each of its settings."""

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, options_of, with_options
from graphreid.protocols import ONLINE, Explains, Reranker
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.testing.data import all_distances, labelled
from graphreid.types import Features


@dataclass(frozen=True)
class Case:
    """A re-ranker in one of its settings.

    Attributes:
        kind: its class.
        setting: "online" or "transductive".
        options: by flat name; such that a fit is quick.
        own_base: the ranks before in its explanations are by distances of its own, not by those of
            the input.
    """

    kind: type[Any]
    setting: str
    options: tuple[tuple[str, Any], ...] = ()
    own_base: bool = False

    def fresh(self) -> Reranker:
        """The method before a fit."""
        options = dict(self.options)
        if len(self.kind.settings) > 1:
            options["setting"] = self.setting
        return build(self.kind, **options)

    def fitted(self) -> Reranker:
        """The method fitted on identities of its own; fitted once, and copied, for methods have no
        other state.
        """
        return copy.deepcopy(_fitted(self))


@cache
def _fitted(case: Case) -> Reranker:
    _, (train, labels) = labelled(99, images=80)
    return case.fresh().fit(train, labels)


def reranker_checks(
    kind: type[Any], options: Mapping[str, Any] | None = None, *, own_base: bool = False
) -> list[Any]:
    """Every check of a method in each of its settings, for `pytest.mark.parametrize`:

        @pytest.mark.parametrize("check", reranker_checks(MyMethod, {"k": 5}))
        def test_my_method(check):
            check()

    Args:
        kind: its class.
        options: by flat name, such that a fit on 80 images takes a second.
        own_base: see `Case`.
    """
    found: list[Any] = []
    for setting in sorted(kind.settings):
        case = Case(kind, setting, tuple((options or {}).items()), own_base)
        checks = {check.__name__: partial(check, case) for check in CASE_CHECKS}
        checks |= {check.__name__: partial(_of_fitted, check, case) for check in METHOD_CHECKS}
        found += parameters(f"{kind.name}-{setting}", checks)
    return found


def parameters(name: str, checks: Mapping[str, Callable[[], None]]) -> list[Any]:
    """Checks as pytest takes them, under names that say what they are of."""
    return [
        pytest.param(check, id=f"{name}-{what.removeprefix('check_')}")
        for what, check in checks.items()
    ]


def _of_fitted(check: Callable[[Reranker], None], case: Case) -> None:
    check(case.fitted())


def data(seed: int = 0) -> tuple[Features, Features]:
    (query, _), (gallery, _) = labelled(seed)
    return query, gallery


def check_declares_what_it_is(case: Case) -> None:
    method = case.fitted()
    assert isinstance(method, Reranker)
    assert method.setting == case.setting
    assert method.settings <= {"online", "transductive"}
    assert method.takes in ("distances", "vectors")
    assert isinstance(method.comparable, bool)


def check_order_is_a_permutation_and_distances_ascend(method: Reranker) -> None:
    query, gallery = data()
    ranking = rank(method.distances(query, Gallery(gallery)), len(gallery))
    assert (np.sort(ranking.order, axis=1) == np.arange(len(gallery))).all()
    assert np.isfinite(ranking.distance).all()
    assert (np.diff(ranking.distance, axis=1) >= 0).all()
    if ranking.probability is not None:
        assert ((ranking.probability >= 0) & (ranking.probability <= 1)).all()


def check_never_returns_itself(method: Reranker) -> None:
    query, gallery = data()
    joined = Features(
        np.concatenate([gallery.vectors, query.vectors]),
        np.concatenate([gallery.items, query.items]),
        np.concatenate([gallery.camera, query.camera])
        if gallery.camera is not None and query.camera is not None
        else None,
    )
    ranking = rank(method.distances(query, Gallery(joined)), len(joined))
    for one_query in range(len(query)):
        itself = len(gallery) + one_query
        assert itself not in ranking.order[one_query]
        assert ranking.order[one_query, -1] == -1
        assert sorted(ranking.order[one_query, :-1]) == [
            row for row in range(len(joined)) if row != itself
        ]


def check_the_order_of_the_gallery_does_not_matter(method: Reranker) -> None:
    query, gallery = data()
    shuffle = np.random.default_rng(5).permutation(len(gallery))
    plain = all_distances(method, query, Gallery(gallery))
    shuffled = all_distances(method, query, Gallery(gallery.take(shuffle)))
    np.testing.assert_allclose(shuffled, plain[:, shuffle], rtol=0, atol=1e-5)


def check_online_a_query_gets_the_same_answer_alone_and_in_company(method: Reranker) -> None:
    if method.setting != ONLINE:
        return
    query, gallery = data()
    together = all_distances(method, query, Gallery(gallery))
    shared = Gallery(gallery)
    for one_query in range(len(query)):
        alone = all_distances(method, query.take(np.array([one_query])), shared)
        np.testing.assert_allclose(alone[0], together[one_query], rtol=0, atol=1e-5)


def check_the_camera_has_no_effect_unless_declared(method: Reranker) -> None:
    query, gallery = data()
    one = all_distances(method, query, Gallery(gallery))
    rng = np.random.default_rng(1)

    def other(features: Features) -> Features:
        return Features(features.vectors, features.items, rng.integers(0, 3, len(features)))

    changed = all_distances(method, other(query), Gallery(other(gallery)))
    if method.uses_camera:
        assert not np.allclose(one, changed, atol=1e-5)
    else:
        np.testing.assert_array_equal(one, changed)


def check_no_cameras(method: Reranker) -> None:
    query, gallery = data()
    queries = Features(query.vectors, query.items)
    images = Features(gallery.vectors, gallery.items)
    if method.uses_camera:
        with pytest.raises(ValueError, match="camera"):
            all_distances(method, queries, Gallery(images))
        return
    assert np.isfinite(all_distances(method, queries, Gallery(images))).all()


def check_one_camera(method: Reranker) -> None:
    query, gallery = data()
    queries = Features(query.vectors, query.items, np.ones(len(query), int))
    images = Features(gallery.vectors, gallery.items, np.ones(len(gallery), int))
    assert np.isfinite(all_distances(method, queries, Gallery(images))).all()


def check_two_fits_with_one_seed_agree_from_different_random_states(
    case: Case,
) -> None:
    query, gallery = data()
    _, (train, labels) = labelled(98, images=80)
    answers: list[Any] = []
    for state in (1, 2):
        torch.manual_seed(state)
        np.random.seed(state)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
        answers.append(all_distances(case.fresh().fit(train, labels), query, Gallery(gallery)))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]
    np.testing.assert_array_equal(answers[0], answers[1])


def check_a_second_fit_forgets_the_first(case: Case) -> None:
    query, gallery = data()
    _, (first, first_labels) = labelled(97, images=80)
    _, (train, labels) = labelled(96, images=70)
    again = case.fresh().fit(first, first_labels).fit(train, labels)
    once = case.fresh().fit(train, labels)
    np.testing.assert_array_equal(
        all_distances(again, query, Gallery(gallery)), all_distances(once, query, Gallery(gallery))
    )


def check_inputs_are_left_as_they_were(case: Case) -> None:
    method = case.fitted()
    query, gallery = data()
    _, (train, labels) = labelled(95, images=80)
    given = [query.vectors, gallery.vectors, train.vectors, labels.identity]
    copies = [array.copy() for array in given]
    all_distances(method, query, Gallery(gallery))
    case.fresh().fit(train, labels)
    for array, before in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, before)


def check_save_and_load(method: Reranker) -> None:
    query, gallery = data()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "method.safetensors"
        save(method, file)
        again = load(file)
        parsed = parse(str(file))
    assert type(again) is type(method)
    np.testing.assert_array_equal(
        all_distances(again, query, Gallery(gallery)),
        all_distances(method, query, Gallery(gallery)),
    )
    assert parsed.setting == method.setting


def check_small_sets_and_k_larger_than_the_gallery(method: Reranker) -> None:
    for queries, images in ((1, 1), (3, 1), (1, 2), (1, 60), (4, 5)):
        (query, _), (gallery, _) = labelled(7, queries=queries, images=images)
        got = all_distances(method, query, Gallery(gallery))
        assert got.shape == (queries, images)
        assert np.isfinite(got).all(), (queries, images)


def check_duplicates(method: Reranker) -> None:
    query, gallery = data()
    twice = Features(
        np.concatenate([gallery.vectors, gallery.vectors]),
        np.concatenate([gallery.items, np.char.add("copy of ", gallery.items)]),
        np.concatenate([gallery.camera, gallery.camera]) if gallery.camera is not None else None,
    )
    got = all_distances(method, query, Gallery(twice))
    assert np.isfinite(got).all()
    equal = Features(np.ones((40, 16), np.float32), camera=np.arange(40) % 3)
    assert np.isfinite(all_distances(method, query, Gallery(equal))).all()


def check_a_zero_vector_that_was_kept(method: Reranker) -> None:
    query, gallery = data()
    vectors = gallery.vectors.copy()
    vectors[3] = 0
    assert np.isfinite(
        all_distances(
            method, query, Gallery(Features(vectors, gallery.items, gallery.camera, "keep"))
        )
    ).all()


def check_an_explanation_has_the_numbers_of_the_distances(case: Case) -> None:
    method = case.fitted()
    if not isinstance(method, Explains):
        return
    query, gallery = data()
    snapshot = Gallery(gallery)
    for one_query in (query.take(np.array([3])), gallery.take(np.array([7]))):
        block = next(iter(method.distances(one_query, snapshot)))
        own = snapshot.rows_of(one_query.items)[0]
        explanation = method.explain(one_query, snapshot)
        n = len(explanation.nodes)
        assert n > 2
        assert len(np.unique(explanation.nodes)) == n
        assert own not in explanation.nodes
        np.testing.assert_array_equal(
            explanation.rank_after,
            np.argsort(np.argsort(block.distance[0], kind="stable"))[explanation.nodes] + 1,
        )
        if not case.own_base:
            base = next(iter(Cosine().distances(one_query, snapshot))).distance[0]
            np.testing.assert_array_equal(
                explanation.rank_before,
                np.argsort(np.argsort(base, kind="stable"))[explanation.nodes] + 1,
            )
        assert (explanation.probability is None) == (block.probability is None)
        if explanation.probability is not None and block.probability is not None:
            np.testing.assert_array_equal(
                explanation.probability, block.probability[0, explanation.nodes]
            )
        assert explanation.edges.shape == (len(explanation.weights), 2)
        assert ((explanation.edges >= 0) & (explanation.edges < n)).all()
        assert len(np.unique(explanation.edges, axis=0)) == len(explanation.edges) > 0
        assert (explanation.weights > 0).all()
        if explanation.query_weights is not None:
            assert explanation.query_weights.shape == (n,)
            assert explanation.query_weights.min() >= 0
            assert explanation.query_weights.max() > 0
    with pytest.raises(ValueError, match="one at a time"):
        method.explain(query, snapshot)
    (one, _), (only, _) = labelled(7, queries=1, images=1)
    assert len(method.explain(one, Gallery(only)).nodes) <= 1
    assert len(method.explain(only, Gallery(only)).nodes) == 0


def check_another_width_is_refused(method: Reranker) -> None:
    query, _ = data()
    with pytest.raises(ValueError, match="wide"):
        all_distances(method, query, Gallery(Features(np.ones((5, 4), np.float32))))


def check_one_id_with_two_vectors_is_refused(method: Reranker) -> None:
    query, gallery = data()
    clash = Features(query.vectors, np.array([gallery.items[0], *query.items[1:]]), query.camera)
    with pytest.raises(ValueError, match="one vector among the queries"):
        all_distances(method, clash, Gallery(gallery))


def check_blocks_do_not_change_the_answer(method: Reranker) -> None:
    query, gallery = data()
    plain = all_distances(method, query, Gallery(gallery))
    memory = 6_000
    small = None
    # what a method holds beside its blocks differs: the least that is enough gives the smallest
    # blocks
    while small is None:
        try:
            small = all_distances(method, query, Gallery(gallery), Resources(memory=memory))
        except ValueError:
            memory += memory // 2
            assert memory < 2_000_000
    np.testing.assert_allclose(small, plain, rtol=0, atol=1e-5)


def check_too_little_memory_says_what_is_needed(method: Reranker) -> None:
    query, gallery = data()
    with pytest.raises(ValueError, match="at least"):
        all_distances(method, query, Gallery(gallery), Resources(memory=10))


def check_a_value_out_of_its_range_is_refused(case: Case) -> None:
    method = case.fresh()
    for option in options_of(case.kind):
        kinds = (option.kind, *get_args(option.kind))
        numbers = [get_args(kind)[0] for kind in kinds if get_origin(kind) is Annotated]
        if not numbers:
            continue
        *groups, name = option.paths[0]
        owner: Any = method
        for group in groups:
            owner = getattr(owner, group)
        for value in map(numbers[0], (-1, 0, 2)):
            try:
                with_options(method, **{option.name: value})
            except ValueError:
                with pytest.raises(ValueError, match=name):
                    dataclasses.replace(owner, **{name: value})


CASE_CHECKS = (
    check_declares_what_it_is,
    check_two_fits_with_one_seed_agree_from_different_random_states,
    check_a_second_fit_forgets_the_first,
    check_inputs_are_left_as_they_were,
    check_an_explanation_has_the_numbers_of_the_distances,
    check_a_value_out_of_its_range_is_refused,
)
METHOD_CHECKS = (
    check_order_is_a_permutation_and_distances_ascend,
    check_never_returns_itself,
    check_online_a_query_gets_the_same_answer_alone_and_in_company,
    check_the_order_of_the_gallery_does_not_matter,
    check_the_camera_has_no_effect_unless_declared,
    check_no_cameras,
    check_one_camera,
    check_save_and_load,
    check_small_sets_and_k_larger_than_the_gallery,
    check_duplicates,
    check_a_zero_vector_that_was_kept,
    check_another_width_is_refused,
    check_one_id_with_two_vectors_is_refused,
    check_blocks_do_not_change_the_answer,
    check_too_little_memory_says_what_is_needed,
)
