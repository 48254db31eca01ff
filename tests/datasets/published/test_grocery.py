from pathlib import Path

import pytest
from PIL import Image

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.grocery import read


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)


def indexed(root: Path, rows: list[tuple[str, str, str]]) -> Path:
    for path, _, _ in rows:
        image(root / path)
    (root / "index.csv").write_text(
        "path,identity,part,group\n" + "".join(f"{','.join(row)},Fruit\n" for row in rows),
        encoding="utf-8",
    )
    return root


def test_the_index_gives_split_and_identity(tmp_path: Path):
    source = indexed(
        tmp_path / "s", [("train/002/b.jpg", "2", "train"), ("test/000/a.jpg", "0", "test")]
    )
    manifest = import_images(read(source), tmp_path / "out").manifest
    assert manifest.item.tolist() == ["test/000/a.jpg", "train/002/b.jpg"]
    assert manifest.split.tolist() == ["query+gallery", "train"]
    assert manifest.identity.tolist() == ["0", "2"]
    assert manifest.camera is None


def test_repeated_rows_are_told_and_two_identities_refused(tmp_path: Path):
    row = ("test/000/a.jpg", "0", "test")
    plan = read(indexed(tmp_path / "s", [row, row, ("train/002/b.jpg", "2", "train")]))
    assert len(plan.entries) == 2
    assert "1 of 3 rows repeat an earlier row" in plan.notes[0]
    plan = read(indexed(tmp_path / "t", [row, ("test/000/a.jpg", "1", "test")]))
    with pytest.raises(ValueError, match=r"would both become images/test/000/a\.jpg"):
        import_images(plan, tmp_path / "out")


@pytest.mark.parametrize("below", ["", "dataset"])
def test_the_public_folders_are_split_by_class(tmp_path: Path, below: str):
    root = tmp_path / below
    for part in ("train", "val", "test"):
        for name in ("Fruit/Apple/Pink-Lady", "Fruit/Banana", "Packages/Milk/Arla-Milk"):
            image(root / part / name / f"{Path(name).name}_001.jpg")
    image(root / "iconic-images-and-descriptions/Fruit/Banana/Banana_Iconic.jpg")
    plan = read(tmp_path)
    assert len(plan.entries) == 9
    assert {(entry.identity, entry.split) for entry in plan.entries} == {
        ("Arla-Milk", "train"),
        ("Banana", "train"),
        ("Pink-Lady", "query+gallery"),
    }
    assert plan.entries[0].path == "test/Fruit/Apple/Pink-Lady/Pink-Lady_001.jpg"
    assert "2 of 3 in name order are for training" in plan.notes[0]


def test_sources_that_are_not_grocery(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither index\.csv nor the folders train, val, test"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"part is 'val' in line 2 \(a\.jpg\)"):
        read(indexed(tmp_path, [("a.jpg", "1", "val")]))
    (tmp_path / "index.csv").write_text("path,part\na.jpg,train\n")
    with pytest.raises(ValueError, match=r"index\.csv: column identity is missing"):
        read(tmp_path)


def test_the_real_set(shared: Path):
    plan = read(shared / "data/grocery")
    train = {entry.identity for entry in plan.entries if entry.split == "train"}
    test = {entry.identity for entry in plan.entries if entry.split == "query+gallery"}
    assert (len(train), len(test), len(train & test)) == (41, 40, 0)
    assert len({entry.path for entry in plan.entries}) == len(plan.entries)
