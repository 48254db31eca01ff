"""What every re-ranker promises, in each of its settings. A new method is listed in METHODS and, if
slow to fit, in SMALL.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery
from graphreid.methods import METHODS, Cosine
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build
from graphreid.protocols import ONLINE, Explains, Reranker
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.types import Features
from tests.support import all_distances, labelled

SMALL: dict[str, dict[str, Any]] = {
    "cagcn": {
        "k1": 8,
        "k2": 4,
        "k": 12,
        "links": 4,
        "layers": 2,
        "width": 8,
        "attention_width": 4,
        "epochs": 1,
    },
    "ec-gcn": {"k1": 8, "k2": 3, "links": 4, "layers": 2, "width": 8, "epochs": 1},
    "fa-ec-gcn": {
        "fa_k": 4,
        "fa_epochs": 2,
        "k1": 8,
        "k2": 3,
        "links": 4,
        "layers": 2,
        "width": 8,
        "epochs": 1,
    },
    "fa-gcn": {"k": 4, "epochs": 2},
    "ffgnn": {"k": 12, "reciprocal": 4, "tau": 5, "epochs": 1},
    "hrnet": {"nodes": 12, "k": 4, "identities": 4, "images": 3, "epochs": 2},
    "parts": {"parts": 2, "width": 4, "fixed": 2},
    "sggnn": {"k": 12, "width": 8, "epochs": 1},
}
"""Options that make a method quick enough to be fitted here."""

CASES = [(name, setting) for name, kind in METHODS.items() for setting in sorted(kind.settings)]
Make = Callable[[], Reranker]


def fresh(name: str, setting: str) -> Reranker:
    options = dict(SMALL.get(name, {}))
    if len(METHODS[name].settings) > 1:
        options["setting"] = setting
    return build(METHODS[name], **options)


_FITTED: dict[tuple[str, str], Reranker] = {}


def fitted(name: str, setting: str) -> Reranker:
    """A method fitted on identities of its own; fitted once, and copied, for methods have no other
    state.
    """
    if (name, setting) not in _FITTED:
        _, (train, labels) = labelled(99, images=80)
        _FITTED[name, setting] = fresh(name, setting).fit(train, labels)
    return copy.deepcopy(_FITTED[name, setting])


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES])
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def method(case: tuple[str, str]) -> Reranker:
    return fitted(*case)


def data(seed: int = 0) -> tuple[Features, Features]:
    (query, _), (gallery, _) = labelled(seed)
    return query, gallery


def test_declares_what_it_is(case: tuple[str, str], method: Reranker) -> None:
    assert isinstance(method, Reranker)
    assert method.setting == case[1]
    assert method.settings <= {"online", "transductive"}
    assert method.takes in ("distances", "vectors")
    assert isinstance(method.comparable, bool)


def test_order_is_a_permutation_and_distances_ascend(method: Reranker) -> None:
    query, gallery = data()
    ranking = rank(method.distances(query, Gallery(gallery)), len(gallery))
    assert (np.sort(ranking.order, axis=1) == np.arange(len(gallery))).all()
    assert np.isfinite(ranking.distance).all()
    assert (np.diff(ranking.distance, axis=1) >= 0).all()
    if ranking.probability is not None:
        assert ((ranking.probability >= 0) & (ranking.probability <= 1)).all()


def test_never_returns_itself(method: Reranker) -> None:
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


def test_the_order_of_the_gallery_does_not_matter(method: Reranker) -> None:
    query, gallery = data()
    shuffle = np.random.default_rng(5).permutation(len(gallery))
    plain = all_distances(method, query, Gallery(gallery))
    shuffled = all_distances(method, query, Gallery(gallery.take(shuffle)))
    np.testing.assert_allclose(shuffled, plain[:, shuffle], rtol=0, atol=1e-5)


def test_online_a_query_gets_the_same_answer_alone_and_in_company(
    case: tuple[str, str], method: Reranker
) -> None:
    if case[1] != ONLINE:
        return
    query, gallery = data()
    together = all_distances(method, query, Gallery(gallery))
    shared = Gallery(gallery)
    for one_query in range(len(query)):
        alone = all_distances(method, query.take(np.array([one_query])), shared)
        np.testing.assert_allclose(alone[0], together[one_query], rtol=0, atol=1e-5)


def test_the_camera_has_no_effect_unless_declared(method: Reranker) -> None:
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


@pytest.mark.parametrize("cameras", ["none", "one"])
def test_no_cameras_and_one_camera(method: Reranker, cameras: str) -> None:
    query, gallery = data()
    camera = (lambda n: None) if cameras == "none" else (lambda n: np.ones(n, int))  # pyright: ignore[reportUnknownLambdaType]
    queries = Features(query.vectors, query.items, camera(len(query)))
    images = Features(gallery.vectors, gallery.items, camera(len(gallery)))
    if method.uses_camera and cameras == "none":
        with pytest.raises(ValueError, match="camera"):
            all_distances(method, queries, Gallery(images))
        return
    assert np.isfinite(all_distances(method, queries, Gallery(images))).all()


@pytest.mark.parametrize("seed", [3])
def test_two_fits_with_one_seed_agree_from_different_random_states(
    case: tuple[str, str], seed: int
) -> None:
    query, gallery = data()
    _, (train, labels) = labelled(98, images=80)
    answers: list[Any] = []
    for state in (1, 2):
        torch.manual_seed(state)
        np.random.seed(state)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
        answers.append(all_distances(fresh(*case).fit(train, labels), query, Gallery(gallery)))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index]
    np.testing.assert_array_equal(answers[0], answers[1])


def test_a_second_fit_forgets_the_first(case: tuple[str, str]) -> None:
    query, gallery = data()
    _, (first, first_labels) = labelled(97, images=80)
    _, (train, labels) = labelled(96, images=70)
    again = fresh(*case).fit(first, first_labels).fit(train, labels)
    once = fresh(*case).fit(train, labels)
    np.testing.assert_array_equal(
        all_distances(again, query, Gallery(gallery)), all_distances(once, query, Gallery(gallery))
    )


def test_inputs_are_left_as_they_were(case: tuple[str, str], method: Reranker) -> None:
    query, gallery = data()
    _, (train, labels) = labelled(95, images=80)
    given = [query.vectors, gallery.vectors, train.vectors, labels.identity]
    copies = [array.copy() for array in given]
    all_distances(method, query, Gallery(gallery))
    fresh(*case).fit(train, labels)
    for array, before in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, before)


def test_save_and_load(method: Reranker, tmp_path: Path) -> None:
    query, gallery = data()
    file = tmp_path / "method.safetensors"
    save(method, file)
    again = load(file)
    assert type(again) is type(method)
    np.testing.assert_array_equal(
        all_distances(again, query, Gallery(gallery)),
        all_distances(method, query, Gallery(gallery)),
    )
    assert parse(str(file)).setting == method.setting


@pytest.mark.parametrize(("queries", "images"), [(1, 1), (3, 1), (1, 2), (1, 60), (4, 5)])
def test_small_sets_and_k_larger_than_the_gallery(
    method: Reranker, queries: int, images: int
) -> None:
    (query, _), (gallery, _) = labelled(7, queries=queries, images=images)
    got = all_distances(method, query, Gallery(gallery))
    assert got.shape == (queries, images)
    assert np.isfinite(got).all()


@pytest.mark.parametrize(
    "text",
    [
        "aqe:n={}",
        "ca-jaccard:k1_inter={}",
        "ca-jaccard:k1_intra={},setting=online",
        "diffusion:kd={}",
        "diffusion:truncation={}",
        "gnn-reranking:k1={}",
        "k-reciprocal:k1={}",
        "k-reciprocal:k1={},setting=online",
        "random-walk:K={}",
    ],
)
def test_any_number_beyond_the_set_stands_for_all_of_it(text: str) -> None:
    query, gallery = data()
    all_of_it = all_distances(parse(text.format(200)), query, Gallery(gallery))
    np.testing.assert_array_equal(
        all_distances(parse(text.format(10**20)), query, Gallery(gallery)), all_of_it
    )


def test_duplicates(method: Reranker) -> None:
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


def test_a_zero_vector_that_was_kept(method: Reranker) -> None:
    query, gallery = data()
    vectors = gallery.vectors.copy()
    vectors[3] = 0
    assert np.isfinite(
        all_distances(
            method, query, Gallery(Features(vectors, gallery.items, gallery.camera, "keep"))
        )
    ).all()


def test_an_explanation_has_the_numbers_of_the_distances(
    case: tuple[str, str], method: Reranker
) -> None:
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
        if case[0] != "fa-ec-gcn":  # which starts from FA-GCN's distances
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


def test_methods_that_make_a_graph_of_a_query_explain() -> None:
    explains = {name for name, kind in METHODS.items() if hasattr(kind, "explain")}
    assert explains == {
        "cagcn",
        "ec-gcn",
        "fa-ec-gcn",
        "fa-gcn",
        "ffgnn",
        "hrnet",
        "k-reciprocal",
        "sggnn",
    }


def test_nan_is_refused() -> None:
    vectors = np.ones((5, 4), np.float32)
    vectors[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2"):
        Features(vectors)


def test_another_width_is_refused(method: Reranker) -> None:
    query, _ = data()
    with pytest.raises(ValueError, match="wide"):
        all_distances(method, query, Gallery(Features(np.ones((5, 4), np.float32))))


def test_one_id_with_two_vectors_is_refused(method: Reranker) -> None:
    query, gallery = data()
    clash = Features(query.vectors, np.array([gallery.items[0], *query.items[1:]]), query.camera)
    with pytest.raises(ValueError, match="one vector among the queries"):
        all_distances(method, clash, Gallery(gallery))


def test_blocks_do_not_change_the_answer(method: Reranker) -> None:
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


def test_too_little_memory_says_what_is_needed(method: Reranker) -> None:
    query, gallery = data()
    with pytest.raises(ValueError, match="at least"):
        all_distances(method, query, Gallery(gallery), Resources(memory=10))
