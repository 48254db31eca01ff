from pathlib import Path

import pytest

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.msmt17 import PUBLISHED, TERMS, TRAIN, VALIDATION, read
from tests.datasets.published.trees import MARKET, MSMT, msmt, tree

SPELLINGS = [
    ("MSMT17_V1", "train", "test"),
    ("msmt17/MSMT17_V1", "train", "test"),
    ("MSMT17_V2", "mask_train_v2", "mask_test_v2"),
    ("msmt17/MSMT17_V2", "mask_train_v2", "mask_test_v2"),
    ("MSMT17", "train", "test"),
    ("MSMT17", "mask_train", "mask_test"),
    ("", "train", "test"),
]


@pytest.mark.parametrize(("below", "train", "test"), SPELLINGS)
@pytest.mark.parametrize("from_parent", [False, True])
def test_every_spelling_is_the_same_set(
    tmp_path: Path, below: str, train: str, test: str, from_parent: bool
):
    top = msmt(tmp_path, below, train, test)
    plan = read(top if from_parent else top / below)
    assert not plan.problems
    assert [(entry.path, entry.identity, entry.camera, entry.split) for entry in plan.entries] == [
        ("train/0000/0000_000_01_0303morning_0015_0.jpg", "train/0", "1", "train"),
        ("train/0001/0001_003_14_0303noon_0015_1.jpg", "train/1", "14", "train"),
        ("test/0000/0000_004_02_0302morning_0107_0.jpg", "test/0", "2", "query"),
        ("test/0000/0000_005_15_0302morning_0110_1.jpg", "test/0", "15", "gallery"),
        ("test/0001/0001_001_01_0302morning_0200_2_ex.jpg", "test/1", "1", "gallery"),
    ]
    manifest = import_images(plan, tmp_path / "out").manifest
    assert not set(manifest.identity[manifest.rows("train")]) & set(
        manifest.identity[manifest.rows("gallery")]
    )
    assert plan.notes[0] == TERMS
    version = (
        "version 2, faces are blurred"
        if train.startswith("mask_")
        else "version 1, faces are not blurred"
    )
    assert plan.notes[1].endswith(version)


def test_validation_is_apart_unless_it_is_joined(tmp_path: Path):
    top = msmt(tmp_path)
    plan = read(top)
    assert "the images of list_val.txt are left out" in plan.notes[2]
    assert "train images 2, not 30,248" in plan.notes[-1]
    plan = read(top, join_val=True)
    assert [entry.path for entry in plan.entries if entry.split == "train"][
        -1
    ] == f"train/{MSMT['val'][0]}"
    assert "train images 3, not 32,621" in plan.notes[-1]
    (top / "MSMT17_V1/list_val.txt").unlink()
    assert len(read(top).entries) == 5
    with pytest.raises(
        ValueError, match=r"list_val\.txt: no such file: restore it, or leave out --join-val"
    ):
        read(top, join_val=True)


def test_lists_of_windows_are_read(tmp_path: Path):
    top = msmt(tmp_path)
    file = top / "MSMT17_V1/list_query.txt"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert len(read(top).entries) == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "0000/0000_004_02_0302morning_0107_0.jpg",
            r"list_query\.txt: line 2 is not 'path identity'",
        ),
        ("0000/0000_004_02_0302morning_0107_0.jpg x", "line 2 is not 'path identity'"),
        ("../0000_004_02_0302morning_0107_0.jpg 1", "line 2 is not 'path identity'"),
        ("/0000_004_02_0302morning_0107_0.jpg 1", "line 2 is not 'path identity'"),
        ("0000/run_1_c2.jpg 1", r"run_1_c2\.jpg: not a file name of MSMT17 \(such as"),
        (
            "9999/9999_004_02_0302morning_0107_0.jpg 1",
            r"9999_004_02_0302morning_0107_0\.jpg: No such file",
        ),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str):
    top = msmt(tmp_path)
    with (top / "MSMT17_V1/list_query.txt").open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(ValueError, match=message):
        import_images(read(top), tmp_path / "out")
    assert len(import_images(read(top), tmp_path / "out", on_error="skip").manifest) == 5


def test_half_downloaded_sets_are_named(tmp_path: Path):
    top = msmt(tmp_path)
    (top / "MSMT17_V1/list_gallery.txt").unlink()
    with pytest.raises(
        ValueError, match=r"MSMT17_V1: only a part of MSMT17, list_gallery\.txt is missing"
    ):
        read(top)
    for file in sorted((top / "MSMT17_V1/test").rglob("*.jpg")):
        file.unlink()
    with pytest.raises(
        ValueError,
        match=r"only a part of MSMT17, test or mask_test_v2 or mask_test, list_gallery\.txt is",
    ):
        read(top)
    with pytest.raises(
        ValueError, match="looks like Market-1501, not MSMT17: import it as market1501"
    ):
        read(tree(tmp_path / "other", MARKET))


def test_the_published_counts_add_up():
    assert TRAIN + VALIDATION + PUBLISHED["query images"] + PUBLISHED["gallery images"] == 126_441
    assert PUBLISHED["train identities"] + PUBLISHED["gallery identities"] == 4_101
