from pathlib import Path

import pytest
from PIL import Image

from graphreid.datasets import published
from graphreid.datasets.published import SETS, read_set


def test_every_set_says_what_it_is() -> None:
    files = {path.stem for path in Path(published.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in SETS} == {
        name.removesuffix("_table") for name in files
    }
    assert all(entry.about and "\n" not in entry.about for entry in SETS.values())


def test_options_go_to_the_importer_and_none_is_not_given(tmp_path: Path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "a/c1.jpg")
    plan = read_set("folder", tmp_path, camera_pattern=r"c(\d)", test_share=None, seed=None)
    assert plan.entries[0].camera == "1"


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("folder", ()),
        ("grocery", ("train", "val", "test")),
        ("omniglot", ("images_background", "images_evaluation")),
    ],
)
def test_a_source_without_images_is_named(tmp_path: Path, name: str, folders: tuple[str, ...]):
    for folder in folders:
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=f"{tmp_path.name}: no image in it that {name} reads"):
        read_set(name, tmp_path)


def test_unknown_sets_and_options_are_refused(tmp_path: Path):
    with pytest.raises(
        ValueError, match="no set 'market' can be imported: choose one of folder, csv"
    ):
        read_set("market", tmp_path)
    with pytest.raises(ValueError, match="omniglot has no option --camera-pattern"):
        read_set("omniglot", tmp_path, camera_pattern="x", seed=None)
