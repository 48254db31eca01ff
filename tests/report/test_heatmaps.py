import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import HRNet
from graphreid.metrics.evaluate import evaluate
from graphreid.options import build
from graphreid.protocols import HasGraphWeights
from graphreid.report import figures, heatmaps
from graphreid.report.page import write_report
from graphreid.types import DISTRACTOR, Labels
from tests.support import labelled


def test_a_batch_has_eleven_identities_with_six_images_each() -> None:
    identity = np.repeat(np.arange(20), 9)
    rows = heatmaps.pick_rows(Labels(np.random.default_rng(0).permutation(identity)))
    assert rows is not None
    assert len(rows) == 66
    labels = Labels(np.random.default_rng(0).permutation(identity))
    assert labels.identity[rows].tolist() == np.repeat(np.arange(11), 6).tolist()


def test_a_small_set_gives_what_it_has() -> None:
    rows = heatmaps.pick_rows(Labels([1, 1, 1, 2, 2, 3], role=[0, 0, 0, 0, 0, DISTRACTOR]))
    assert rows is not None
    assert rows.tolist() == [0, 1, 3, 4]
    assert heatmaps.pick_rows(Labels([1, 1, 1])) is None


def test_within_is_how_much_more_weight_is_between_images_of_an_identity() -> None:
    identity = np.array([0, 0, 1, 1])
    weights = np.full((4, 4), 1.0)
    assert heatmaps.identity_ratio(weights, identity) == pytest.approx(1)
    weights[0, 1] = weights[1, 0] = weights[2, 3] = weights[3, 2] = 4
    np.fill_diagonal(weights, 100)
    assert heatmaps.identity_ratio(weights, identity) == pytest.approx(4 / 2)


def test_a_page_shows_the_graphs_of_a_method_that_has_some(tmp_path) -> None:  # type: ignore[no-untyped-def]
    _, train = labelled(5, images=80)
    (query, query_labels), (gallery, gallery_labels) = labelled(6, images=80)
    method = build(HRNet, nodes=12, k=4, identities=4, images=3, epochs=1).fit(*train)
    assert isinstance(method, HasGraphWeights)
    report = evaluate(method, query, Gallery(gallery), query_labels, gallery_labels, top=20)
    file = tmp_path / "r.html"
    write_report(
        file,
        [report],
        query,
        query_labels,
        Gallery(gallery),
        gallery_labels,
        methods={"hrnet": method},
    )
    text = file.read_text()
    assert text.count("heat map of hrnet: ") == 2
    assert "A o C, images" in text
    write_report(file, [report], query, query_labels, Gallery(gallery), gallery_labels)
    assert "heat map of" not in file.read_text()
    assert figures.heat_map(0, "x", np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1])).startswith(
        "<svg"
    )
