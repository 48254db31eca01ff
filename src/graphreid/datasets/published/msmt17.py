"""MSMT17: persons on a campus over four days, seen by fifteen cameras, indoors and out.

Wei, Zhang, Gao, Tian: Person transfer GAN to bridge domain gap for person re-identification. CVPR
2018. Given by its authors
(http://www.pkuvmc.com, no longer there) under an agreement, for research only. It shows people.
Version 1 has the folders train and test; in version 2, mask_train_v2 and mask_test_v2, faces are
blurred. Results on the two are not the same thing.
"""

from pathlib import Path, PurePosixPath

from graphreid.datasets.folder_layouts import LAYOUTS, FolderLayout, count_differences, find_set
from graphreid.datasets.importing import ImageEntry, ImportPlan

TERMS = "MSMT17 shows people; its terms: given by its authors under an agreement, for research only"
TRAIN = 30_248
VALIDATION = 2_373
PUBLISHED = {
    "train identities": 1_041,
    "query images": 11_659,
    "query identities": 3_060,
    "gallery images": 82_161,
    "gallery identities": 3_060,
    "cameras": 15,
}
_VALIDATION_LIST = "list_val.txt"


def read(source: Path, *, join_val: bool = False) -> ImportPlan:
    """The images that list_train.txt, list_query.txt and list_gallery.txt name, in SOURCE or up to
    two folders below.

    A list has a line "path identity" for each image. Identities count from 0 in train and again in
    test, so they are called "train/0" and "test/0" here. The camera is the third number in a file's
    name.

    Args:
        source: the set's folder, or one above it.
        join_val: also train on the images of list_val.txt (2,373, of the same identities), as
            TransReID does; torchreid, fast-reid and BoT leave them out.

    Raises:
        ValueError: the set is not there, or not whole.
    """
    layout = LAYOUTS["msmt17"]
    root = find_set(source, layout)
    folders = layout.folders(root)
    entries: list[ImageEntry] = []
    problems: list[str] = []
    lists = [
        ("list_train.txt", "train"),
        ("list_query.txt", "query"),
        ("list_gallery.txt", "gallery"),
    ]
    if join_val:
        if not (root / _VALIDATION_LIST).is_file():
            raise ValueError(
                f"{root / _VALIDATION_LIST}: no such file: restore it, or leave out --join-val"
            )
        lists.insert(1, (_VALIDATION_LIST, "train"))
    for name, split in lists:
        part = "train" if split == "train" else "test"
        _read_list(root / name, folders[part], part, split, layout, entries, problems)
    notes = [TERMS, _version(folders["train"])]
    if not join_val:
        notes.append("the images of list_val.txt are left out; --join-val trains on them too")
    published = {"train images": TRAIN + VALIDATION if join_val else TRAIN, **PUBLISHED}
    return ImportPlan(
        entries, problems, [*notes, *count_differences(layout.title, entries, published)]
    )


def _read_list(
    file: Path,
    folder: Path,
    part: str,
    split: str,
    layout: FolderLayout,
    entries: list[ImageEntry],
    problems: list[str],
) -> None:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a readable list ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        path, _, identity = line.strip().rpartition(" ")
        parts = PurePosixPath(path).parts
        if not path or not identity.isdecimal() or ".." in parts or "/" in parts:
            problems.append(f"{file}: line {number} is not 'path identity' ({line.strip()[:80]})")
            continue
        image = folder / path
        try:
            _, camera = layout.label(image)
        except ValueError as error:
            problems.append(str(error))
            continue
        entries.append(
            ImageEntry(image, f"{part}/{path}", f"{part}/{int(identity)}", split, camera)
        )


def _version(train: Path) -> str:
    blurred = train.name.startswith("mask_")
    return (
        f"{train.parent}: version 2, faces are blurred"
        if blurred
        else f"{train.parent}: version 1, faces are not blurred"
    )
