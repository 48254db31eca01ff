import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.protocol import Protocol
from graphreid.report import Details, examine
from graphreid.report.examine import MAX_CAMERAS
from graphreid.types import Features, Labels
from tests.references import evaluation as slow
from tests.report.cases import examined
from tests.support import all_distances, labelled

RULES = [Protocol(), Protocol(camera="keep")]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_report_is_that_of_evaluate(rule: Protocol) -> None:
    (query, query_labels), (images, gallery_labels) = labelled(1)
    given = Cosine(), query, Gallery(images), query_labels, gallery_labels
    report, _ = examine(*given, protocol=rule, top=7, name="x")
    expected = evaluate(*given, protocol=rule, top=7, name="x")
    assert (report.method, report.setting, report.protocol) == (
        expected.method,
        expected.setting,
        expected.rule,
    )
    for name in ("identity", "first_rank", "positives", "order"):
        np.testing.assert_array_equal(getattr(report, name), getattr(expected, name))
    assert report.metrics == expected.metrics
    for metric in report.metrics:
        np.testing.assert_array_equal(report.per_query(metric), expected.per_query(metric))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_cameras_equal_the_slow_statement(rule: Protocol) -> None:
    case = examined(2, protocol=rule, methods=1)
    distance = all_distances(Cosine(), case.query, case.gallery).astype(np.float64)
    table = case.details[0].cameras
    assert table is not None
    query, gallery = case.query_labels, case.gallery_labels
    assert query.camera is not None
    assert gallery.camera is not None
    assert table.query.tolist() == [0, 1, 2]
    for a in range(3):
        for b in range(3):
            columns = np.flatnonzero(gallery.camera == b)
            found: list[tuple[float, bool]] = []
            for one_query in np.flatnonzero(query.camera == a):
                camera = a if rule.camera == "remove" else None
                identity = int(query.identity[one_query])
                right = slow.query(
                    distance[one_query, columns],
                    identity,
                    camera,
                    gallery.identity[columns],
                    gallery.camera[columns],
                )
                if right.any():
                    found.append((slow.average_precision(right, trapezoid=False), bool(right[0])))
            assert table.queries[a, b] == len(found)
            expected = [np.nan, np.nan] if not found else np.mean(found, axis=0)
            np.testing.assert_allclose(
                [table.mean_ap[a, b], table.rank1[a, b]], expected, atol=1e-12
            )


def test_a_query_of_the_gallery_is_no_right_image_of_itself() -> None:
    _, (features, labels) = labelled(3, images=30)
    alone = Labels(np.arange(30) // 2, np.arange(30) % 2)
    report, details = examine(
        Cosine(), features, Gallery(features), alone, alone, protocol=Protocol(camera="keep")
    )
    assert details.cameras is not None
    assert (report.positives == 1).all()
    # the two images of an identity are of two cameras: each finds the other, and nobody in its own
    # camera
    assert details.cameras.queries.tolist() == [[0, 15], [15, 0]]
    assert details.separation.right.sum() == 30
    assert details.separation.wrong.sum() == 30 * 28
    del labels


def test_no_cameras_and_too_many() -> None:
    (query, labels), (images, gallery_labels) = labelled(0)
    bare = Features(query.vectors, query.items), Gallery(Features(images.vectors, images.items))
    _, details = examine(Cosine(), *bare, Labels(labels.identity), Labels(gallery_labels.identity))
    assert details.cameras is None
    crowd = Labels(gallery_labels.identity, np.arange(len(images)) % (MAX_CAMERAS + 1))
    _, details = examine(Cosine(), *bare, labels, crowd)
    assert details.cameras is None


def test_what_a_method_says_of_its_distances() -> None:
    class Declared(KReciprocal):
        comparable = True

    def comparable(method: KReciprocal | Cosine, given: bool | None = None) -> bool:
        (query, labels), (images, gallery_labels) = labelled(0)
        details: Details = examine(
            method, query, Gallery(images), labels, gallery_labels, comparable=given
        )[1]
        return details.separation.comparable

    assert comparable(Cosine())
    assert not comparable(KReciprocal())
    assert comparable(KReciprocal(), True)
    assert comparable(Declared())


def test_labels_of_another_number_are_refused() -> None:
    (query, labels), (images, gallery_labels) = labelled(0)
    with pytest.raises(ValueError, match="give one each"):
        examine(Cosine(), query, Gallery(images), labels.take(np.arange(3)), gallery_labels)
