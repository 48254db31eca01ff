import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.protocol import Protocol
from graphreid.metrics.tracks import Tracks
from graphreid.types import JUNK, DistanceBlock, Features, Labels
from tests.references import evaluation as slow
from tests.support import all_distances, labelled


def split(labels: Labels) -> np.ndarray:
    """Tracks of two visits of an identity to a camera."""
    assert labels.camera is not None
    visit = np.arange(len(labels)) % 2
    return np.array(
        [f"{i}_{c}_{v}" for i, c, v in zip(labels.identity, labels.camera, visit, strict=True)]
    )


@pytest.mark.parametrize("method", [Cosine(), KReciprocal(k1=8, k2=3)])
@pytest.mark.parametrize("camera", ["remove", "keep"])
def test_equals_the_reference(method: Cosine | KReciprocal, camera: str) -> None:
    (query, query_labels), (gallery, labels) = labelled(3, queries=12, images=60)
    assert labels.camera is not None
    assert query_labels.camera is not None
    names = split(labels)
    report = evaluate(
        method,
        query,
        Gallery(gallery),
        query_labels,
        labels,
        protocol=Protocol(camera=camera),
        tracks=names,
    )
    assert report.protocol.tracks
    assert str(report.protocol).endswith("image to track")
    distance = all_distances(method, query, Gallery(gallery)).astype(np.float64)
    tracks = list(dict.fromkeys(names.tolist()))
    first = [names.tolist().index(name) for name in tracks]
    for q in range(len(query)):
        nearest = np.array([distance[q, names == name].min() for name in tracks])
        own = int(query_labels.camera[q]) if camera == "remove" else None
        right = slow.query(
            nearest,
            int(query_labels.identity[q]),
            own,
            labels.identity[first],
            labels.camera[first],
        )
        assert report.positives[q] == right.sum()
        if right.any():
            assert report.ap[q] == pytest.approx(
                slow.average_precision(right, trapezoid=False), abs=1e-12
            )
            assert report.first_rank[q] == right.argmax() + 1


def test_tracks_stand_in_the_order_of_their_first_images() -> None:
    tracks = Tracks.of(np.array(["b", "a", "b", "c"]), Labels([2, 1, 2, 3], [5, 5, 5, 6]))
    assert tracks.of_image.tolist() == [0, 1, 0, 2]
    assert tracks.images.tolist() == [2, 1, 1]
    assert tracks.labels.identity.tolist() == [2, 1, 3]
    block = tracks.nearest(
        DistanceBlock(4, np.array([[4, 3, 2, 1], [0, 5, 9, np.inf]], np.float32))
    )
    assert block.start == 4
    assert block.distance.tolist() == [[2, 3, 1], [0, 5, np.inf]]


def test_a_query_does_not_find_itself_but_the_other_images_of_its_track() -> None:
    tracks = Tracks.of(np.array(["a", "a", "b"]), Labels([1, 1, 1]))
    assert tracks.own(np.array([0, 2, -1])).tolist() == [-1, 1, -1]
    images = Features(np.array([[1.0, 0], [0.8, 0.6], [0, 1]]), ["x", "y", "z"])
    labels = Labels([1, 1, 2])
    query = images.take(np.array([0]))
    report = evaluate(
        Cosine(), query, Gallery(images), Labels([1]), labels, tracks=np.array(["a", "a", "b"])
    )
    assert (report.positives.tolist(), report.ap.tolist()) == ([1], [1.0])
    with pytest.raises(ValueError, match="no query can be evaluated"):
        evaluate(
            Cosine(),
            query,
            Gallery(images),
            Labels([1]),
            Labels([1, 3, 2]),
            tracks=np.array(["a", "c", "b"]),
        )


def test_what_can_not_be_meant_is_refused() -> None:
    (query, query_labels), (gallery, labels) = labelled(3, queries=4, images=20)
    names = split(labels)
    for tracks, message in (
        (names[:-1], "19 tracks for 20 gallery images"),
        (np.where(np.arange(20) == 7, "", names), "row 7 has no track"),
        (np.where(np.arange(20) < 9, "one", names), "track 'one' has images of two identities"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(Cosine(), query, Gallery(gallery), query_labels, labels, tracks=tracks)
    with pytest.raises(ValueError, match="two cameras"):
        Tracks.of(np.array(["a", "a"]), Labels([1, 1], [1, 2]))
    with pytest.raises(ValueError, match="two roles"):
        Tracks.of(np.array(["a", "a"]), Labels([1, 1], None, [0, JUNK]))
    for given in ({"top": 3}, {"protocol": Protocol(listed=5)}):
        with pytest.raises(ValueError, match="whole rankings"):
            evaluate(Cosine(), query, Gallery(gallery), query_labels, labels, tracks=names, **given)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="give the track of each"):
        evaluate(
            Cosine(), query, Gallery(gallery), query_labels, labels, protocol=Protocol(tracks=True)
        )
