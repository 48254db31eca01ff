from pathlib import Path

import pytest

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.veri_776 import PUBLISHED, TERMS, read
from tests.datasets.published.trees import DUKE, VERI, tree

LABELS = """<?xml version="1.0" encoding="gb2312" ?>
<TrainingImages Version="1.0">
 <Items number="2">
  <Item imageName="0001_c001_00016450_0.jpg" vehicleID="0001" cameraID="c001"
   colorID="6" typeID="4" />
  <Item imageName="0001_c014_00016460_0.jpg" vehicleID="0001" cameraID="c014"
   colorID="6" typeID="4"></Item>
 </Items>
</TrainingImages>
"""


@pytest.mark.parametrize("below", ["", "VeRi", "veri", "veri776/VeRi"])
@pytest.mark.parametrize("from_parent", [False, True])
def test_every_spelling_is_the_same_set(tmp_path: Path, below: str, from_parent: bool):
    top = tree(tmp_path, [f"{below}/{name}" for name in VERI])
    plan = read(top if from_parent else top / below)
    assert [(entry.path, entry.identity, entry.camera, entry.split) for entry in plan.entries] == [
        ("image_train/0001_c001_00016450_0.jpg", "1", "1", "train"),
        ("image_train/0001_c014_00016460_0.jpg", "1", "14", "train"),
        ("image_query/0005_c003_00077625_0.jpg", "5", "3", "query"),
        ("image_test/0002_c002_00030600_0.jpg", "2", "2", "query+gallery"),
        ("image_test/0002_c003_00030705_0.jpg", "2", "3", "gallery"),
        ("image_test/0005_c020_00077825_1.jpg", "5", "20", "gallery"),
    ]


def test_a_query_that_is_a_gallery_image_is_there_once(tmp_path: Path):
    done = import_images(read(tree(tmp_path, VERI)), tmp_path / "out")
    assert len(done.manifest) == 6
    assert (len(done.manifest.rows("query")), len(done.manifest.rows("gallery"))) == (2, 3)
    assert any(
        "1 queries also lie in image_test: they are imported once" in note for note in done.notes
    )
    assert done.notes[0] == TERMS
    assert "query images 2, not 1,678" in done.notes[-1]
    assert "gallery images 3, not 11,579" in done.notes[-1]
    assert PUBLISHED["train images"] + PUBLISHED["gallery images"] == 49_357


def test_label_files_in_their_own_encoding_agree_with_the_names(tmp_path: Path):
    top = tree(tmp_path, VERI)
    plain = read(top).entries
    (top / "train_label.xml").write_bytes(
        LABELS.replace("<Items", "<!-- 车 --><Items").encode("gb2312")
    )
    assert read(top).entries == plain


def test_label_files_that_disagree_are_problems(tmp_path: Path):
    top = tree(tmp_path, VERI)
    (top / "test_label.xml").write_text(LABELS.replace('cameraID="c014"', 'cameraID="c015"'))
    plan = read(top)
    assert len(plan.problems) == 1
    assert plan.problems[0].endswith(
        "0001_c014_00016460_0.jpg: the label file says vehicle 1, camera 15, and its name says "
        "otherwise"
    )


def test_label_files_name_what_the_names_do_not(tmp_path: Path):
    top = tree(tmp_path, [*VERI, "image_train/extra.jpg"])
    assert "extra.jpg: not a file name of VeRi-776" in read(top).problems[0]
    line = '<Item imageName="extra.jpg" vehicleID="0776" cameraID="c007"/>'
    (top / "train_label.xml").write_text(LABELS.replace("</Items>", f"{line}</Items>"))
    entry = read(top).entries[2]
    assert (entry.path, entry.identity, entry.camera) == ("image_train/extra.jpg", "776", "7")


def test_broken_label_files_are_named(tmp_path: Path):
    top = tree(tmp_path, VERI)
    (top / "train_label.xml").write_text(LABELS.replace('vehicleID="0001"', "", 1))
    with pytest.raises(
        ValueError,
        match=r"train_label\.xml: an Item without imageName, vehicleID and cameraID \(imageName=",
    ):
        read(top)


def test_cameras_of_other_lengths_are_unreadable_names(tmp_path: Path):
    problems = read(tree(tmp_path, [*VERI, "image_test/0002_c02_00030705_0.jpg"])).problems
    assert (
        "0002_c02_00030705_0.jpg: not a file name of VeRi-776 (such as 0002_c002_00030600_0.jpg)"
        in problems[0]
    )


def test_half_downloaded_and_other_sets_are_named(tmp_path: Path):
    top = tree(tmp_path, [name for name in VERI if "query" not in name])
    with pytest.raises(
        ValueError,
        match="only a part of VeRi-776, image_query is missing or has none of its images: complete",
    ):
        read(top)
    with pytest.raises(ValueError, match="looks like DukeMTMC-reID, not VeRi-776"):
        read(tree(tmp_path / "duke", DUKE))


@pytest.mark.parametrize("named", [False, True])
def test_tracks_are_those_of_the_list(tmp_path: Path, named: bool):
    top = tree(tmp_path, VERI)
    assert all(not entry.extra for entry in read(top).entries)
    lines = [["0002_c002_00030600_0.jpg", "0002_c002_00030605_0.jpg"], ["0002_c003_00030705_0.jpg"]]
    heads = ["0002_c002_t00030600", "0002_c003_t00030705"] if named else ["", ""]
    file = top / ("test_track_VeRi.txt" if named else "test_track.txt")
    file.write_text(
        "\n".join(" ".join([head, *images]) for head, images in zip(heads, lines, strict=True))
        + "\n"
    )
    assert {entry.path: dict(entry.extra) for entry in read(top).entries} == {
        "image_train/0001_c001_00016450_0.jpg": {},
        "image_train/0001_c014_00016460_0.jpg": {},
        "image_query/0005_c003_00077625_0.jpg": {},
        "image_test/0002_c002_00030600_0.jpg": {"track": "0002_c002_00030600_0.jpg"},
        "image_test/0002_c003_00030705_0.jpg": {"track": "0002_c003_00030705_0.jpg"},
        "image_test/0005_c020_00077825_1.jpg": {"track": "0005_c020_00077825_1.jpg"},
    }
    file.write_text(file.read_text() + "0005_c020_00077825_1.jpg 0002_c003_00030705_0.jpg\n")
    with pytest.raises(
        ValueError, match=r"test_track.*: image 0002_c003_00030705_0\.jpg stands in two tracks"
    ):
        read(top)
