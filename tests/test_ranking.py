import numpy as np
import pytest

from graphreid.ranking import first, rank
from graphreid.types import DistanceBlock


@pytest.mark.parametrize("top", [1, 3, 7, 20, 30])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_stable_sort_with_many_ties(top: int, seed: int) -> None:
    distance = np.random.default_rng(seed).integers(0, 4, (15, 20)).astype(np.float32)
    expected = np.argsort(distance, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(first(distance, top), expected)


def test_infinity_is_no_image() -> None:
    distance = np.array([[3, np.inf, 1], [2, 1, 0]], np.float32)
    assert first(distance, 3).tolist() == [[2, 0, -1], [2, 1, 0]]


def test_blocks_become_one_ranking() -> None:
    rng = np.random.default_rng(0)
    distance, probability = rng.random((5, 9), np.float32), rng.random((5, 9), np.float32)
    blocks = [
        DistanceBlock(0, distance[:2], probability[:2]),
        DistanceBlock(2, distance[2:], probability[2:]),
    ]
    ranking = rank(blocks, 4)
    assert ranking.probability is not None
    for row in range(5):
        np.testing.assert_array_equal(ranking.distance[row], distance[row, ranking.order[row]])
        np.testing.assert_array_equal(
            ranking.probability[row], probability[row, ranking.order[row]]
        )
    with pytest.raises(ValueError, match="top is 0"):
        rank(blocks, 0)
