"""VeRi-776: vehicles in a city's streets, seen by twenty cameras.

Liu, Liu, Mei, Ma: PROVID: progressive and multimodal vehicle reidentification for large-scale urban
surveillance. IEEE
Transactions on Multimedia 2018. https://github.com/JDAI-CV/VeRidataset, given on request, for
research only. The training images are 37,778 in the release; other counts that are cited are not.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from graphreid.datasets.folder_layouts import (
    LAYOUTS,
    FolderLayout,
    count_differences,
    find_set,
    read_parts,
)
from graphreid.datasets.importing import ImageEntry, ImportPlan

TERMS = (
    "VeRi-776's terms: given by its authors on request, for research only, not to be distributed"
)
PUBLISHED = {
    "train images": 37_778,
    "train identities": 576,
    "query images": 1_678,
    "query identities": 200,
    "gallery images": 11_579,
    "gallery identities": 200,
    "cameras": 20,
}
TRACKS = ("test_track_VeRi.txt", "test_track.txt")
"""A line a track of image_test: its images, in the first of these after the track's name."""
LABELS = ("train_label.xml", "test_label.xml", "query_label.xml")
# a line an image, read without an XML parser: the files say gb2312, which Python's does not know,
# and need no entities
_ITEM = re.compile(r"<Item\s([^<>]*)>")
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']")


def read(source: Path) -> ImportPlan:
    """The images of image_train, image_query and image_test, in SOURCE or up to two folders below.

    The label files (train_label.xml, test_label.xml) say identity and camera where they list an
    image, its name otherwise.
    In the release every query also lies in image_test: such an image is imported once, as query and
    gallery image, so
    that a query is not its own neighbour. test_track_VeRi.txt or test_track.txt says which images
    of image_test are a track.

    Raises:
        ValueError: the set is not there, or not whole.
    """
    layout = LAYOUTS["veri-776"]
    root = find_set(source, layout)
    entries, problems, notes = read_parts(root, layout, _labeller(root, layout))
    entries, shared = _once(_on_tracks(entries, root))
    if shared:
        notes.append(
            f"{root}: {shared:,} queries also lie in image_test: they are imported once, as "
            f"queries and gallery images"
        )
    return ImportPlan(
        entries, problems, [TERMS, *notes, *count_differences(layout.title, entries, PUBLISHED)]
    )


def _labeller(root: Path, layout: FolderLayout) -> Callable[[Path], tuple[str, str]]:
    listed: dict[str, tuple[str, str]] = {}
    for file in (root / name for name in LABELS if (root / name).is_file()):
        for item in _ITEM.findall(file.read_text(encoding="latin-1")):
            values = dict(_ATTRIBUTE.findall(item))
            identity = values.get("vehicleID", "")
            camera = values.get("cameraID", "").removeprefix("c")
            if not ("imageName" in values and identity.isdecimal() and camera.isdecimal()):
                raise ValueError(
                    f"{file}: an Item without imageName, vehicleID and cameraID "
                    f"({item.strip()[:80]}): mend or remove the file"
                )
            listed[values["imageName"]] = (str(int(identity)), str(int(camera)))

    def label(file: Path) -> tuple[str, str]:
        by_list = listed.get(file.name)
        if (
            by_list is not None
            and layout.name.fullmatch(file.stem)
            and layout.label(file) != by_list
        ):
            raise ValueError(
                f"{file}: the label file says vehicle {by_list[0]}, camera {by_list[1]}, and its "
                f"name says otherwise"
            )
        return by_list or layout.label(file)

    return label


def _on_tracks(entries: list[ImageEntry], root: Path) -> list[ImageEntry]:
    """The entries with the tracks of image_test, where the release's list is there; an image in no
    track is one of its own.
    """
    file = next((root / name for name in TRACKS if (root / name).is_file()), None)
    if file is None:
        return entries
    track: dict[str, str] = {}
    for line in file.read_text(encoding="latin-1").splitlines():
        images = [word for word in line.split() if Path(word).suffix]
        for image in images:
            if track.setdefault(image, images[0]) != images[0]:
                raise ValueError(
                    f"{file}: image {image} stands in two tracks: mend or remove the file"
                )
    names = [Path(entry.path).name for entry in entries]
    return [
        replace(entry, extra={"track": track.get(name, name)})
        if "gallery" in entry.split
        else entry
        for entry, name in zip(entries, names, strict=True)
    ]


def _once(entries: list[ImageEntry]) -> tuple[list[ImageEntry], int]:
    """The entries with those queries that are gallery images too standing once, and how many these
    are.
    """
    names = {
        split: {Path(entry.path).name for entry in entries if entry.split == split}
        for split in ("query", "gallery")
    }
    both = names["query"] & names["gallery"]
    kept = [
        entry for entry in entries if not (entry.split == "query" and Path(entry.path).name in both)
    ]
    return [
        replace(entry, split="query+gallery")
        if entry.split == "gallery" and Path(entry.path).name in both
        else entry
        for entry in kept
    ], len(both)
