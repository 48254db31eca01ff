"""CUHK03 in the new protocol: persons on a campus, two views each, 767 identities for training and
700 for testing.

Li, Zhao, Xiao, Wang: DeepReID: deep filter pairing neural network for person re-identification.
CVPR 2014 (the images).
Zhong, Zheng, Cao, Li: Re-ranking person re-identification with k-reciprocal encoding. CVPR 2017
(the protocol).
https://github.com/zhunzhong07/person-re-ranking/tree/master/CUHK03-NP, research only, both papers
to be cited. It shows
people. Every person is there twice: with the boxes of a detector, and with boxes drawn by hand,
which is easier; a result
must say which.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphreid.datasets.folder_layouts import (
    LAYOUTS,
    candidate_folders,
    count_differences,
    not_found_error,
    read_parts,
)
from graphreid.datasets.importing import ImageEntry, ImportPlan
from graphreid.features.readers.matlab import read_mat

Boxes = Literal["detected", "labeled"]
BOXES: tuple[Boxes, ...] = ("detected", "labeled")
TERMS = "CUHK03-NP shows people; its terms: research only, citing both papers"
_COMMON = {
    "train identities": 767,
    "query images": 1_400,
    "query identities": 700,
    "gallery identities": 700,
    "cameras": 2,
}
PUBLISHED = {
    "detected": {"train images": 7_365, "gallery images": 5_332, **_COMMON},
    "labeled": {"train images": 7_368, "gallery images": 5_328, **_COMMON},
}
_FIELDS = ("filelist", "labels", "train_idx", "query_idx", "gallery_idx")
_LAYOUT = LAYOUTS["cuhk03-np"]


def read(source: Path, *, boxes: Boxes | None = None) -> ImportPlan:
    """The images of one kind of boxes, in SOURCE or up to two folders below.

    Either the folders of CUHK03-NP, detected/ and labeled/ with bounding_box_train, query and
    bounding_box_test in each;
    or what torchreid and fast-reid make of the original: images_detected/ or images_labeled/ beside
    cuhk03_new_protocol_config_detected.mat (or _labeled), which has the same identities.

    Args:
        source: the set's folder, or one above it.
        boxes: "detected" or "labeled"; None is what SOURCE itself holds, and "detected" where it
            holds both.

    Raises:
        ValueError: the set is not there, or not whole; or not with these boxes.
    """
    here = (
        [source]
        if source.is_dir() and not _LAYOUT.missing(source)
        else list(candidate_folders(source))
    )
    whole = [place for place in here if not _LAYOUT.missing(place)]
    kinds = {place: _kind(place) for place in whole}
    unnamed = [place for place in whole if kinds[place] is None]
    if unnamed and boxes is None:
        raise ValueError(
            f"{unnamed[0]}: its name does not say whether the boxes are detected or labeled: say "
            f"--boxes"
        )
    for wanted in (boxes,) if boxes else BOXES:
        found = [place for place in whole if kinds[place] in (wanted, None)]
        found += [
            place / f"images_{wanted}" for place in here if (place / f"images_{wanted}").is_dir()
        ]
        if len(found) > 1:
            raise ValueError(
                f"{source}: holds {wanted} boxes more than once ({', '.join(map(str, found))}): "
                f"give one of them"
            )
        if found:
            entries, problems, notes = (
                read_parts(found[0], _LAYOUT) if found[0] in whole else _unpacked(found[0], wanted)
            )
            differ = count_differences(_LAYOUT.title, entries, PUBLISHED[wanted])
            return ImportPlan(
                entries, problems, [TERMS, f"{found[0]}: {wanted} boxes", *notes, *differ]
            )
        half = [place for place in here if _kind(place) == wanted and _LAYOUT.present(place)]
        if half:
            raise not_found_error(half[0], _LAYOUT)
    raise _without(source, here, whole, boxes)


def _kind(place: Path) -> Boxes | None:
    """Which boxes a folder of CUHK03-NP holds, by its name."""
    name = place.name.lower()
    return "detected" if "detect" in name else "labeled" if "label" in name else None


def _unpacked(folder: Path, boxes: Boxes) -> tuple[list[ImageEntry], list[str], list[str]]:
    """The images of a folder, by the configuration of the new protocol that lies beside it."""
    config = folder.parent / f"cuhk03_new_protocol_config_{boxes}.mat"
    if not config.is_file():
        raise ValueError(
            f"{config}: no such file: it says what is for training; get it from the protocol's page"
        )
    arrays = read_mat(config, _FIELDS)
    missing = [field for field in _FIELDS if field not in arrays]
    if missing:
        raise ValueError(
            f"{config}: {', '.join(missing)} is missing: get it again from the protocol's page"
        )
    names = [_text(cell) for cell in arrays["filelist"].ravel()]
    labels = arrays["labels"].ravel()
    entries: list[ImageEntry] = []
    problems: list[str] = []
    for split in ("train", "query", "gallery"):
        rows = arrays[f"{split}_idx"].ravel().astype(np.int64) - 1  # MATLAB counts from 1
        if len(labels) != len(names) or (
            len(rows) and not 0 <= rows.min() <= rows.max() < len(names)
        ):
            raise ValueError(
                f"{config}: labels or {split}_idx do not fit the {len(names)} files: get it again"
            )
        for row in rows.tolist():
            fields = Path(names[row]).stem.split("_")  # pair, person in the pair, view, image
            if (
                len(fields) != 4
                or not all(field.isdecimal() for field in fields)
                or Path(names[row]).name != names[row]
            ):
                problems.append(
                    f"{config}: {names[row]!r} is not a file name of CUHK03 (such as "
                    f"1_001_1_01.png)"
                )
                continue
            identity = str(int(labels[row]))
            camera = str(int(fields[2]))
            entries.append(
                ImageEntry(
                    folder / names[row], f"{folder.name}/{names[row]}", identity, split, camera
                )
            )
    return entries, problems, []


def _without(source: Path, here: list[Path], whole: list[Path], boxes: Boxes | None) -> ValueError:
    if whole:
        return ValueError(
            f"{whole[0]}: its boxes are not {boxes}: give the folder that has them, or leave out "
            f"--boxes"
        )
    for file in (place / "cuhk-03.mat" for place in here):
        if file.is_file():
            return ValueError(
                f"{file}: the original archive, which is not read here: get CUHK03-NP"
            )
    return not_found_error(source, _LAYOUT)


def _text(cell: Any) -> str:
    array: NDArray[Any] = np.ravel(cell)
    return str(array[0]) if array.size else ""
