"""From somebody's folders to a data folder: what every importer shares.

A set's importer (`sets/`) only says which images there are, in a `Plan`. Here they are checked,
copied and listed in the manifest; the data folder appears whole or not at all.
"""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from graphreid.atomic_files import whole_folder
from graphreid.datasets.images import verify
from graphreid.datasets.manifest import Manifest, write_manifest
from graphreid.resources import Resources
from graphreid.seeding import generator

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
SKIPPED = "skipped.txt"
OnError = Literal["stop", "skip"]
_FOLDER = "images"
_BLOCK = 1024


@dataclass(frozen=True)
class Entry:
    """One image to import.

    Attributes:
        source: its file; or a function that gives an encoded image, where the set keeps its pixels
            in another form.
        path: where it goes below DIR/images, with forward slashes.
        identity: which thing it shows.
        split: "train", "query", "gallery" or "query+gallery".
        camera: which camera saw it, None where that is not known.
        role: "normal", "junk" or "distractor".
        item: its id, unique in the set; `path` where not given.
        extra: view, time, track, by name.
    """

    source: Path | Callable[[], bytes]
    path: str
    identity: str
    split: str
    camera: str | None = None
    role: str = "normal"
    item: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Plan:
    """What an importer found.

    Attributes:
        entries: the images, in the order of the manifest to be.
        problems: one line each for what cannot be imported, with its file; they stop the import
            unless they are skipped.
        notes: one line each for what was left out on purpose or read in a way that the user should
            know of.
    """

    entries: Sequence[Entry]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Imported:
    """What came of it: the manifest, one line for each thing that was skipped, and the importer's
    notes.
    """

    manifest: Manifest
    skipped: Sequence[str]
    notes: Sequence[str]


def import_images(
    plan: Plan,
    out: str | Path,
    *,
    link: bool = False,
    on_error: OnError = "stop",
    resources: Resources = Resources(),  # noqa: B008  # frozen
) -> Imported:
    """Make the data folder `out` of a plan: each image is read to its end, then copied to
    DIR/images.

    Args:
        plan: what to import.
        out: the data folder, which must not exist yet.
        link: make symbolic links to the files instead of copies.
        on_error: at an image that can't be read "stop", or "skip" it; DIR/skipped.txt then lists
            what is missing.
        resources: threads and progress.

    Raises:
        ValueError: an image that cannot be imported (with on_error="stop"), none left, two of one
            name, or `out` exists.
    """
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error is {on_error!r}: choose 'stop' or 'skip'")
    _stop(plan.problems, on_error)
    _distinct(plan.entries)
    if link and any(not isinstance(entry.source, Path) for entry in plan.entries):
        raise ValueError(
            "there is nothing to link to: this set's images are unpacked from one file; leave out "
            "--link"
        )
    try:
        with (
            whole_folder(out) as folder,
            closing(_place(plan.entries, folder / _FOLDER, link, resources)) as placed,
        ):
            kept: list[Entry] = []
            skipped = list(plan.problems)
            for entry, problem in placed:
                if problem is None:
                    kept.append(entry)
                else:
                    _stop([problem], on_error)
                    skipped.append(problem)
            manifest = _manifest(kept, Path(out))
            write_manifest(manifest, folder)
            if skipped:
                (folder / SKIPPED).write_text(
                    "".join(f"{line}\n" for line in skipped), encoding="utf-8"
                )
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror}") from None
    return Imported(manifest, skipped, plan.notes)


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Image files below a folder by their extension, and the other files, both sorted; hidden ones
    are ignored.
    """
    images: list[Path] = []
    others: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not hidden(name)]
        for name in files:
            if not hidden(name):
                path = Path(parent, name)
                (images if path.suffix.lower() in EXTENSIONS else others).append(path)
    return sorted(images, key=Path.as_posix), sorted(others, key=Path.as_posix)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones are ignored.

    Raises:
        ValueError: there is no such folder, or it may not be read.
    """
    try:
        return sorted(
            (path for path in folder.iterdir() if path.is_dir() and not hidden(path.name)),
            key=Path.as_posix,
        )
    except OSError as error:
        raise ValueError(
            f"{folder}: {error.strerror}: give the folder that holds the images"
        ) from None


def hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: dot files (with macOS' ._ twins) and archive
    leftovers.
    """
    return name.startswith(".") or name == "__MACOSX"


def draw_identities(
    identities: Sequence[str], share: float | None, seed: int | None
) -> frozenset[str]:
    """Some of the identities, drawn with `seed` (0): `share` of them (a half), rounded.

    Raises:
        ValueError: `share` is not in 0 .. 1.
    """
    share = 0.5 if share is None else share
    if not 0 <= share <= 1:
        raise ValueError(f"the test share is {share}: it must be between 0 and 1")
    names = sorted(set(identities))
    order = generator(seed or 0).permutation(len(names))[: round(share * len(names))]
    return frozenset(names[index] for index in order.tolist())


def _place(
    entries: Sequence[Entry], folder: Path, link: bool, resources: Resources
) -> Generator[tuple[Entry, str | None]]:
    """Each entry with what is wrong with it, in order; the good ones' files are in place."""
    for parent in sorted({(folder / entry.path).parent for entry in entries}):
        parent.mkdir(parents=True, exist_ok=True)

    def place(entry: Entry) -> str | None:
        try:
            _put(entry, folder / entry.path, link)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(
        resources.threads or os.cpu_count()
    ) as executor:  # decoding and copying release the lock
        blocks = (entries[start : start + _BLOCK] for start in range(0, len(entries), _BLOCK))
        problems = (problem for block in blocks for problem in executor.map(place, block))
        yield from zip(entries, resources.track("import", problems, len(entries)), strict=True)


def _put(entry: Entry, target: Path, link: bool) -> None:
    source = entry.source
    if isinstance(source, Path):
        try:
            data = source.read_bytes()
        except OSError as error:
            raise ValueError(f"{source}: {error.strerror}") from None
        verify(source, data)
        if link:
            target.symlink_to(source.resolve())
            return
    else:
        data = source()
    with target.open(
        "xb"
    ) as stream:  # never over another: on some disks two names that differ in case are one
        stream.write(data)


def _stop(problems: Sequence[str], on_error: OnError) -> None:
    if problems and on_error == "stop":
        more = f" ({len(problems) - 1} more like it)" if len(problems) > 1 else ""
        raise ValueError(
            f"{problems[0]}{more}; mend it, or leave such files out with --on-error skip"
        )


def _distinct(entries: Sequence[Entry]) -> None:
    """Refuse two images that would be one file."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.path, entry)
        if other is not entry:
            raise ValueError(
                f"{other.source} and {entry.source} would both become images/{entry.path}: rename "
                f"one"
            )


def _manifest(entries: Sequence[Entry], root: Path) -> Manifest:
    if not entries:
        raise ValueError(f"no image is left to import to {root}")
    cameras = [entry.camera for entry in entries]
    if None in cameras and any(camera is not None for camera in cameras):
        raise ValueError(
            f"{entries[cameras.index(None)].path}: its camera is missing, and other images have one"
        )
    names = dict.fromkeys(name for entry in entries for name in entry.extra)
    return Manifest(
        root=root,
        item=np.array([entry.path if entry.item is None else entry.item for entry in entries]),
        path=np.array([f"{_FOLDER}/{entry.path}" for entry in entries]),
        identity=np.array([entry.identity for entry in entries]),
        camera=None if None in cameras else np.array(cameras),
        split=np.array([entry.split for entry in entries]),
        role=np.array([entry.role for entry in entries]),
        extra={name: np.array([entry.extra.get(name, "") for entry in entries]) for name in names},
    )
