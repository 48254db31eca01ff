import hashlib

from graphreid.synthetic.difficulty import DIFFICULTIES


def test_the_levels_are_frozen() -> None:
    """Results are reported on these numbers: change them with a line in CHANGELOG.md and make all
    results again.
    """
    assert hashlib.sha256(repr(DIFFICULTIES).encode()).hexdigest()[:16] == "593435adb0d14a1b"
