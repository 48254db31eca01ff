from pathlib import Path

import pytest
from PIL import Image

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.stanford_online_products import read

HEAD = "image_id class_id super_class_id path\n"


def test_the_lists_give_split_and_identity(tmp_path: Path) -> None:
    source = tmp_path / "s"
    for name in ("chair_final/1_0.JPG", "chair_final/1_1.JPG", "sofa_final/2_0.JPG"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(source / name)
    (source / "Ebay_train.txt").write_text(HEAD + "3 2 2 sofa_final/2_0.JPG\n")
    (source / "Ebay_test.txt").write_text(
        HEAD + "1 1 1 chair_final/1_0.JPG\n2 1 1 chair_final/1_1.JPG\n"
    )
    manifest = import_images(read(source), tmp_path / "out").manifest
    assert manifest.identity.tolist() == ["2", "1", "1"]
    assert manifest.split.tolist() == ["train", "query+gallery", "query+gallery"]
    assert manifest.camera is None


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither Ebay_train\.txt nor Ebay_test\.txt"):
        read(tmp_path)
    (tmp_path / "Ebay_test.txt").write_text(HEAD + "1 1 chair.JPG\n")
    with pytest.raises(ValueError, match=r"Ebay_test\.txt: line 2 has 3 values"):
        read(tmp_path)
    (tmp_path / "Ebay_test.txt").write_text("1 1 1 chair.JPG\n")
    with pytest.raises(ValueError, match=r"line 1 is '1 1 1 chair\.JPG'"):
        read(tmp_path)


def test_a_case_of_a_user(shared: Path) -> None:
    plan = read(shared / "cases" / "27-sop-txt")
    assert len({entry.identity for entry in plan.entries}) == 5
    assert {entry.split for entry in plan.entries} == {"query+gallery"}
    assert plan.notes == [f"{shared / 'cases' / '27-sop-txt' / 'Ebay_train.txt'}: not there"]
