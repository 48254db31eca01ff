"""Folder layouts and file names of public data sets: finds a set on disk, and counts its images."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphreid.datasets.importing import EXTENSIONS, ImageEntry, image_files, is_hidden, subfolders

MARKET_ROLES = {"-1": "junk", "0": "distractor"}
"""Roles of Market-1501's two identity numbers that stand for no identity."""
_MARKET_FOLDERS = {
    "train": ("bounding_box_train",),
    "query": ("query",),
    "gallery": ("bounding_box_test",),
}
_MARKET_STYLE = re.compile(r"(?P<identity>-1|\d+)_c(?P<camera>\d+)(?!\d)")
_DEPTH = 2


@dataclass(frozen=True)
class FolderLayout:
    """The folders and file names of a published data set.

    Attributes:
        title: the name that its authors use.
        parts: possible folder names of each part; the first is used in the data folder.
        name: matches a file name without extension; its groups are identity and camera.
        example: a file name, for messages.
        lists: files that must be beside the folders of the parts.
    """

    title: str
    parts: Mapping[str, tuple[str, ...]]
    name: re.Pattern[str]
    example: str
    lists: tuple[str, ...] = ()

    def label(self, file: Path) -> tuple[str, str]:
        """Identity and camera from a file name, without leading zeros: "0002_c001" is ("2", "1").

        Raises:
            ValueError: the name is not one of this set.
        """
        match = self.name.fullmatch(file.stem)
        if match is None:
            raise ValueError(f"{file}: not a file name of {self.title} (such as {self.example})")
        return str(int(match["identity"])), str(int(match["camera"]))

    def folders(self, place: Path) -> dict[str, Path]:
        """The folders of the parts that are in `place`, by part."""
        named = {
            part: [place / name for name in names if (place / name).is_dir()]
            for part, names in self.parts.items()
        }
        return {part: paths[0] for part, paths in named.items() if paths}

    def present(self, place: Path) -> set[str]:
        """The parts in `place` that have at least one image with a name of this set."""
        folders = self.folders(place).items()
        return {
            part
            for part, path in folders
            if any(self.name.fullmatch(file.stem) for file in _images(path))
        }

    def missing(self, place: Path) -> list[str]:
        """The names of parts and lists that are missing in `place`, for a message."""
        present = self.present(place)
        parts = [" or ".join(names) for part, names in self.parts.items() if part not in present]
        return parts + [name for name in self.lists if not (place / name).is_file()]


LAYOUTS = {
    "market1501": FolderLayout(
        title="Market-1501",
        parts=_MARKET_FOLDERS,
        name=re.compile(r"(?P<identity>-1|\d+)_c(?P<camera>\d)s\d+_\d+_\d+"),
        example="0002_c1s1_000451_03.jpg",
    ),
    "dukemtmc-reid": FolderLayout(
        title="DukeMTMC-reID",
        parts=_MARKET_FOLDERS,
        name=re.compile(r"(?P<identity>\d+)_c(?P<camera>\d)_f\d+"),
        example="0005_c2_f0046985.jpg",
    ),
    "cuhk03-np": FolderLayout(
        title="CUHK03-NP",
        parts=_MARKET_FOLDERS,
        name=re.compile(r"(?P<identity>\d+)_c(?P<camera>\d)_\d+"),
        example="0003_c1_21.png",
    ),
    "msmt17": FolderLayout(
        title="MSMT17",
        parts={
            "train": ("train", "mask_train_v2", "mask_train"),
            "test": ("test", "mask_test_v2", "mask_test"),
        },
        name=re.compile(r"(?P<identity>\d+)_\d+_(?P<camera>\d+)_\w+"),
        example="0000_001_01_0303morning_0015_0.jpg",
        lists=("list_train.txt", "list_query.txt", "list_gallery.txt"),
    ),
    "veri-776": FolderLayout(
        title="VeRi-776",
        parts={"train": ("image_train",), "query": ("image_query",), "gallery": ("image_test",)},
        name=re.compile(r"(?P<identity>\d+)_c(?P<camera>\d{3})_\d+_\d+"),
        example="0002_c002_00030600_0.jpg",
    ),
}
_PARTS = frozenset(
    name for layout in LAYOUTS.values() for names in layout.parts.values() for name in names
)


def parse_market_name(name: str) -> tuple[str, str] | None:
    """Identity and camera of a file name that starts like Market-1501's (0002_c1...), else None."""
    match = _MARKET_STYLE.match(name)
    return None if match is None else (str(int(match["identity"])), str(int(match["camera"])))


def candidate_folders(source: Path) -> Iterator[Path]:
    """The folders in which a set may be: `source` and those up to two levels below it.

    Folders of parts, such as bounding_box_train, are not searched.

    Raises:
        ValueError: `source` is no readable folder.
    """
    yield source
    level = [source]
    for _ in range(_DEPTH):
        inner = [path for folder in level for path in subfolders(folder)]
        level = [
            path for path in inner if path.name not in _PARTS and os.access(path, os.R_OK | os.X_OK)
        ]
        yield from level


def find_set(source: Path, layout: FolderLayout) -> Path:
    """Find the folder of a set: `source`, or one up to two levels below it.

    Raises:
        ValueError: the set is missing, incomplete, or there more than once; the message says what
            was found instead.
    """
    if source.is_dir() and not layout.missing(source):
        return source
    whole = [place for place in candidate_folders(source) if not layout.missing(place)]
    if not whole:
        raise not_found_error(source, layout)
    if len(whole) > 1:
        raise ValueError(
            f"{source}: holds {layout.title} more than once ({', '.join(map(str, whole))}): give "
            f"one of them"
        )
    return whole[0]


def not_found_error(source: Path, layout: FolderLayout) -> ValueError:
    """The error that explains why no complete set was found in `source`.

    Raises:
        ValueError: `source` is no readable folder.
    """
    seen = list(candidate_folders(source))
    for place in seen:
        if layout.present(place):
            lacking = ", ".join(layout.missing(place))
            return ValueError(
                f"{place}: only a part of {layout.title}, {lacking} is missing or has none of its "
                f"images: complete it"
            )
    for name, other in LAYOUTS.items():
        place = next(
            (place for place in seen if other is not layout and other.present(place)), None
        )
        if place is not None:
            return ValueError(
                f"{place}: looks like {other.title}, not {layout.title}: import it as {name}"
            )
    for folder in (folder for place in seen for folder in layout.folders(place).values()):
        file = next(iter(sorted(_images(folder))), None)
        if file is not None:
            return ValueError(
                f"{file}: not a file name of {layout.title} (such as {layout.example}): use the "
                f"importer folder or csv"
            )
    if source.name in _PARTS:
        return ValueError(f"{source}: one part of a set: give the folder that it lies in")
    needed = ", ".join([*(" or ".join(names) for names in layout.parts.values()), *layout.lists])
    state = "" if any(source.iterdir()) else "the folder is empty, "
    return ValueError(
        f"{source}: {state}no {layout.title} in it or up to {_DEPTH} folders below: it has {needed}"
    )


def read_parts(
    root: Path, layout: FolderLayout, label: Callable[[Path], tuple[str, str]] | None = None
) -> tuple[list[ImageEntry], list[str], list[str]]:
    """List the images of a set with folders for train, query and gallery.

    Args:
        root: the folder of the set.
        layout: its layout.
        label: returns identity and camera of a file, or raises ValueError; None is `layout.label`.

    Returns:
        Entries, problems and notes, as in `ImportPlan`.
    """
    entries: list[ImageEntry] = []
    problems: list[str] = []
    others: list[Path] = []
    for split, folder in layout.folders(root).items():
        images, rest = image_files(folder)
        others += rest
        for file in images:
            try:
                identity, camera = (label or layout.label)(file)
            except ValueError as error:
                problems.append(str(error))
                continue
            path = f"{layout.parts[split][0]}/{file.relative_to(folder).as_posix()}"
            entries.append(ImageEntry(file, path, identity, split, camera))
    notes = (
        [
            f"{root}: {len(others)} files without an image's extension were left out, the first "
            f"{others[0]}"
        ]
        if others
        else []
    )
    return entries, problems, notes


def count_differences(
    title: str, entries: Sequence[ImageEntry], published: Mapping[str, int]
) -> list[str]:
    """A warning line if the counts of a set differ from the published ones; else an empty list.

    Args:
        title: name of the set.
        entries: its images.
        published: counts by name: "cameras"; "train images", "train identities", and the same of
            query and gallery; "junk images", "distractor images".
    """
    here: dict[str, int] = {"cameras": len({entry.camera for entry in entries})}
    for split in ("train", "query", "gallery"):
        held = [entry for entry in entries if split in entry.split.split("+")]
        here[f"{split} images"] = len(held)
        here[f"{split} identities"] = len(
            {entry.identity for entry in held if entry.role == "normal"}
        )
    for role in ("junk", "distractor"):
        here[f"{role} images"] = sum(entry.role == role for entry in entries)
    differ = [
        f"{name} {here[name]:,}, not {count:,}"
        for name, count in published.items()
        if here[name] != count
    ]
    return (
        [
            f"warning: the counts are not those of the published {title}, is it complete? "
            f"{'; '.join(differ)}"
        ]
        if differ
        else []
    )


def _images(folder: Path) -> Iterator[Path]:
    """Image files below a folder, unsorted."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (
            Path(parent, name)
            for name in files
            if not is_hidden(name) and Path(name).suffix.lower() in EXTENSIONS
        )
