import mmap

from graphreid import peak_memory as memory


def test_the_peak_sees_what_was_held_and_let_go() -> None:
    memory.reset_peak()
    before = memory.resident()
    # pages of its own: an array might be laid into memory that the process holds already
    with mmap.mmap(-1, 50_000_000) as block:
        block.write(b"1" * 50_000_000)
    assert memory.peak() - before > 40_000_000
