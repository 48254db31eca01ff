"""results/baselines.md from benchmarks/records/baselines.json, whose entries `graphreid evaluate
--json` wrote.

python -m benchmarks.baselines
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "results"
RECORDS = Path(__file__).parent / "records" / "baselines.json"
PAGE = HERE / "baselines.md"
README, START, END = (
    Path(__file__).parents[1] / "README.md",
    "<!-- results -->",
    "<!-- /results -->",
)

HEAD = """# The baseline on real images

Written by `python -m benchmarks.baselines` from `benchmarks/records/baselines.json`. The network
is BoT, preset `small` (random first weights), seed 0. Intervals: 95 %, bootstrap over identities.
k-reciprocal has its published settings.
"""

SETS = {
    "synthetic": (
        "Synthetic, default level",
        "Drawn toy figures ([what they show](../docs/synthetic.md)).",
        "graphreid data render --out synthetic",
        "graphreid train --data synthetic --out RUN --epochs 60",
        (
            ("", "-long", "50 % more epochs, 90"),
            ("", "-short", "the preset's own 40 epochs, as in `make demo`"),
        ),
    ),
    "omniglot": (
        "Omniglot",
        "Handwritten characters: 19,280 training drawings of 964, 2,636 queries and 10,544 gallery "
        "images of 659 others.",
        "graphreid data import omniglot SRC --out omniglot",
        "graphreid train --data omniglot --out RUN --no-flip",
        (
            (
                " --holdout-identities 0.25",
                "-holdout",
                "a quarter of the training characters kept away",
            ),
            (" --epochs 24", "-long", "50 % more epochs"),
        ),
    ),
    "grocery": (
        "Grocery Store",
        "Photographs of groceries, no cameras: each of 1,275 test images of 40 classes is searched "
        "among the others; 1,365"
        " training images of 41 other classes.",
        "graphreid data import grocery SRC --out grocery",
        "graphreid train --data grocery --out RUN --epochs 177",
        (
            ("", "-long", "50 % more epochs, 266"),
            ("", "-short", "the preset's own 118 epochs, which are too few here"),
        ),
    ),
}


def records() -> dict[str, Any]:
    """What `graphreid evaluate --json` wrote, by the names of this file."""
    return json.loads(RECORDS.read_text())


def table(name: str) -> str:
    """The methods of one record."""
    record = records()[name]
    lines = [
        "| method | setting | mAP | rank-1 | rank-5 | mINP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method, row in record["methods"].items():
        low, high = row["mAP_interval"]
        numbers = (
            f"{row['mAP']:.3f} [{low:.3f}, {high:.3f}] | {row['cmc']['1']:.3f} | "
            f"{row['cmc']['5']:.3f} | {row['mINP']:.3f}"
        )
        lines.append(f"| `{method}` | {row['setting']} | {numbers} |")
    first = next(iter(record["methods"].values()))
    return (
        "\n".join(lines)
        + f"\n\n{first['queries']} queries evaluated, {first['skipped']} skipped; rule: "
        f"{record['rule']}.\n"
    )


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, (title, about, load, train, others) in SETS.items():
        embed = "\n".join(
            f"graphreid embed --data {name} --model RUN --split {split} --out {split}.npz"
            for split in ("query", "gallery")
        )
        methods = "--method cosine --method k-reciprocal --method k-reciprocal:setting=online"
        evaluate = (
            f"graphreid evaluate --query query.npz --gallery gallery.npz {methods} --json r.json"
        )
        parts.append(
            f"## "
            f"{title}\n\n{about}\n\n```text\n{load}\n{train}\n{embed}\n{evaluate}\n```\n\n{table(name)}"
        )
        for more, suffix, what in others:
            how = f" (`{more.strip()}`)" if more else ""
            parts.append(f"With {what}{how}:\n\n{table(name + suffix)}")
        both = [records()[f"{name}{each}"]["methods"]["cosine"]["mAP"] for each in ("", "-long")]
        parts.append(
            f"Half as many epochs again add {both[1] - both[0]:+.4f} mAP to the network by itself "
            f"(cosine).\n"
        )
    return "\n".join(parts)


def summary() -> str:
    """The README's table."""
    lines = [
        "| set | method | setting | mAP | rank-1 | mINP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (title, *_) in SETS.items():
        record = records()[name]
        for method in ("cosine", "k-reciprocal", "k-reciprocal:setting=online"):
            row = record["methods"][method]
            low, high = row["mAP_interval"]
            numbers = (
                f"{row['mAP']:.3f} [{low:.3f}, {high:.3f}] | {row['cmc']['1']:.3f} | "
                f"{row['mINP']:.3f}"
            )
            lines.append(f"| {title} | `{method}` | {row['setting']} | {numbers} |")
    return "\n".join(lines)


def filled(readme: str) -> str:
    """The README with the table of today."""
    before, rest = readme.split(START)
    return f"{before}{START}\n{summary()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page())
    README.write_text(filled(README.read_text()))
