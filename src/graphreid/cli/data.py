"""`graphreid data ...`: make data folders, and look at them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from graphreid.atomic_files import whole_file, writable
from graphreid.cli.progress import progress
from graphreid.datasets.check import FolderReport
from graphreid.datasets.check import check as look
from graphreid.datasets.importing import SKIPPED, import_images
from graphreid.datasets.manifest import read_manifest
from graphreid.datasets.published import SETS, read_set
from graphreid.resources import Resources

_SHOWN = 5
_SETS = "Which kind of source it is:\n\n" + "\n".join(
    # a plugin is not imported for a help text
    f"* {name}: {SETS.own[name].about if name in SETS.own else 'of a plugin'}"
    for name in SETS
)


def import_(
    name: Annotated[str, Parameter(name="SET", help=_SETS)],
    source: Annotated[Path, Parameter(name="SRC")],
    /,
    *,
    out: Path,
    link: Annotated[bool, Parameter(negative="")] = False,
    on_error: Literal["stop", "skip"] = "stop",
    test_share: float | None = None,
    seed: int | None = None,
    camera_pattern: str | None = None,
    boxes: Literal["detected", "labeled"] | None = None,
    join_val: Annotated[bool, Parameter(negative="")] = False,
    threads: int | None = None,
) -> None:
    """Make a data folder of your images, or of a public set.

    Each image is read to its end and copied to DIR/images, and listed in DIR/manifest.parquet. The
    folder appears when all is done, or not at all.

    Args:
        source: The folder of the set, or one that holds it; for csv the table.
        out: The data folder to make.
        link: Make symbolic links to the images instead of copies.
        on_error: At an image that cannot be read, or a name that cannot be parsed: stop, or skip
            it; DIR/skipped.txt then lists what is missing.
        test_share: Share of the identities that are for testing, where the source has no split
            (folder, csv; 0.5 if not given).
        seed: Seed of that draw (0 if not given).
        camera_pattern: Regular expression searched in each file's name (not its path); its group 1
            is the camera (folder).
        boxes: Which boxes, detected or labeled (cuhk03-np; detected if not given and both are
            there).
        join_val: Train on the validation images too (msmt17; they are left out if not given).
        threads: Threads that read images; all processors if not given.
    """
    plan = read_set(
        name,
        source,
        test_share=test_share,
        seed=seed,
        camera_pattern=camera_pattern,
        boxes=boxes,
        join_val=join_val or None,
    )
    with progress() as callback:
        resources = Resources(threads=threads, progress=callback)
        done = import_images(plan, out, link=link, on_error=on_error, resources=resources)
    console = _console()
    for note in done.notes:
        console.print(note)
    if done.skipped:
        console.print(f"{len(done.skipped)} skipped: listed in {out / SKIPPED}")
    console.print(f"{len(done.manifest)} images in {out}")


def check(
    folder: Annotated[Path, Parameter(name="DIR")],
    /,
    *,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    threads: int | None = None,
) -> int:
    """Look for what would spoil a training or a test.

    Reads every image to its end and checks the labels. The exit code is 1 where files are missing
    or unreadable or an identity stands in train and in test; duplicates and queries without a
    positive are only told.

    Args:
        folder: The data folder.
        json_file: Also write all findings, with every name, to this file.
        threads: Threads that read images; all processors if not given.
    """
    manifest = read_manifest(folder)
    if json_file is not None:
        writable(json_file)
    with progress() as callback:
        findings = look(manifest, resources=Resources(threads=threads, progress=callback))
    if json_file is not None:
        with whole_file(json_file) as temporary:
            temporary.write_text(json.dumps(findings.as_dict(), indent=1), encoding="utf-8")
    console = _console()
    console.print(_counts(folder, findings))
    console.print(_table(findings, manifest.camera is not None))
    return 0 if findings.ok else 1


def _console() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


def _counts(folder: Path, findings: FolderReport) -> Table:
    table = Table(title=str(folder), title_justify="left")
    table.add_column("split")
    for name in ("images", "identities", "cameras", "junk", "distractors"):
        table.add_column(name, justify="right")
    for split in findings.splits:
        cameras = "-" if split.cameras is None else str(split.cameras)
        table.add_row(
            split.split,
            str(split.images),
            str(split.identities),
            cameras,
            str(split.junk),
            str(split.distractors),
        )
    return table


def _table(findings: FolderReport, cameras: bool) -> Table:
    table = Table()
    table.add_column("check", no_wrap=True)
    table.add_column("found", justify="right")
    table.add_column("")
    table.add_column("the first of them", overflow="fold")
    for what, level, found in (
        ("missing files", "error", findings.missing),
        ("unreadable files", "error", findings.unreadable),
        ("identities in train and test", "error", findings.leaked),
        ("same file twice, across train and test", "warning", findings.duplicates_across_parts),
        ("same file twice, across identities", "warning", findings.duplicates_across_identities),
        ("same file twice, otherwise", "warning", findings.duplicates),
        ("queries with no other image in the gallery", "warning", findings.absent),
        ("queries whose positives share their camera", "warning", findings.same_camera),
        ("identities seen by one camera", "warning", findings.one_camera),
    ):
        told = level if found else "ok"
        if not cameras and "camera" in what:
            table.add_row(what, "-", "", "no cameras in this set")
        else:
            table.add_row(what, str(len(found)), told, _first(found))
    return table


def _first(found: Sequence[str | tuple[str, ...]]) -> str:
    names = [name if isinstance(name, str) else " = ".join(name) for name in found[:_SHOWN]]
    return "\n".join([*names, *(["..."] if len(found) > _SHOWN else [])])
