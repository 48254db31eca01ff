"""`graphreid demo`: the commands of the README, one after the other."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graphreid.files import whole_file
from graphreid.rerankers import METHODS

STAMP = "demo.json"
QUICK = {"render": ["--identities", "60"], "train": ["--epochs", "3"]}
"""A set and a training just large enough to pass through every command."""


def demo(
    *,
    out: Annotated[Path, Parameter(help="the folder for everything it makes")] = Path("demo"),
    quick: Annotated[
        bool, Parameter(negative="", help="small and short: does everything work? Its numbers mean nothing")
    ] = False,
    seed: Annotated[int, Parameter(help="of the pictures and the training")] = 0,
) -> int:
    """Render pictures, train a network, embed, re-rank with every method there is, and write report.html.

    Each step is a command that you could give yourself, shown before it runs. Interrupted, the same command goes on.
    """
    _settle(out, {"quick": quick, "seed": seed})
    data, run, query, gallery = out / "data", out / "run", out / "query.npz", out / "gallery.npz"
    extra = QUICK if quick else {"render": [], "train": []}
    steps = [
        (data / "manifest.parquet", ["data", "render", "--out", data, "--seed", seed, *extra["render"]]),
        (None, ["train", "--data", data, "--model", "bot", "--preset", "small", "--out", run, "--seed", seed, *extra["train"]]),
        (query, ["embed", "--data", data, "--model", run, "--split", "query", "--out", query]),
        (gallery, ["embed", "--data", data, "--model", run, "--split", "gallery", "--out", gallery]),
        (
            None,
            ["evaluate", "--query", query, "--gallery", gallery]
            + [part for name in METHODS for part in ("--method", name)]
            + ["--data", data, "--json", out / "report.json", "--report", out / "report.html"],
        ),
    ]
    for made, arguments in steps:
        command = [str(argument) for argument in arguments]
        print(f"\n$ graphreid {' '.join(command)}", flush=True)
        if made is not None and made.exists():
            print(f"{made} is there already")
        elif code := _run(command):
            return code
    print(f"\nThe report: {out / 'report.html'}")
    return 0


def _run(command: list[str]) -> int:
    from graphreid.cli import main  # noqa: PLC0415  # it imports this file when the command is given

    return main(command)


def _settle(out: Path, settings: dict[str, object]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / STAMP
    if not stamp.exists():
        if any(out.iterdir()):
            raise ValueError(f"{out} holds something else already: remove it, or choose another --out")
        with whole_file(stamp) as temporary:
            temporary.write_text(json.dumps(settings) + "\n")
    elif json.loads(stamp.read_text()) != settings:
        raise ValueError(f"{out} was made with other settings ({stamp.read_text().strip()}): choose another --out")
