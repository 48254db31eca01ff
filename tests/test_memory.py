import numpy as np

from graphreid import memory


def test_the_peak_sees_what_was_held_and_let_go() -> None:
    memory.reset_peak()
    before = memory.resident()
    block = np.ones(50_000_000, np.uint8)
    del block
    assert memory.peak() - before > 40_000_000
