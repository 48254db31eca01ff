"""`graphreid demo`: the commands of the README, one after the other."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graphreid.atomic_files import whole_file
from graphreid.extras import require
from graphreid.methods import METHODS
from graphreid.protocols import GivesDistances, Learned
from graphreid.seeding import generator

STAMP = "demo.json"
FULL = {"render": [], "train": ["--epochs", "40"], "fit": []}
"""40 epochs take about three minutes on two processor cores."""
HOLDOUT = ["--holdout-identities", "0.25"]
QUICK = {"render": ["--identities", "60"], "train": ["--epochs", "3"], "fit": ["--epochs", "1"]}
"""A set and a training just large enough to pass through every command."""


def demo(
    *,
    out: Annotated[Path, Parameter(help="the folder for everything it makes")] = Path("demo"),
    quick: Annotated[
        bool,
        Parameter(
            negative="", help="small and short: does everything work? Its numbers mean nothing"
        ),
    ] = False,
    seed: Annotated[int, Parameter(help="of the pictures and the training")] = 0,
) -> int:
    """Render pictures, train a network, embed, fit, re-rank with every method there is for BoT, and
    write report.html.

    Each step is a command that you could give yourself, shown before it runs. Interrupted, the same
    command goes on.
    """
    require("report", "the demo's report")
    generator(seed)  # refuses one that is none before anything is written
    _settle(out, {"quick": quick, "seed": seed})
    data = out / "data"
    run = out / "run"
    extra = QUICK if quick else FULL
    vectors = {split: out / f"{split}.npz" for split in ("fit", "validation", "query", "gallery")}
    # what stands for the embeddings' own distance (ICG's parts) is for embeddings of its own
    used = {name: kind for name, kind in METHODS.items() if not isinstance(kind(), GivesDistances)}
    learned = {
        name: out / f"{name}.safetensors"
        for name, kind in used.items()
        if isinstance(kind(), Learned)
    }
    train = [
        "train",
        "--data",
        data,
        "--model",
        "bot",
        "--preset",
        "small",
        "--out",
        run,
        "--seed",
        seed,
        *HOLDOUT,
    ]
    steps = [
        (
            data / "manifest.parquet",
            ["data", "render", "--out", data, "--seed", seed, *extra["render"]],
        ),
        (None, [*train, *extra["train"]]),
        *(
            (file, ["embed", "--data", data, "--model", run, "--split", split, "--out", file])
            for split, file in vectors.items()
        ),
        *(
            (
                file,
                [
                    "fit",
                    name,
                    "--train",
                    vectors["fit"],
                    "--validation",
                    vectors["validation"],
                    "--out",
                    file,
                    *extra["fit"],
                ],
            )
            for name, file in learned.items()
        ),
        (
            None,
            ["evaluate", "--query", vectors["query"], "--gallery", vectors["gallery"]]
            + [part for name in used for part in ("--method", learned.get(name, name))]
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
            raise ValueError(
                f"{out} holds something else already: remove it, or choose another --out"
            )
        with whole_file(stamp) as temporary:
            temporary.write_text(json.dumps(settings) + "\n")
    elif json.loads(stamp.read_text()) != settings:
        raise ValueError(
            f"{out} was made with other settings ({stamp.read_text().strip()}): choose another "
            f"--out"
        )
