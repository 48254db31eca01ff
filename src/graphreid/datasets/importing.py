"""Imports a set of images into a data folder.

The importer of a set (`datasets/published/`) only lists the images, as an `ImportPlan`. Here they
are checked, copied and written to the manifest; the data folder appears complete or not at all.
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
class ImageEntry:
    """One image to import.

    Attributes:
        source: the image file; or a function that returns an encoded image, for sets that store
            pixels in another form.
        path: path of the copy below DIR/images, with forward slashes.
        identity: the identity shown.
        split: "train", "query", "gallery" or "query+gallery".
        camera: the camera, or None where it is not known.
        role: "normal", "junk" or "distractor".
        item: id of the image, unique in the set; None is `path`.
        extra: values of the optional columns (view, time, track) by name.
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
class ImportPlan:
    """The images that an importer found.

    Attributes:
        entries: the images, in manifest order.
        problems: one line for each file that can't be imported; they stop the import unless bad
            files are skipped.
        notes: lines for the user: terms of use, files left out on purpose, assumptions made.
    """

    entries: Sequence[ImageEntry]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
        manifest: of the new data folder.
        skipped: one line for each file that was skipped.
        notes: the notes of the importer.
    """

    manifest: Manifest
    skipped: Sequence[str]
    notes: Sequence[str]


def import_images(
    plan: ImportPlan,
    out: str | Path,
    *,
    link: bool = False,
    on_error: OnError = "stop",
    resources: Resources = Resources(),  # noqa: B008  # frozen
) -> ImportResult:
    """Create a data folder: each image is decoded completely, then copied to DIR/images.

    Args:
        plan: the images to import.
        out: the data folder; it must not exist.
        link: make symbolic links instead of copies.
        on_error: "stop" at an image that can't be read, or "skip" it and list it in
            DIR/skipped.txt.
        resources: threads and progress.

    Raises:
        ValueError: an image that can't be imported (with on_error="stop"), no image left, two
            images with the same path, or `out` exists.
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
            kept: list[ImageEntry] = []
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
    return ImportResult(manifest, skipped, plan.notes)


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files below a folder: (image files, other files), both sorted; hidden ones are ignored.

    Image files are known by their extension (EXTENSIONS).
    """
    images: list[Path] = []
    others: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in files:
            if not is_hidden(name):
                path = Path(parent, name)
                (images if path.suffix.lower() in EXTENSIONS else others).append(path)
    return sorted(images, key=Path.as_posix), sorted(others, key=Path.as_posix)


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted; hidden ones are ignored.

    Raises:
        ValueError: no such folder, or it can't be read.
    """
    try:
        return sorted(
            (path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)),
            key=Path.as_posix,
        )
    except OSError as error:
        raise ValueError(
            f"{folder}: {error.strerror}: give the folder that holds the images"
        ) from None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is to be ignored: dot files and what macOS leaves in archives."""
    return name.startswith(".") or name == "__MACOSX"


def draw_identities(
    identities: Sequence[str], share: float | None, seed: int | None
) -> frozenset[str]:
    """Draw test identities at random.

    Args:
        identities: one value per image.
        share: fraction of the distinct identities to draw, in [0, 1]; None is 0.5.
        seed: of the draw; None is 0.

    Raises:
        ValueError: `share` is not in [0, 1].
    """
    share = 0.5 if share is None else share
    if not 0 <= share <= 1:
        raise ValueError(f"the test share is {share}: it must be between 0 and 1")
    names = sorted(set(identities))
    order = generator(seed or 0).permutation(len(names))[: round(share * len(names))]
    return frozenset(names[index] for index in order.tolist())


def _place(
    entries: Sequence[ImageEntry], folder: Path, link: bool, resources: Resources
) -> Generator[tuple[ImageEntry, str | None]]:
    """Each entry with what is wrong with it, in order; the good ones' files are in place."""
    for parent in sorted({(folder / entry.path).parent for entry in entries}):
        parent.mkdir(parents=True, exist_ok=True)

    def place(entry: ImageEntry) -> str | None:
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


def _put(entry: ImageEntry, target: Path, link: bool) -> None:
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


def _distinct(entries: Sequence[ImageEntry]) -> None:
    """Refuse two images that would be one file."""
    seen: dict[str, ImageEntry] = {}
    for entry in entries:
        other = seen.setdefault(entry.path, entry)
        if other is not entry:
            raise ValueError(
                f"{other.source} and {entry.source} would both become images/{entry.path}: rename "
                f"one"
            )


def _manifest(entries: Sequence[ImageEntry], root: Path) -> Manifest:
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
