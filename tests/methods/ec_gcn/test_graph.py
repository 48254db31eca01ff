import numpy as np

from graphreid.methods.ec_gcn.graph import random_probability_sampler
from graphreid.seeding import generator
from tests.references import ec_gcn as slow


def draws(count: int) -> list[np.random.Generator]:
    return [generator(0, query) for query in range(count)]


def test_random_probability_draws_as_often_as_equation_9_says():
    positive = np.array([True, True, False, True, False, False, False, False, False])
    expected = slow.drawing_probability(positive.tolist())
    count = 8000
    near = np.tile(np.arange(9, dtype=np.int32), (count, 1))
    first = random_probability_sampler(near, np.tile(positive, (count, 1)), 1, draws(count))[:, 0]
    frequency = np.bincount(first, minlength=9) / count
    # four standard errors
    assert (np.abs(frequency - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()
    # and the second of two, given the first: what is left in proportion
    pairs = random_probability_sampler(near, np.tile(positive, (count, 1)), 2, draws(count))
    both = np.zeros((9, 9))
    np.add.at(both, (pairs[:, 0], pairs[:, 1]), 1 / count)
    for i, j in ((0, 1), (0, 2), (4, 8)):
        odds = expected[i] * expected[j] * (1 / (1 - expected[i]) + 1 / (1 - expected[j]))
        assert abs(both[i, j] - odds) < 4 * np.sqrt(odds / count)


def test_random_probability_keeps_the_order_and_fills_up():
    near = np.arange(10, 16, dtype=np.int32)[None]
    few = np.array([[False, True, False, False, False, False]])
    for positive in (few, ~few, np.zeros_like(few), np.ones_like(few)):
        for seed in range(20):
            got = random_probability_sampler(near, positive, 4, [generator(seed)])
            assert got.shape == (1, 4)
            assert (np.diff(got) > 0).all()
            assert np.isin(got, near).all()
    assert random_probability_sampler(near, few, 9, draws(1)) is near
    # a query's draw is its own, whoever is drawn for beside it
    alone = random_probability_sampler(near, few, 3, [generator(0, 1)])
    both = random_probability_sampler(
        np.repeat(near, 2, axis=0), np.repeat(few, 2, axis=0), 3, draws(2)
    )
    np.testing.assert_array_equal(both[1], alone[0])
