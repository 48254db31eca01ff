from pathlib import Path

import numpy as np

from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.relevance import Relevance
from graphreid.report import contributions, ranked_lists, write_report
from graphreid.resources import Resources
from tests.report.cases import Examined, examined

METHODS = {
    "cosine:online": Cosine(),
    "k-reciprocal:transductive": KReciprocal(k1=8, k2=3),
    "k-reciprocal:online": KReciprocal(k1=8, k2=3, setting="online"),
}


def graphs_of(case: Examined) -> list[contributions.QueryGraph]:
    own = case.gallery.rows_of(case.query.items)
    relevance = Relevance(
        case.query_labels, case.gallery_labels, own=own, protocol=case.reports[0].protocol
    )
    sections = [
        (
            report.method,
            case.reports[0].method,
            ranked_lists.query_groups(case.reports[0], report, relevance),
        )
        for report in case.reports[1:]
    ]
    return contributions.query_graphs(
        sections, METHODS, case.query, case.gallery, relevance, resources=Resources()
    )


def test_the_most_changed_queries_have_the_ranks_of_their_lists() -> None:
    case = examined(methods=3)
    made = graphs_of(case)
    assert [each.kind for each in made] == ["Most improved", "Most harmed"]
    assert {each.graph.method for each in made} == {"k-reciprocal:online"}, (
        "the transductive one saw other queries too"
    )
    report = case.reports[2]
    assert report.order is not None
    items = case.gallery.features.items
    for each in made:
        assert 0 < len(each.nodes) <= contributions.NODES
        assert each.graph.query == case.query.items[each.query]
        nodes = [each.graph.nodes[place] for place in each.nodes]
        assert [node.rank_after for node in nodes] == sorted(node.rank_after for node in nodes)
        for place, node, mark in zip(each.nodes, nodes, each.marks, strict=True):
            row = int(np.flatnonzero(items == node.item)[0])
            if node.rank_after <= report.order.shape[1]:
                assert report.order[each.query, node.rank_after - 1] == row
            right = case.gallery_labels.identity[row] == case.query_labels.identity[each.query]
            assert (mark == "wrong") == (not right)
            assert node.probability is None
            assert node.query_weight is not None
            edges = each.graph.strongest_sources(place, contributions.SOURCES)
            weights = [edge.weight for edge in edges]
            assert weights == sorted(weights, reverse=True)
            assert place not in [edge.source for edge in edges]
            assert len(weights) <= contributions.SOURCES
        assert set(each.items()) <= set(items.tolist())
    gain = case.reports[2].ap - case.reports[0].ap
    assert made[0].query == np.nanargmax(gain)


def test_the_page_shows_them(tmp_path: Path) -> None:
    case = examined(methods=3)
    page = tmp_path / "r.html"
    given = case.reports, case.query, case.query_labels, case.gallery, case.gallery_labels
    write_report(page, *given, details=case.details, methods=METHODS)
    text = page.read_text()
    assert text.count('<table class="graph"') == 2
    assert "weight to the query" in text
    assert 'href="#moved"' in text
    write_report(page, *given, details=case.details)
    assert "What moved" not in page.read_text()
