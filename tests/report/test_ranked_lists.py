import numpy as np
import pytest

from graphreid.metrics.protocol import MARKET
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report
from graphreid.report import ranked_lists
from graphreid.report.ranked_lists import QueryGroup, query_groups
from graphreid.types import JUNK, Labels
from tests.report.cases import examined


def shown(
    seed: int = 0, *, methods: int = 2, others: int = 1
) -> tuple[tuple[QueryGroup, ...], list[Report], Relevance]:
    case = examined(seed, methods=methods)
    own = case.gallery.rows_of(case.query.items)
    relevance = Relevance(case.query_labels, case.gallery_labels, own=own, protocol=MARKET)
    after = case.reports[1] if methods > 1 else None
    return query_groups(case.reports[0], after, relevance, others=others), case.reports, relevance


def test_kinds_hold_the_queries_they_name_and_none_twice() -> None:
    found, (before, after), _ = shown()
    kinds = {group.kind: [case.query for case in group.examples] for group in found}
    assert list(kinds) == ["Most improved", "Most harmed", "Hardest", "Random"]
    gain = after.ap - before.ap
    best = np.argsort(-np.where(after.evaluated, gain, 0), kind="stable")
    assert kinds["Most improved"] == best[: ranked_lists.GROUP_SIZE].tolist()
    worst = np.argsort(np.where(after.evaluated, gain, 0), kind="stable")
    assert (
        kinds["Most harmed"]
        == [row for row in worst.tolist() if gain[row] < 0][: ranked_lists.GROUP_SIZE]
    )
    rest = [row for row in np.argsort(after.ap, kind="stable").tolist() if after.evaluated[row]]
    taken = {*kinds["Most improved"], *kinds["Most harmed"]}
    assert kinds["Hardest"] == [row for row in rest if row not in taken][: ranked_lists.GROUP_SIZE]
    every = [query for queries in kinds.values() for query in queries]
    assert len(every) == len(set(every))
    assert all(after.evaluated[query] for query in every)


def test_a_list_is_the_head_of_the_ranking_with_what_does_not_count() -> None:
    found, reports, relevance = shown()
    gallery, query = relevance.gallery, relevance.query
    assert gallery.camera is not None
    assert query.camera is not None
    for case in (case for group in found for case in group.examples):
        assert len(case.lists) == 2
        for ranked_list, report in zip(case.lists, reports, strict=True):
            assert report.order is not None
            assert [entry.row for entry in ranked_list.entries] == report.order[case.query][
                : len(ranked_list.entries)
            ].tolist()
            ranks = [entry.rank for entry in ranked_list.entries if entry.rank is not None]
            assert ranks == list(range(1, len(ranks) + 1))
            assert (
                len(ranks) == ranked_lists.LISTED
                or len(ranked_list.entries) == ranked_lists.MAX_ENTRIES
            )
            right = [entry.rank for entry in ranked_list.entries if entry.mark == "right"]
            if right:
                assert right[0] == ranked_list.first_rank == report.first_rank[case.query]
            for entry in ranked_list.entries:
                same = gallery.identity[entry.row] == query.identity[case.query]
                here = gallery.camera[entry.row] == query.camera[case.query]
                expected = "wrong" if not same else "same camera" if here else "right"
                assert entry.mark == expected
                assert (entry.rank is None) == (entry.mark == "same camera")


def test_junk_is_called_junk() -> None:
    case = examined(0)
    labels = Labels(
        case.gallery_labels.identity,
        case.gallery_labels.camera,
        np.where(np.arange(150) % 2, JUNK, 0).astype(np.int8),
    )
    relevance = Relevance(case.query_labels, labels, own=np.full(40, -1), protocol=MARKET)
    entries = [
        entry
        for group in query_groups(case.reports[0], case.reports[1], relevance)
        for one in group.examples
        for ranked_list in one.lists
        for entry in ranked_list.entries
    ]
    assert all((entry.mark == "junk") == (entry.row % 2 == 1) for entry in entries)


def test_one_method_alone_is_shown_by_its_hardest_and_some_random_queries() -> None:
    found, (only,), _ = shown(methods=1)
    assert [group.kind for group in found] == ["Hardest", "Random"]
    assert all(len(case.lists) == 1 for group in found for case in group.examples)
    assert only.method in found[0].chosen


@pytest.mark.parametrize("others", [1, 2, 5, 40])
def test_methods_share_the_queries_of_a_page(others: int) -> None:
    found, _, _ = shown(others=others)
    most = max(len(group.examples) for group in found)
    assert most == max(1, min(ranked_lists.GROUP_SIZE, ranked_lists.MAX_QUERIES // (4 * others)))


def test_equal_methods_improve_and_harm_nobody() -> None:
    case = examined(0)
    relevance = Relevance(
        case.query_labels, case.gallery_labels, own=np.full(40, -1), protocol=MARKET
    )
    found = query_groups(case.reports[0], case.reports[0], relevance)
    assert [len(group.examples) for group in found[:2]] == [0, 0]
    assert len(found[2].examples) == ranked_lists.GROUP_SIZE


def test_random_queries_follow_the_seed() -> None:
    case = examined(0)
    relevance = Relevance(
        case.query_labels, case.gallery_labels, own=np.full(40, -1), protocol=MARKET
    )
    drawn = [
        [one.query for one in query_groups(case.reports[0], None, relevance, seed=seed)[1].examples]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
