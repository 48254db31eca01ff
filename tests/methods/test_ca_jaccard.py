from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import ca_jaccard
from graphreid.methods.ca_jaccard import CAJaccard
from graphreid.types import Features
from tests.references import ca_jaccard as slow
from tests.support import all_distances, blobs, cosine_distances, query_and_gallery


@pytest.mark.parametrize("wide", [1, 64])
@pytest.mark.parametrize("case", ["tiny", "medium", "distractor"])
@pytest.mark.parametrize(
    ("k1", "k2", "key"), [((5, 20), (2, 4), "k5_20_q2_4"), ((3, 10), (1, 2), "k3_10_q1_2")]
)
def test_equals_the_authors_code(
    golden: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    k1: tuple[int, int],
    k2: tuple[int, int],
    key: str,
    wide: int,
) -> None:
    monkeypatch.setattr(
        ca_jaccard, "WIDE", wide
    )  # the way by separate searches, and the common way
    given, want = (
        np.load(golden / f"kreciprocal_{case}.npz"),
        np.load(golden / f"ca_jaccard_{case}.npz"),
    )
    query, gallery = (
        Features(given["q_emb"], camera=given["q_cams"]),
        Features(given["g_emb"], camera=given["g_cams"]),
    )
    got = all_distances(CAJaccard(*k1, *k2, lam=0.0), query, Gallery(gallery))
    np.testing.assert_allclose(got, want[f"jaccard_{key}"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("wide", [3, 64])
@pytest.mark.parametrize(
    ("k1", "k2", "lam"), [((2, 6), (2, 3), 0.3), ((40, 40), (1, 0), 0.0), ((0, 3), (3, 2), 0.5)]
)
@pytest.mark.parametrize("seed", range(2))
def test_both_settings_equal_the_slow_statement(
    monkeypatch: pytest.MonkeyPatch,
    k1: tuple[int, int],
    k2: tuple[int, int],
    lam: float,
    seed: int,
    wide: int,
) -> None:
    monkeypatch.setattr(ca_jaccard, "WIDE", wide)
    query, gallery = blobs(seed, queries=6, images=50)
    query = Features(
        query.vectors, query.items, np.array([0, 1, 2, 7, 1, 0])
    )  # camera 7 is in no gallery image
    cosine, camera = cosine_distances(query, gallery), _joined(query, gallery).camera
    assert camera is not None
    method = CAJaccard(*k1, *k2, lam=lam)
    got = all_distances(method, query, Gallery(gallery))
    np.testing.assert_allclose(
        got, slow.transductive(cosine, camera, len(query), k1, k2, lam), rtol=0, atol=2e-6
    )
    method.setting = "online"
    got = all_distances(method, query, Gallery(gallery))
    some = query_and_gallery(len(query), len(cosine))
    want = [slow.online(cosine[np.ix_(rows, rows)], camera[rows], k1, k2, lam) for rows in some]
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


def test_a_query_of_the_gallery_has_its_row_there() -> None:
    query, gallery = blobs(4, queries=5, images=40)
    joined = _joined(gallery, query)
    online = all_distances(CAJaccard(setting="online"), query, Gallery(joined))
    np.testing.assert_allclose(
        online, all_distances(CAJaccard(), query, Gallery(joined)), rtol=0, atol=1e-6
    )
    mixed = _joined(gallery.take(np.arange(38)), query)
    some = _joined(gallery.take(np.arange(38, 40)), query)
    got = all_distances(CAJaccard(setting="online"), some, Gallery(mixed))
    assert np.isfinite(got[:2]).all()
    assert (np.isposinf(got).sum(axis=1) == [0, 0, 1, 1, 1, 1, 1]).all()


def _joined(first: Features, then: Features) -> Features:
    assert first.camera is not None
    assert then.camera is not None
    return Features(
        np.concatenate([first.vectors, then.vectors]),
        np.concatenate([first.items, then.items]),
        np.concatenate([first.camera, then.camera]),
    )


def test_one_camera_is_the_jaccard_distance_of_plain_reciprocal_sets() -> None:
    query, gallery = blobs(2)
    query, gallery = (
        Features(query.vectors, camera=np.ones(12)),
        Features(gallery.vectors, camera=np.ones(60)),
    )
    got = all_distances(CAJaccard(k1_intra=8, lam=0.0), query, Gallery(gallery))
    want = slow.transductive(
        cosine_distances(query, gallery), np.ones(72, int), 12, (8, 20), (2, 4), 0.0
    )
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


def test_cameras_are_asked_for() -> None:
    query, gallery = blobs(0)
    with pytest.raises(
        ValueError, match="needs the camera of every image, and the gallery have none"
    ):
        all_distances(CAJaccard(), query, Gallery(Features(gallery.vectors, gallery.items)))


@pytest.mark.parametrize(
    "wrong",
    [{"k1_intra": -1}, {"k2_intra": 0}, {"k2_inter": -1}, {"lam": 1.5}, {"setting": "both"}],
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CAJaccard(**wrong)
