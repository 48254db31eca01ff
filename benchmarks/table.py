"""results/speed.md, extraction.md, remedies.md and identities.md from benchmarks/records, and the
README's tables.

python -m benchmarks.table
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import baselines, extraction, identities, learned, published, record, remedies
from benchmarks.baselines import HERE, README
from benchmarks.online import line
from benchmarks.run import RECORDS
from graphreid.atomic_files import whole_file

PAGE = HERE / "speed.md"
HEAD = """# Speed and memory

Written by `python -m benchmarks.table` from `benchmarks/records/`, which `python -m
benchmarks.run --shape SHAPE` makes on embeddings that `benchmarks/generate.py` draws. Each method
has a process of its own. *seconds* is the median of the warm runs, from embeddings to the last
distance; *yardstick* is an exact float32 top-100 of the whole set by blocked torch products and
`topk`; *floor* is the time of the method's dense products at the rates measured beside it; *peak
MB* is read from the system, less what the imports take, and holds the embeddings. *evaluation*
counts AP and ranks from the distances. What each number of a record means is in
`benchmarks/record.py`. mAP and rank-1 are those of drawn embeddings: they say that a method
works, not how well. `--memory` bounds what a call uses beyond its inputs: 4 GB were given for
msmt17 (inputs 0.77 GB) and 8 GB for 500k (4.3 GB; others used the machine during that run).
"""
ORDER = ("market", "msmt17", "500k")
SETS = ("omniglot", "synthetic")
FINDINGS = (
    ("remedies", "Fitting in spite of packed identities", remedies),
    ("identities", "How many identities a fit needs", identities),
)
"""Kinds of records that have a page, its title, and the module that makes them."""


def page() -> str:
    """The page."""
    files = [RECORDS / f"{name}.json" for name in ORDER if (RECORDS / f"{name}.json").is_file()]
    parts = [HEAD, record.table([record.read(file) for file in files])]
    online = RECORDS / "online.json"
    if online.is_file():
        parts.append(line(json.loads(online.read_text())))
    parts += [
        learned.table(json.loads(file.read_text()))
        for file in sorted(RECORDS.glob("learned-*.json"))
    ]
    return "\n".join(parts).rstrip() + "\n"


def findings(kind: str, title: str, about: ModuleType) -> str:
    """The page of the records of a module of benchmarks, one record a set."""
    files = sorted(RECORDS.glob(f"{kind}-*.json"))
    tables = [about.table(json.loads(file.read_text())) for file in files]
    return "\n".join([f"# {title}\n\n{about.__doc__}", *tables]).rstrip() + "\n"


def summary() -> str:
    """The README's table: what each method gives on two sets, and what it costs at Market-1501's
    size.
    """
    records = baselines.records()
    results = {name: records[f"{name}-methods"]["methods"] for name in SETS}
    costs = {row["method"]: row for row in record.read(RECORDS / "market.json")["methods"]}
    lines = [
        "| method | setting | Omniglot mAP | rank-1 | synthetic mAP | rank-1 | time / yardstick | "
        "peak MB |",
        "| --- | --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, row in results["omniglot"].items():
        cells = [
            f"{_ap(results[each][name])} | {results[each][name]['cmc']['1']:.3f}" for each in SETS
        ]
        cost = costs.get(name)
        cells.append(
            "| " if cost is None else f"{cost['to_yardstick']:.2f} | {cost['peak_mb']:.0f}"
        )
        lines.append(f"| `{name}` | {row['setting']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ap(row: dict[str, Any]) -> str:
    low, high = row["mAP_interval"]
    return f"{row['mAP']:.3f} [{low:.3f}, {high:.3f}]"


def filled(readme: str) -> str:
    """The README with the tables of today."""
    for name, made in (("speed", summary()), ("learned", published.learned())):
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = readme.split(start)
        readme = f"{before}{start}\n{made}\n{end}{rest.split(end)[1]}"
    return readme


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    write(PAGE, page())
    write(HERE / "extraction.md", extraction.table(json.loads(extraction.RECORD.read_text())))
    for kind, title, about in FINDINGS:
        write(HERE / f"{kind}.md", findings(kind, title, about))
    write(README, filled(README.read_text()))
