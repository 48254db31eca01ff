"""`graphreid data render`: the synthetic set."""

import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from graphreid.cli.progress import progress
from graphreid.resources import Resources, parse_memory
from graphreid.synthetic.render import Settings
from graphreid.synthetic.render import render as make


def render(
    *,
    out: Annotated[Path, Parameter(help="the data folder to make")],
    difficulty: Annotated[
        Literal["easy", "default", "occluded"], Parameter(help="how hard it is")
    ] = "default",
    identities: Annotated[int, Parameter(help="identities to train on")] = 200,
    test_identities: Annotated[
        int | None, Parameter(help="identities of query and gallery; 9/10 as many if not given")
    ] = None,
    images_per_identity: Annotated[
        int, Parameter(help="images of an identity, over all cameras")
    ] = 20,
    cameras: Annotated[int, Parameter(help="how many cameras there are")] = 6,
    distractors: Annotated[
        int | None,
        Parameter(help="further identities, in the gallery only; 3/10 as many if not given"),
    ] = None,
    junk: Annotated[
        int | None,
        Parameter(help="badly cut images in the gallery; one to twenty of test if not given"),
    ] = None,
    seed: Annotated[int, Parameter(help="same seed, same bytes")] = 0,
    memory: Annotated[str | None, Parameter(help="what the work may use, such as 1GB")] = None,
    threads: Annotated[int | None, Parameter(help="processor threads; all if not given")] = None,
) -> None:
    """Render the synthetic set: toy figures that walk past several cameras.

    Front and back of an identity differ and its sides show half of each; identities share parts.
    DIR gets manifest.parquet (with view, time and track), the images (JPEG, 128 x 64), truth/ (part
    masks, azimuth, outfit of each image) and synthetic.json (these settings). It appears when all
    is done, or not at all.
    """
    settings = Settings(
        difficulty=difficulty,
        identities=identities,
        test_identities=test_identities,
        images_per_identity=images_per_identity,
        cameras=cameras,
        distractors=distractors,
        junk=junk,
        seed=seed,
    )
    start = time.perf_counter()
    with progress() as callback:
        limit = None if memory is None else parse_memory(memory)
        manifest = make(
            out, settings, resources=Resources(memory=limit, threads=threads, progress=callback)
        )
    seconds = time.perf_counter() - start
    parts = ", ".join(
        f"{int((manifest.split == split).sum())} {split}" for split in ("train", "query", "gallery")
    )
    special = ", ".join(
        f"{int((manifest.role == role).sum())} {role}" for role in ("distractor", "junk")
    )
    print(
        f"{len(manifest)} images in {out}: {parts} (of it {special}); {seconds:.0f} s, "
        f"{len(manifest) / seconds:.0f} images/s"
    )
