from pathlib import Path

import pytest

from graphreid.datasets.folder_layouts import (
    LAYOUTS,
    candidate_folders,
    count_differences,
    find_set,
    parse_market_name,
    read_parts,
)
from graphreid.datasets.importing import ImageEntry
from tests.datasets.published.trees import CUHK, DUKE, MARKET, VERI, msmt, tree

FLAT = {"market1501": MARKET, "dukemtmc-reid": DUKE, "cuhk03-np": CUHK, "veri-776": VERI}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("other", [*FLAT, "msmt17"])
def test_sets_are_told_apart_by_their_files_names(tmp_path: Path, name: str, other: str):
    top = (
        msmt(tmp_path)
        if other == "msmt17"
        else tree(tmp_path, [f"x/{file}" for file in FLAT[other]])
    )
    layout = LAYOUTS[name]
    if name == other:
        assert find_set(top, layout) == top / "x"
    else:
        with pytest.raises(
            ValueError,
            match=f"looks like {LAYOUTS[other].title}, not {layout.title}: import it as {other}",
        ):
            find_set(top, layout)


def test_every_example_is_a_name_of_its_own_set_only():
    for name, layout in LAYOUTS.items():
        stem = Path(layout.example).stem
        fitting = {other for other in LAYOUTS if LAYOUTS[other].name.fullmatch(stem)}
        assert fitting == {name}


def test_labels_come_from_the_name_never_from_the_path():
    file = Path("/run_1_c2/0009_c4s1_000000_00/0002_c1s1_000451_03.jpg")
    assert LAYOUTS["market1501"].label(file) == ("2", "1")
    assert LAYOUTS["veri-776"].label(Path("/0001_c001_0_0/0776_c020_00000600_0.jpg")) == (
        "776",
        "20",
    )
    with pytest.raises(
        ValueError,
        match=r"run_1_c2\.jpg: not a file name of Market-1501 \(such as 0002_c1s1_000451_03\.jpg\)",
    ):
        LAYOUTS["market1501"].label(Path("0002_c1s1_000451_03/run_1_c2.jpg"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("0002_c1s1_000451_03.jpg", ("2", "1")),
        ("-1_c3s1_000401_03.jpg", ("-1", "3")),
        ("0000_c6s1_000401_03", ("0", "6")),
        ("0002_c002_00030600_0.npy", ("2", "2")),
        ("0005_c12", ("5", "12")),
        ("run_1_c2.jpg", None),
        ("x0002_c1.jpg", None),
        ("0002_s1.jpg", None),
    ],
)
def test_market_style(name: str, label: tuple[str, str] | None):
    assert parse_market_name(name) == label


def test_a_set_that_is_whole_is_taken_before_copies_below_it(tmp_path: Path):
    top = tree(tmp_path, [*MARKET, *(f"backup/{name}" for name in MARKET)])
    assert find_set(top, LAYOUTS["market1501"]) == top
    twice = tree(tmp_path / "twice", [f"{copy}/{name}" for copy in "ab" for name in MARKET])
    with pytest.raises(
        ValueError,
        match=r"run_1_c2: holds Market-1501 more than once \(.*/a, .*/b\): give one of them",
    ):
        find_set(twice, LAYOUTS["market1501"])


def test_half_a_set_is_named_with_what_is_missing(tmp_path: Path):
    layout = LAYOUTS["market1501"]
    top = tree(tmp_path, [f"m/{name}" for name in MARKET if not name.startswith("query")])
    with pytest.raises(
        ValueError,
        match=r"/m: only a part of Market-1501, query is missing or has none of its images: "
        r"complete",
    ):
        find_set(top, layout)
    (top / "m/query").mkdir()
    (top / "m/query/._0001_c1s1_001051_00.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="query is missing or has none of its images"):
        find_set(top, layout)


def test_names_that_are_nobodys(tmp_path: Path):
    top = tree(
        tmp_path,
        [
            "bounding_box_train/b.jpg",
            "bounding_box_train/a.jpg",
            "query/c.jpg",
            "bounding_box_test/d.jpg",
        ],
    )
    with pytest.raises(
        ValueError,
        match=r"bounding_box_train/a\.jpg: not a file name of Market-1501 .*importer folder or csv",
    ):
        find_set(top, LAYOUTS["market1501"])


def test_folders_without_a_set(tmp_path: Path):
    layout = LAYOUTS["market1501"]
    with pytest.raises(
        ValueError,
        match="the folder is empty, no Market-1501 in it or up to 2 folders below: it has "
        "bounding_box_train",
    ):
        find_set(tmp_path, layout)
    top = tree(tmp_path, ["a/b/c/d.jpg", "notes/x.jpg"])
    with pytest.raises(ValueError, match=r"run_1_c2: no Market-1501 in it") as caught:
        find_set(top, layout)
    assert "\n" not in str(caught.value)
    part = tree(tmp_path / "part", MARKET) / "bounding_box_train"
    with pytest.raises(
        ValueError, match="bounding_box_train: one part of a set: give the folder that it lies in"
    ):
        find_set(part, layout)
    with pytest.raises(ValueError, match="gone: No such file"):
        find_set(tmp_path / "gone", layout)
    archive = tmp_path / "Market-1501-v15.09.15.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"\.zip: Not a directory: give the folder"):
        find_set(archive, layout)


def test_places_go_two_folders_deep_and_not_into_parts_or_hidden_folders(tmp_path: Path):
    top = tree(
        tmp_path, ["a/b/c/x.jpg", "query/d/x.jpg", ".cache/x.jpg", "train/e/x.jpg"], stray=False
    )
    assert [place.relative_to(top).as_posix() for place in candidate_folders(top)] == [
        ".",
        "a",
        "a/b",
    ]
    (top / "locked").mkdir(mode=0)
    assert (
        len(list(candidate_folders(top))) >= 3
    )  # a neighbour that may not be read is none of ours


def test_images_in_folders_below_a_part_keep_their_place(tmp_path: Path):
    top = tree(tmp_path, [*MARKET, "query/0009/0009_c1s1_001051_00.jpg"], stray=False)
    entries, problems, notes = read_parts(top, LAYOUTS["market1501"])
    assert "query/0009/0009_c1s1_001051_00.jpg" in [entry.path for entry in entries]
    assert (problems, notes) == ([], [])


def test_differences_count_what_they_say():
    entries = [
        ImageEntry(Path("a"), "a", "1", "train", "1"),
        ImageEntry(Path("b"), "b", "2", "query+gallery", "2"),
        ImageEntry(Path("c"), "c", "-1", "gallery", "2", "junk"),
    ]
    right = {
        "train images": 1,
        "query images": 1,
        "gallery images": 2,
        "gallery identities": 1,
        "junk images": 1,
        "cameras": 2,
    }
    assert count_differences("X", entries, right) == []
    assert count_differences("X", entries, {**right, "gallery images": 1_000}) == [
        "warning: the counts are not those of the published X, is it complete? gallery images 2, "
        "not 1,000"
    ]
