from pathlib import Path

import numpy as np

from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.relevance import Relevance
from graphreid.report import contributions as messages
from graphreid.report import ranked_lists as lists
from graphreid.report import write_report
from graphreid.resources import Resources
from tests.report.cases import Examined, examined

METHODS = {
    "cosine:online": Cosine(),
    "k-reciprocal:transductive": KReciprocal(k1=8, k2=3),
    "k-reciprocal:online": KReciprocal(k1=8, k2=3, setting="online"),
}


def told(case: Examined) -> tuple[list[messages.Message], Relevance]:
    own = case.gallery.rows_of(case.query.items)
    relevance = Relevance(
        case.query_labels, case.gallery_labels, own=own, protocol=case.reports[0].protocol
    )
    sections = [
        (report.method, case.reports[0].method, lists.groups(case.reports[0], report, relevance))
        for report in case.reports[1:]
    ]
    return messages.messages(
        sections, METHODS, case.query, case.gallery, relevance, resources=Resources()
    ), relevance


def test_the_most_changed_queries_are_told_with_the_ranks_of_their_lists() -> None:
    case = examined(methods=3)
    made, relevance = told(case)
    assert [each.kind for each in made] == ["Most improved", "Most harmed"]
    assert {each.method for each in made} == {"k-reciprocal:online"}, (
        "the transductive one saw other queries too"
    )
    report = case.reports[2]
    assert report.order is not None
    for each in made:
        assert 0 < len(each.lines) <= messages.SHOWN
        assert [line.after for line in each.lines] == sorted(line.after for line in each.lines)
        for line in each.lines:
            if line.after <= report.order.shape[1]:
                assert report.order[each.query, line.after - 1] == line.row
            right = case.gallery_labels.identity[line.row] == case.query_labels.identity[each.query]
            assert (line.mark == "wrong") == (not right)
            assert line.probability is None
            assert line.heard is not None
            weights = [heard.weight for heard in line.hears]
            assert weights == sorted(weights, reverse=True)
            assert line.row not in [heard.row for heard in line.hears]
            assert len(weights) <= messages.HEARD
    gain = case.reports[2].ap - case.reports[0].ap
    assert made[0].query == np.nanargmax(gain)
    assert set(messages.rows(made)) <= set(range(len(case.gallery)))
    assert relevance is not None


def test_the_page_shows_them(tmp_path: Path) -> None:
    case = examined(methods=3)
    page = tmp_path / "r.html"
    given = case.reports, case.query, case.query_labels, case.gallery, case.gallery_labels
    write_report(page, *given, details=case.details, methods=METHODS)
    text = page.read_text()
    assert text.count('class="told"') == 2
    assert "the query hears" in text
    assert 'href="#moved"' in text
    write_report(page, *given, details=case.details)
    assert "What moved" not in page.read_text()
