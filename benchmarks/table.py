"""docs/results/speed.md from the records in benchmarks/records.

python -m benchmarks.table
"""

import json
from pathlib import Path

from benchmarks import record
from benchmarks.online import line
from benchmarks.run import RECORDS
from graphreid.files import whole_file

PAGE = Path(__file__).parents[1] / "docs" / "results" / "speed.md"
HEAD = """# Speed and memory

Written by `python -m benchmarks.table` from `benchmarks/records/`, which `python -m benchmarks.run --shape SHAPE` makes on
embeddings that `benchmarks/generate.py` draws. Each method has a process of its own. *seconds* is the median of the warm runs,
from embeddings to the last distance; *yardstick* is an exact float32 top-100 of the whole set by blocked torch products and
`topk`; *floor* is the time of the method's dense products at the rates measured beside it; *peak MB* is read from the system,
less what the imports take, and holds the embeddings. What each number of a record means is in `benchmarks/record.py`.
"""
ORDER = ("market", "msmt17", "500k")


def page() -> str:
    """The page."""
    files = [RECORDS / f"{name}.json" for name in ORDER if (RECORDS / f"{name}.json").is_file()]
    parts = [HEAD, record.table([record.read(file) for file in files])]
    online = RECORDS / "online.json"
    if online.is_file():
        parts.append(line(json.loads(online.read_text())))
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    with whole_file(PAGE) as temporary:
        temporary.write_text(page())
