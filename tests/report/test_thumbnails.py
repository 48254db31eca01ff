import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.report.thumbnails import HEIGHTS, make_thumbnails


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve noisy pictures, 64 wide and 160 high."""
    for number in range(12):
        noise = np.random.default_rng(number).integers(0, 255, (160, 64, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    return tmp_path


def stored(rules: str) -> dict[str, Image.Image]:
    found = re.findall(r"\.(\w+)\{background-image:url\(data:image/webp;base64,([^)]+)\)\}", rules)
    return {name: Image.open(BytesIO(base64.b64decode(data))) for name, data in found}


def test_each_picture_is_stored_once(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    made = make_thumbnails(["0", "1", "0", "1", "copy"], lambda item: folder / f"{item}.png")
    images = stored(made.rules)
    assert made.classes == {"0": "i0", "1": "i1", "copy": "i0"}
    assert list(images) == ["i0", "i1"]
    assert all(image.height == HEIGHTS[0] for image in images.values())
    assert made.ratio == pytest.approx(0.4, abs=0.01)
    assert (made.missing, made.unreadable) == ((), ())


def test_pictures_shrink_to_fit_the_budget(folder: Path) -> None:
    items = [str(number) for number in range(12)]
    large = make_thumbnails(items, lambda item: folder / f"{item}.png")
    small = make_thumbnails(
        items, lambda item: folder / f"{item}.png", budget=len(large.rules) // 2
    )
    assert small.height < large.height
    assert len(small.rules) < len(large.rules) // 2 + 100 * len(items)
    assert {image.height for image in stored(small.rules).values()} == {small.height}


def test_small_pictures_are_not_blown_up(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    made = make_thumbnails(["a"], lambda item: tmp_path / f"{item}.png")
    assert stored(made.rules)["i0"].size == (20, 10)
    assert made.ratio == 1.8


def test_what_is_missing_or_broken_is_listed_and_the_rest_is_shown(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"no image")
    files = {"0": folder / "0.png", "bad": folder / "bad.png", "gone": folder / "gone.png"}
    made = make_thumbnails(["0", "bad", "gone", "unknown"], files.get)
    assert list(made.classes) == ["0"]
    assert made.missing == ("gone", "unknown")
    assert len(made.unreadable) == 1
    assert "bad.png: not a readable image" in made.unreadable[0]


def test_without_files_there_are_no_pictures() -> None:
    assert make_thumbnails(["a"], None).classes == {}
    assert make_thumbnails(["a"], lambda item: None).missing == ("a",)
