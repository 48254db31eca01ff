"""Stanford Online Products: 22,634 products of an online shop in 120,053 photographs; no cameras.

Oh Song, Xiang, Jegelka, Savarese: Deep Metric Learning via Lifted Structured Feature Embedding.
CVPR 2016. https://cvgl.stanford.edu/projects/lifted_struct/
"""

from pathlib import Path

from graphreid.datasets.importing import ImageEntry, ImportPlan

LISTS = {"Ebay_train.txt": "train", "Ebay_test.txt": "query+gallery"}
COLUMNS = ["image_id", "class_id", "super_class_id", "path"]


def read(source: Path) -> ImportPlan:
    """The photographs that SOURCE/Ebay_train.txt and Ebay_test.txt list.

    A line holds image_id, class_id (the product, which is the identity), super_class_id and path,
    with spaces between. One of the two lists is enough. Each test photograph is searched among all
    the others.

    Raises:
        ValueError: neither list is there, or a line is not as described.
    """
    present = [name for name in LISTS if (source / name).is_file()]
    if not present:
        raise ValueError(f"{source}: neither {' nor '.join(LISTS)} is there")
    entries = [entry for name in present for entry in _entries(source, name)]
    notes = [f"{source / name}: not there" for name in LISTS if name not in present]
    return ImportPlan(entries, (), notes)


def _entries(source: Path, name: str) -> list[ImageEntry]:
    head, *lines = (source / name).read_text(encoding="utf-8").splitlines()
    if head.split() != COLUMNS:
        raise ValueError(f"{source / name}: line 1 is {head!r}: {' '.join(COLUMNS)} is expected")
    entries: list[ImageEntry] = []
    for number, line in enumerate(lines, 2):
        values = line.split(maxsplit=3)
        if len(values) != len(COLUMNS):
            raise ValueError(f"{source / name}: line {number} has {len(values)} values, not 4")
        _, identity, _, path = values
        entries.append(ImageEntry(source / path, path, identity, LISTS[name]))
    return entries
