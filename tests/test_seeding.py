import random

import numpy as np
import pytest
import torch

from graphreid.seeding import generator, seeded


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_the_same_seed_draws_the_same_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded(3):
        first = draw()
    assert torch.equal(torch.get_rng_state(), before)
    draw()
    with seeded(3):
        assert draw() == first
    with seeded(4):
        assert draw() != first


def test_a_failure_inside_leaves_no_trace_either() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded(1):
        raise RuntimeError("inside")
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_do_not_depend_on_the_order_of_use() -> None:
    assert generator(0, 1, 2).random() == generator(0, 1, 2).random()
    assert generator(0, 1, 2).random() != generator(0, 2, 1).random()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed is"), seeded(seed):
        pass
    with pytest.raises(ValueError, match="seed is"):
        generator(seed, 1)
