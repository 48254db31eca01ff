import hashlib
import json
from dataclasses import asdict

from graphreid.synthetic.difficulty import DIFFICULTIES


def test_the_difficulties_are_frozen() -> None:
    """Results are reported on these numbers: change them with a line in CHANGELOG.md and make all
    results again.
    """
    numbers = json.dumps({name: asdict(each) for name, each in DIFFICULTIES.items()})
    assert hashlib.sha256(numbers.encode()).hexdigest()[:16] == "0fbf9154c13b403f"
