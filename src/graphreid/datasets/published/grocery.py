"""Grocery Store: 81 fine classes of fruit, vegetables and packages, photographed in shops by phone;
no cameras.

Klasson, Zhang, Kjellström: A hierarchical grocery store image dataset with visual and semantic
labels. WACV 2019.
https://github.com/marcusklasson/GroceryStoreDataset, MIT licence.
"""

from pathlib import Path

from graphreid.datasets.importing import ImageEntry, ImportPlan, image_files
from graphreid.features.readers.tables import read_table

INDEX = "index.csv"
PARTS = ("train", "val", "test")
_SPLIT = {"train": "train", "test": "query+gallery"}


def read(source: Path) -> ImportPlan:
    """The photographs that SOURCE/index.csv lists, or those of the public folder `dataset`.

    The index (path, identity, part) says which classes are for training. The public folders train,
    val and test hold
    all classes each, which is no retrieval task: there all three are put together, and of the class
    names in sorted
    order the first half (41 of 81) is for training. Each test photograph is searched among all the
    others.

    Raises:
        ValueError: neither layout is there, or the index is not as described.
    """
    if (source / INDEX).is_file():
        return _indexed(source)
    root = source / "dataset" if (source / "dataset").is_dir() else source
    if all((root / part).is_dir() for part in PARTS):
        return _public(root)
    raise ValueError(
        f"{source}: neither {INDEX} nor the folders {', '.join(PARTS)} (or dataset/train ...) are "
        f"there"
    )


def _indexed(source: Path) -> ImportPlan:
    table = read_table(source / INDEX)
    missing = {"path", "identity", "part"} - set(table)
    if missing:
        raise ValueError(f"{source / INDEX}: column {', '.join(sorted(missing))} is missing")
    rows = list(zip(table["path"], table["identity"], table["part"], strict=True))
    for line, (path, _, part) in enumerate(rows, 2):
        if part not in _SPLIT:
            raise ValueError(
                f"{source / INDEX}: part is {part!r} in line {line} ({path}): train or test"
            )
    distinct = dict.fromkeys(rows)  # a path with two identities stays twice, and is refused later
    notes = (
        [
            f"{source / INDEX}: {len(rows) - len(distinct)} of {len(rows)} rows repeat an earlier "
            f"row and were left out"
        ]
        if len(distinct) < len(rows)
        else []
    )
    return ImportPlan(
        [_entry(source, path, identity, _SPLIT[part]) for path, identity, part in sorted(distinct)],
        (),
        notes,
    )


def _public(root: Path) -> ImportPlan:
    found = [(part, file) for part in PARTS for file in image_files(root / part)[0]]
    classes = sorted({file.parent.name for _, file in found})
    train = set(classes[: (len(classes) + 1) // 2])
    entries = [
        _entry(
            root,
            file.relative_to(root).as_posix(),
            name,
            "train" if name in train else "query+gallery",
        )
        for _, file in found
        for name in [file.parent.name]
    ]
    note = (
        f"{root}: no split of the classes is published; {len(train)} of {len(classes)} in name "
        f"order are for training"
    )
    return ImportPlan(sorted(entries, key=lambda entry: entry.path), (), [note])


def _entry(root: Path, path: str, identity: str, split: str) -> ImageEntry:
    return ImageEntry(root / path, path, identity, split)
