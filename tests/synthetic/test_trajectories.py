import numpy as np
import pytest

from graphreid.synthetic.difficulty import DIFFICULTIES
from graphreid.synthetic.trajectories import (
    Views,
    concatenate,
    crop_frames,
    junk_views,
    simulate_visits,
)
from graphreid.types import DISTRACTOR, JUNK, NORMAL

SIZE = (128, 64)
LEVEL = DIFFICULTIES["default"]


@pytest.fixture
def views() -> Views:
    return simulate_visits(0, np.arange(1, 31), 20, (4, 6), 6, LEVEL, NORMAL)


def test_each_identity_walks_past_its_cameras(views: Views) -> None:
    assert len(views) == 30 * 20
    for identity in range(1, 31):
        mine = views.identity == identity
        assert mine.sum() == 20
        seen_by, counts = np.unique(views.camera[mine], return_counts=True)
        assert 4 <= len(seen_by) <= 6
        assert counts.min() >= 20 // 6
        for camera in seen_by:
            here = mine & (views.camera == camera)
            assert views.query[here].sum() == 1
            assert sorted(views.number[here].tolist()) == list(range(here.sum()))


def test_the_view_turns_along_a_track(views: Views) -> None:
    tracks = np.stack([views.identity, views.camera, views.track], 1)
    turns = []
    for track in np.unique(tracks, axis=0):
        mine = (tracks == track).all(1)
        assert (np.diff(views.time[mine]) > 0).all()
        steps = np.diff(np.unwrap(views.azimuth[mine]))
        assert (steps > 0).all() or (steps < 0).all()
        turns.append(abs(steps.sum()))
    assert np.degrees(min(turns)) >= 39
    assert np.degrees(max(turns)) <= 101
    assert views.azimuth.min() >= 0
    assert views.azimuth.max() < 2 * np.pi


def test_distractors_are_no_queries() -> None:
    views = simulate_visits(0, np.arange(5, 9), 10, (1, 2), 6, LEVEL, DISTRACTOR)
    assert not views.query.any()
    assert (views.role == DISTRACTOR).all()


def test_an_identity_is_seen_the_same_in_any_company(views: Views) -> None:
    alone = simulate_visits(0, np.array([7]), 20, (4, 6), 6, LEVEL, NORMAL)
    mine = views.identity == 7
    for name in Views.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(alone, name), getattr(views, name)[mine])
    cut, among = crop_frames(0, alone, LEVEL, SIZE), crop_frames(0, views, LEVEL, SIZE)
    np.testing.assert_array_equal(cut.top, among.top[mine])
    np.testing.assert_array_equal(cut.occluders.kind, among.occluders.kind[mine])


def test_figures_stand_in_the_image_and_junk_does_not(views: Views) -> None:
    junk = junk_views(0, 200, np.arange(1, 31), 6)
    assert (junk.role == JUNK).all()
    cut = crop_frames(0, concatenate([views, junk]), LEVEL, SIZE)
    good = slice(0, len(views))
    assert (cut.height[good] / SIZE[0] >= LEVEL.zoom[0] - 1e-6).all()
    assert (cut.height[good] / SIZE[0] <= LEVEL.zoom[1] + 1e-6).all()
    assert np.abs(cut.centre[good] - SIZE[1] / 2).max() < 0.2 * SIZE[1]
    bad = slice(len(views), None)
    wide = (cut.centre[bad] < 0) | (cut.centre[bad] > SIZE[1])
    assert (wide | (cut.height[bad] > 1.8 * SIZE[0])).all()


@pytest.mark.parametrize("name", DIFFICULTIES)
def test_something_stands_before_figures_as_often_as_the_level_says(
    name: str, views: Views
) -> None:
    difficulty = DIFFICULTIES[name]
    things = crop_frames(0, views, difficulty, SIZE).occluders
    assert abs((things.kind >= 0).mean() - difficulty.occluded) < 0.06
    if difficulty.occluded > 0.3:
        assert set(things.kind.tolist()) == set(range(-1, 5))
