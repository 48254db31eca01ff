"""Any set of images with one folder for each identity."""

import re
from collections.abc import Callable
from pathlib import Path

from graphreid.datasets.importing import (
    EXTENSIONS,
    ImageEntry,
    ImportPlan,
    draw_identities,
    image_files,
    is_hidden,
    subfolders,
)

_PARTS = {"train": "train", "query": "query", "gallery": "gallery", "test": "query+gallery"}


def read(
    source: Path,
    *,
    test_share: float | None = None,
    seed: int | None = None,
    camera_pattern: str | None = None,
) -> ImportPlan:
    """The images SOURCE/<identity>/..., or SOURCE/<part>/<identity>/... with parts train, query,
    gallery, test.

    Where there are no parts, whole identities are drawn for testing, and each of their images is
    searched among all the others of the test; so are those of a part "test". Hidden files and files
    with another extension than an image's are left out. An identity's folder may have folders of
    its own.

    Args:
        source: the folder.
        test_share: share of the identities that are for testing, where there are no parts; None is
            a half.
        seed: draws them; None is 0.
        camera_pattern: regular expression searched in a file's name (never in its path); its group
            1 is the camera.

    Raises:
        ValueError: no folder there, a pattern without a group, folders beside the parts, or a draw
            where there are parts.
    """
    camera = _camera(camera_pattern)
    folders = subfolders(source)
    parts = [folder for folder in folders if folder.name in _PARTS]
    if not any(
        subfolders(folder) for folder in parts
    ):  # an identity may be called "test": a part is a folder of folders
        parts = []
    beside = [folder for folder in folders if folder not in parts]
    if parts and beside:
        raise ValueError(
            f"{beside[0]}: stands beside the parts {', '.join(part.name for part in parts)}: move "
            f"it away"
        )
    if parts and (test_share, seed) != (None, None):
        raise ValueError(
            f"{source}: has parts {', '.join(part.name for part in parts)}: leave out --test-share "
            f"and --seed"
        )
    problems = [
        f"{file}: lies in no identity's folder"
        for part in parts or [source]
        for file in _loose(part)
    ]
    identities = [
        (folder.name, folder, _PARTS[part.name]) for part in parts for folder in subfolders(part)
    ] or [(folder.name, folder, "") for folder in folders]
    if not parts:
        test = draw_identities([name for name, _, _ in identities], test_share, seed)
        identities = [
            (name, folder, "query+gallery" if name in test else "train")
            for name, folder, _ in identities
        ]
    entries: list[ImageEntry] = []
    others = 0
    for name, folder, split in identities:
        images, rest = image_files(folder)
        others += len(rest)
        if not images:
            problems.append(f"{folder}: no image is in this identity's folder")
        for file in images:
            try:
                entries.append(
                    ImageEntry(
                        file,
                        file.relative_to(source).as_posix(),
                        name,
                        split,
                        camera(file) if camera else None,
                    )
                )
            except ValueError as error:
                problems.append(str(error))
    notes = (
        [f"{source}: {others} files without an image's extension were left out"] if others else []
    )
    return ImportPlan(sorted(entries, key=lambda entry: entry.path), problems, notes)


def _loose(folder: Path) -> list[Path]:
    """Images that lie in the folder itself."""
    files = (
        file
        for file in folder.iterdir()
        if file.suffix.lower() in EXTENSIONS and not is_hidden(file.name)
    )
    return sorted((file for file in files if file.is_file()), key=Path.as_posix)


def _camera(pattern: str | None) -> Callable[[Path], str] | None:
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"the camera pattern {pattern!r} is no regular expression: {error}"
        ) from None
    if expression.groups < 1:
        raise ValueError(
            f"the camera pattern {pattern!r} has no group: put the camera's part in parentheses"
        )

    def camera(file: Path) -> str:
        match = expression.search(file.name)
        if match is None or not match[1]:
            raise ValueError(f"{file}: no camera in its name by the pattern {pattern!r}")
        return match[1]

    return camera
