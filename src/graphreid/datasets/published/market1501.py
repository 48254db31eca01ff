"""Market-1501: persons in front of a supermarket, seen by six cameras; boxes of a detector.

Zheng, Shen, Tian, Wang, Wang, Tian: Scalable person re-identification: a benchmark. ICCV 2015.
https://zheng-lab-anu.github.io/Project/project_reid.html. Its readme.txt: research only, not to be
distributed nor used commercially. It shows people. The counts are those of the archive v15.09.15
(the page says 2,793 distractors, and there are 2,798); of the 19,732 gallery images 15,913 are
searched, 3,819 being junk.
"""

from dataclasses import replace
from pathlib import Path

from graphreid.datasets.folder_layouts import (
    LAYOUTS,
    MARKET_ROLES,
    count_differences,
    find_set,
    read_parts,
)
from graphreid.datasets.importing import ImportPlan

TERMS = (
    "Market-1501 shows people; its terms: research only, not to be distributed, no commercial use"
)
PUBLISHED = {
    "train images": 12_936,
    "train identities": 751,
    "query images": 3_368,
    "query identities": 750,
    "gallery images": 19_732,
    "gallery identities": 750,
    "junk images": 3_819,
    "distractor images": 2_798,
    "cameras": 6,
}


def read(source: Path) -> ImportPlan:
    """The images of bounding_box_train, query and bounding_box_test, in SOURCE or up to two folders
    below.

    A file's name says identity and camera. Identity -1 is junk (a bad box of somebody, neither
    right nor wrong), 0 is a distractor (a box of nobody in the set, always wrong).

    Raises:
        ValueError: the set is not there, or not whole.
    """
    layout = LAYOUTS["market1501"]
    entries, problems, notes = read_parts(find_set(source, layout), layout)
    entries = [replace(entry, role=MARKET_ROLES.get(entry.identity, "normal")) for entry in entries]
    return ImportPlan(
        entries, problems, [TERMS, *notes, *count_differences(layout.title, entries, PUBLISHED)]
    )
