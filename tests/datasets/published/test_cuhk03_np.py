from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.cuhk03_np import PUBLISHED, TERMS, read
from tests.datasets.published.trees import CUHK, DUKE, tree

UNPACKED = ("1_001_1_01.png", "1_001_2_06.png", "2_001_1_01.png", "2_001_2_07.png")


def both(root: Path, below: str = "cuhk03-np") -> Path:
    labeled = [name.replace("0001_c2_2", "0001_c2_4") for name in CUHK]
    names = [f"{below}/detected/{name}" for name in CUHK] + [
        f"{below}/labeled/{name}" for name in labeled
    ]
    return tree(root, names)


def unpacked(root: Path, boxes: str = "detected", **change: Any) -> Path:
    top = tree(root, [f"cuhk03/images_{boxes}/{name}" for name in UNPACKED])
    files = np.array([np.array([name]) for name in UNPACKED], dtype=object).reshape(-1, 1)
    config = {
        "filelist": files,
        "labels": np.array([[1], [1], [844], [844]]),
        "camId": np.array([[1], [2], [1], [2]]),
        "train_idx": np.array([[1], [2]]),
        "query_idx": np.array([[3]]),
        "gallery_idx": np.array([[4]]),
    }
    scipy.io.savemat(top / f"cuhk03/cuhk03_new_protocol_config_{boxes}.mat", {**config, **change})
    return top


@pytest.mark.parametrize("source", ["", "cuhk03-np"])
def test_detected_is_read_where_both_are_there(tmp_path: Path, source: str):
    plan = read(both(tmp_path) / source)
    assert [entry.path for entry in plan.entries] == list(CUHK)
    assert [(entry.identity, entry.camera, entry.split) for entry in plan.entries] == [
        ("1", "1", "train"),
        ("1", "2", "train"),
        ("3", "1", "query"),
        ("3", "2", "gallery"),
    ]
    assert plan.notes[0] == TERMS
    assert plan.notes[1].endswith("cuhk03-np/detected: detected boxes")
    assert "gallery images 1, not 5,332" in plan.notes[-1]


@pytest.mark.parametrize("source", ["", "cuhk03-np", "cuhk03-np/labeled"])
def test_labeled_on_request_or_by_the_folder(tmp_path: Path, source: str):
    plan = read(both(tmp_path) / source, boxes=None if source.endswith("labeled") else "labeled")
    assert "bounding_box_train/0001_c2_4.png" in [entry.path for entry in plan.entries]
    assert "gallery images 1, not 5,328" in plan.notes[-1]


@pytest.mark.parametrize("below", ["cuhk-detect", "cuhk03_np_detected_jpg", "detected"])
def test_other_spellings(tmp_path: Path, below: str):
    top = tree(tmp_path, [f"{below}/{name}" for name in CUHK])
    assert len(read(top).entries) == 4
    assert len(read(top / below).entries) == 4
    with pytest.raises(
        ValueError, match=r"its boxes are not labeled: give the folder that has them"
    ):
        read(top, boxes="labeled")


def test_a_folder_that_does_not_say_which_boxes_it_holds(tmp_path: Path):
    top = tree(tmp_path, CUHK)
    with pytest.raises(
        ValueError,
        match="its name does not say whether the boxes are detected or labeled: say --boxes",
    ):
        read(top)
    assert read(top, boxes="labeled").notes[1].endswith("labeled boxes")


@pytest.mark.parametrize("source", ["", "cuhk03"])
@pytest.mark.parametrize("boxes", ["detected", "labeled"])
def test_what_torchreid_unpacks(tmp_path: Path, source: str, boxes: str):
    plan = read(unpacked(tmp_path, boxes) / source)
    assert [entry.path for entry in plan.entries] == [f"images_{boxes}/{name}" for name in UNPACKED]
    assert [(entry.identity, entry.camera, entry.split) for entry in plan.entries] == [
        ("1", "1", "train"),
        ("1", "2", "train"),
        ("844", "1", "query"),
        ("844", "2", "gallery"),
    ]
    assert len(import_images(plan, tmp_path / "out").manifest) == 4


def test_configurations_that_do_not_fit(tmp_path: Path):
    with pytest.raises(ValueError, match=r"labels or gallery_idx do not fit the 4 files"):
        read(unpacked(tmp_path / "1", gallery_idx=np.array([[5]])))
    with pytest.raises(ValueError, match=r"labels or train_idx do not fit the 4 files"):
        read(unpacked(tmp_path / "2", labels=np.array([[5]])))
    bad = np.array(
        [np.array([name]) for name in ("../1_001_1_01.png", "x.png", *UNPACKED[2:])], dtype=object
    )
    problems = read(unpacked(tmp_path / "3", filelist=bad)).problems
    assert [problem.split(": ")[1].split(" is ")[0] for problem in problems] == [
        "'../1_001_1_01.png'",
        "'x.png'",
    ]
    top = unpacked(tmp_path / "4")
    config = top / "cuhk03/cuhk03_new_protocol_config_detected.mat"
    scipy.io.savemat(config, {"labels": np.ones(4)})
    with pytest.raises(ValueError, match="filelist, train_idx, query_idx, gallery_idx is missing"):
        read(top)
    config.write_bytes(config.read_bytes()[:150])
    with pytest.raises(ValueError, match=r"config_detected\.mat"):
        read(top)
    config.unlink()
    with pytest.raises(
        ValueError, match=r"config_detected\.mat: no such file: it says what is for training"
    ):
        read(top)


def test_sources_that_are_not_whole(tmp_path: Path):
    top = both(tmp_path / "half")
    (top / "cuhk03-np/detected/query/0003_c1_21.png").unlink()
    with pytest.raises(
        ValueError,
        match=r"detected: only a part of CUHK03-NP, query is missing or has none of its images",
    ):
        read(top)  # the labeled boxes are whole, but nobody asked for them
    assert len(read(top, boxes="labeled").entries) == 4
    (tmp_path / "raw/cuhk03_release").mkdir(parents=True)
    (tmp_path / "raw/cuhk03_release/cuhk-03.mat").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"cuhk-03\.mat: the original archive, which is not read here"
    ):
        read(tmp_path / "raw")
    with pytest.raises(
        ValueError, match="looks like DukeMTMC-reID, not CUHK03-NP: import it as dukemtmc-reid"
    ):
        read(tree(tmp_path / "duke", DUKE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="the folder is empty, no CUHK03-NP in it"):
        read(tmp_path / "empty")
    twice = tree(tmp_path / "twice", [f"{copy}/detected/{name}" for copy in "ab" for name in CUHK])
    with pytest.raises(
        ValueError, match=r"holds detected boxes more than once \(.*a/detected, .*b/detected\)"
    ):
        read(twice)


def test_the_published_counts_add_up():
    totals = {
        boxes: sum(counts[f"{split} images"] for split in ("train", "query", "gallery"))
        for boxes, counts in PUBLISHED.items()
    }
    assert totals == {"detected": 14_097, "labeled": 14_096}
