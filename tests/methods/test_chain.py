from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from graphreid.distances import from_reranker as reranked
from graphreid.gallery import Gallery
from graphreid.methods import (
    AQE,
    DBA,
    ECN,
    CAJaccard,
    Chain,
    Cosine,
    GNNReranking,
    KReciprocal,
    RandomWalk,
)
from graphreid.methods.chain import chained, gives_vectors
from graphreid.methods.spec import parse
from graphreid.protocols import Reranker, Transforms
from graphreid.resources import Resources
from graphreid.testing import rerankers as conformance
from graphreid.types import DistanceBlock, Features
from tests.references import chain as slow
from tests.references import ecn as slow_ecn
from tests.references import k_reciprocal as slow_k_reciprocal
from tests.support import all_distances, blobs, cosine_distances, labelled

ONLINE = [
    "aqe+k-reciprocal:setting=online",
    "dba+aqe+cosine",
    "random-walk+k-reciprocal:setting=online",
    "ecn:setting=online+ecn:setting=online,method=origdist",
    "random-walk:K=20+random-walk",
]
TRANSDUCTIVE = [
    "aqe+k-reciprocal",
    "gnn-reranking+k-reciprocal",
    "random-walk+k-reciprocal:k1=7",
    "ecn+k-reciprocal",
    "ecn:method=origdist+ecn:method=origdist",
    "k-reciprocal+random-walk",
    "diffusion+ecn",
    "ca-jaccard+k-reciprocal:lam=0.0",
]


@pytest.fixture(params=ONLINE + TRANSDUCTIVE)
def method(request: pytest.FixtureRequest) -> Reranker:
    return parse(request.param)


@pytest.mark.parametrize(
    "check",
    [
        conformance.check_order_is_a_permutation_and_distances_ascend,
        conformance.check_the_order_of_the_gallery_does_not_matter,
        conformance.check_another_width_is_refused,
        conformance.check_one_id_with_two_vectors_is_refused,
        conformance.check_too_little_memory_says_what_is_needed,
        conformance.check_duplicates,
        conformance.check_a_zero_vector_that_was_kept,
        conformance.check_small_sets_and_k_larger_than_the_gallery,
    ],
)
def test_a_chain_keeps_what_a_method_promises(
    method: Reranker, check: Callable[[Reranker], None]
) -> None:
    check(method)


@pytest.mark.parametrize("text", ONLINE)
def test_online_a_query_gets_the_same_answer_alone_and_in_company(text: str) -> None:
    conformance.check_online_a_query_gets_the_same_answer_alone_and_in_company(parse(text))


def test_a_query_of_the_gallery_never_finds_itself(method: Reranker) -> None:
    assert isinstance(method, Chain)
    if gives_vectors(method.first) and "AQE" in repr(method.first):
        with pytest.raises(ValueError, match="use dba"):
            conformance.check_never_returns_itself(method)
        return
    conformance.check_never_returns_itself(method)


@pytest.mark.parametrize("text", ONLINE + TRANSDUCTIVE)
def test_a_chain_is_a_method(text: str) -> None:
    method = parse(text)
    assert isinstance(method, Reranker)
    assert method.setting == ("online" if text in ONLINE else "transductive")
    assert method.uses_camera == ("ca-jaccard" in text)


@pytest.mark.parametrize("keep", [8, 1000])
@pytest.mark.parametrize(
    "first", [RandomWalk(K=12), ECN(k=8, t=2, q=3), ECN(t=2, q=3, method="origdist")]
)
def test_k_reciprocal_after_distances_equals_the_slow_statement(
    monkeypatch: pytest.MonkeyPatch, first: Any, keep: int
) -> None:
    monkeypatch.setattr(reranked, "KEEP", keep)
    query, gallery = blobs(1, queries=8, images=50)
    cosine = cosine_distances(query, gallery)
    joined = Features(
        np.concatenate([query.vectors, gallery.vectors]),
        np.concatenate([query.items, gallery.items]),
    )
    given = all_distances(first, joined, Gallery(joined)).astype(np.float64)
    between = slow.reranked(given, cosine, max(keep, 7), first.unscored_offset, first.min_distance)
    given[np.isinf(given)] = first.min_distance
    farthest = (given - first.min_distance).max(axis=1)  # by the first method's own distances
    expected = slow_k_reciprocal.transductive(between, len(query), 7, 3, 0.3, farthest)
    got = all_distances(chained(first, KReciprocal(7, 3, 0.3)), query, Gallery(gallery))
    np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("keep", [9, 1000])
@pytest.mark.parametrize("first", [RandomWalk(K=9), ECN(k=8, t=2, q=3), GNNReranking()])
def test_ecn_on_another_methods_distances_equals_the_slow_statement(
    monkeypatch: pytest.MonkeyPatch, first: Any, keep: int
) -> None:
    monkeypatch.setattr(reranked, "KEEP", keep)
    query, gallery = blobs(2, queries=6, images=40)
    joined = Features(
        np.concatenate([query.vectors, gallery.vectors]),
        np.concatenate([query.items, gallery.items]),
    )
    given = all_distances(first, joined, Gallery(joined)).astype(np.float64)
    for by_rank in (True, False):
        between = slow.reranked(
            given,
            cosine_distances(query, gallery),
            keep,
            first.unscored_offset,
            first.min_distance,
            floor=by_rank,
        )
        second = ECN(6, 2, 3, "rankdist" if by_rank else "origdist")
        got = all_distances(chained(first, second), query, Gallery(gallery))
        want = slow_ecn.transductive_of_rows(between, len(query), 6, 2, 3, by_rank)
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-5)


def test_new_vectors_are_what_the_second_method_gets() -> None:
    query, gallery = blobs(3)
    queries, images = DBA().transform(query, Gallery(gallery))
    want = all_distances(KReciprocal(), queries, Gallery(images))
    np.testing.assert_array_equal(
        all_distances(parse("dba+k-reciprocal"), query, Gallery(gallery)), want
    )
    both = parse("dba+aqe")
    assert isinstance(both, Transforms)
    assert gives_vectors(both)
    got = Gallery(both.transform(query, Gallery(gallery))[0]).vectors @ Gallery(images).vectors.T
    np.testing.assert_allclose(
        all_distances(both, query, Gallery(gallery)), 1 - got, rtol=0, atol=1e-6
    )


def test_lists_of_an_online_first_method_stay_with_the_gallery() -> None:
    query, gallery = blobs(4)
    kept = Gallery(gallery)
    asked: list[int] = []

    class Counting(RandomWalk):
        def distances(
            self, query: Features, gallery: Gallery, *, resources: Resources | None = None
        ) -> Iterator[DistanceBlock]:
            asked.append(len(query))
            return super().distances(query, gallery, resources=resources)

    method = chained(Counting(), KReciprocal(setting="online"))
    for one_query in range(3):
        all_distances(method, query.take(np.array([one_query])), kept)
    assert asked == [60, 1, 1, 1]
    # where the second wants longer lists, pairs are looked up in these too
    asked.clear()
    (many, _), (wide, _) = labelled(4, images=160)
    all_distances(
        chained(Counting(K=9), KReciprocal(k1=150, setting="online")), many, Gallery(wide)
    )
    assert asked == [160, 12]
    transformed = chained(DBA(), KReciprocal(setting="online"))
    all_distances(transformed, query, kept)
    before = len(vars(kept)["_derived"])
    all_distances(transformed, query, kept)
    assert len(vars(kept)["_derived"]) == before


def test_a_method_that_changes_nothing_leaves_the_second_alone() -> None:
    query, gallery = blobs(6)
    for second in (
        KReciprocal(),
        KReciprocal(setting="online"),
        ECN(),
        ECN(method="origdist"),
        RandomWalk(),
    ):
        plain = all_distances(second, query, Gallery(gallery))
        got = all_distances(chained(Cosine(), second), query, Gallery(gallery))
        np.testing.assert_allclose(got, plain, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize(
    "text",
    ["k-reciprocal+aqe", "ecn+gnn-reranking", "random-walk+ca-jaccard", "random-walk+dba+aqe"],
)
def test_a_method_that_needs_vectors_refuses_distances(text: str) -> None:
    with pytest.raises(ValueError, match="needs vectors"):
        parse(text)


def test_a_method_without_an_offset_is_refused() -> None:
    class NoOffset(Cosine):
        def __getattribute__(self, name: str) -> Any:
            if name == "unscored_offset":
                raise AttributeError(name)
            return super().__getattribute__(name)

    with pytest.raises(ValueError, match="can't stand before"):
        Chain(NoOffset(), KReciprocal())
    query, gallery = blobs(0)
    with pytest.raises(ValueError, match="gives distances, not vectors"):
        Chain(AQE(), KReciprocal()).transform(query, Gallery(gallery))


def test_fit_fits_both_and_cameras_are_passed_on() -> None:
    (query, _), (gallery, labels) = labelled(7)
    method = chained(AQE(), CAJaccard())
    assert method.fit(gallery, labels) is method
    assert np.isfinite(all_distances(method, query, Gallery(gallery))).all()
    assert np.isfinite(all_distances(parse("ca-jaccard+ecn"), query, Gallery(gallery))).all()
