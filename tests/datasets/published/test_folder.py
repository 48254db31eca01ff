from pathlib import Path

import pytest
from PIL import Image

from graphreid.datasets.importing import ImportPlan
from graphreid.datasets.published.folder import read


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name)
    return root


def splits(plan: ImportPlan) -> dict[str, str]:
    return {entry.path: f"{entry.split} {entry.identity}" for entry in plan.entries}


def test_parts_and_sorting(tmp_path: Path):
    source = make(
        tmp_path,
        "train/b/1.jpg",
        "train/a/2.jpg",
        "train/a/10.jpg",
        "query/c/1.jpg",
        "gallery/c/x/1.jpg",
    )
    assert splits(read(source)) == {
        "gallery/c/x/1.jpg": "gallery c",
        "query/c/1.jpg": "query c",
        "train/a/10.jpg": "train a",
        "train/a/2.jpg": "train a",
        "train/b/1.jpg": "train b",
    }
    assert list(splits(read(source))) == sorted(splits(read(source)))


def test_a_part_test_is_searched_in_itself(tmp_path: Path):
    source = make(tmp_path, "train/a/1.jpg", "test/b/1.jpg")
    assert splits(read(source)) == {"test/b/1.jpg": "query+gallery b", "train/a/1.jpg": "train a"}


def test_without_parts_identities_are_drawn(tmp_path: Path):
    source = make(
        tmp_path, *[f"{identity}/{image}.jpg" for identity in range(10) for image in range(2)]
    )
    plan = read(source, test_share=0.3, seed=1)
    test = {entry.identity for entry in plan.entries if entry.split == "query+gallery"}
    train = {entry.identity for entry in plan.entries if entry.split == "train"}
    assert (len(test), len(train)) == (3, 7)
    assert plan == read(source, test_share=0.3, seed=1)
    assert {entry.camera for entry in plan.entries} == {None}


def test_an_identity_may_be_called_test(tmp_path: Path):
    source = make(tmp_path, "test/1.jpg", "other/1.jpg")
    assert {entry.identity for entry in read(source).entries} == {"test", "other"}


def test_the_camera_is_read_from_the_name_never_from_the_path(tmp_path: Path):
    source = make(
        tmp_path / "archive_c9_old", "a_c8/0001_c3_7.jpg", "a_c8/0001_c12_7.jpg", "a_c8/plain.jpg"
    )
    plan = read(source, camera_pattern=r"_c(\d+)")
    assert [entry.camera for entry in plan.entries] == ["12", "3"]
    assert len(plan.problems) == 1
    assert "plain.jpg: no camera in its name" in plan.problems[0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("c(", "is no regular expression"), ("c3", "has no group"), ("c(x?)", "no camera")],
)
def test_patterns_that_give_no_camera(tmp_path: Path, pattern: str, message: str):
    source = make(tmp_path, "a/c3.jpg")
    if message == "no camera":
        assert message in read(source, camera_pattern=pattern).problems[0]
    else:
        with pytest.raises(ValueError, match=message):
            read(source, camera_pattern=pattern)


def test_empty_identities_stray_images_and_other_files_are_told(tmp_path: Path):
    source = make(tmp_path, "a/1.jpg", "stray.jpg", "._b.jpg")
    (source / "empty").mkdir()
    (source / "a/notes.txt").write_text("")
    (source / "a/.DS_Store").write_text("")
    plan = read(source)
    assert [entry.path for entry in plan.entries] == ["a/1.jpg"]
    assert [problem.split(": ")[1] for problem in plan.problems] == [
        "lies in no identity's folder",
        "no image is in this identity's folder",
    ]
    assert "1 files without an image's extension" in plan.notes[0]


def test_folders_beside_parts_and_a_draw_with_parts_are_refused(tmp_path: Path):
    source = make(tmp_path, "train/a/1.jpg", "query/b/1.jpg")
    with pytest.raises(ValueError, match="has parts query, train: leave out --test-share"):
        read(source, test_share=0.5)
    make(source, "extra/c/1.jpg")
    with pytest.raises(ValueError, match="extra: stands beside the parts query, train"):
        read(source)
    with pytest.raises(ValueError, match="gone: No such file"):
        read(source / "gone")
    with pytest.raises(ValueError, match="Not a directory"):
        read(source / "train/a/1.jpg")
