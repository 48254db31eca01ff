from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.datasets.images import Images, decode
from graphreid.datasets.loading import Pixels, median_aspect, size_of_aspect
from graphreid.resources import Resources


@pytest.fixture
def images(tmp_path: Path) -> Images:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{row}.png" for row in range(7)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (30, 20, 3), dtype=np.uint8)).save(path)
    return Images(paths, np.array([path.name for path in paths]))


LISTS = [np.array([3, 0]), np.array([6]), np.array([1, 1, 2])]


@pytest.mark.parametrize("hold", [True, False])
def test_batches_are_what_decode_gives(images: Images, hold: bool):
    pixels = Pixels(images, 12, 8, hold=hold, resources=Resources(threads=2))
    assert (pixels.held is not None) == hold
    batches = list(pixels.batches(LISTS))
    for rows, batch in zip(LISTS, batches, strict=True):
        assert batch.dtype == np.uint8
        for row, image in zip(rows.tolist(), batch, strict=True):
            assert (image == decode(images.paths[row], 12, 8)).all()
    assert list(pixels.batches([])) == []


def test_the_memory_decides_whether_pixels_are_held(images: Images):
    assert Pixels(images, 12, 8, resources=Resources(memory=2 * 7 * 12 * 8 * 3)).held is not None
    assert Pixels(images, 12, 8, resources=Resources(memory=2 * 7 * 12 * 8 * 3 - 2)).held is None


@pytest.mark.parametrize("hold", [True, False])
def test_an_unreadable_image_stops_by_name_or_is_left_out(images: Images, hold: bool):
    images.paths[4].write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"4\.png: not a readable image"):
        list(Pixels(images, 12, 8, hold=hold).batches([np.arange(7)]))
    pixels = Pixels(images, 12, 8, hold=hold, on_error="skip")
    assert pixels.kept.tolist() == [0, 1, 2, 3, 5, 6]
    assert len(pixels) == 6
    assert pixels.images.items.tolist() == [images.items[row] for row in pixels.kept]
    (batch,) = pixels.batches([np.array([4])])
    assert (batch[0] == decode(images.paths[5], 12, 8)).all()


def test_nothing_readable_is_an_error(images: Images):
    for path in images.paths:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of 7 images can be read"):
        Pixels(images, 12, 8, on_error="skip")
    with pytest.raises(ValueError, match=r"0\.png: not a readable image"):
        median_aspect(images)


def test_progress_is_told(images: Images):
    told: list[tuple[str, int, int]] = []
    Pixels(
        images,
        12,
        8,
        resources=Resources(progress=lambda what, done, total: told.append((what, done, total))),
    )
    assert told[-1] == ("reading images", 1, 1)


def test_median_aspect_reads_headers_and_orientation(tmp_path: Path, images: Images):
    assert median_aspect(images) == pytest.approx(20 / 30)
    assert median_aspect(images, sample=1) == pytest.approx(20 / 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert median_aspect(Images([tmp_path / "turned.jpg"], np.array(["a"]))) == pytest.approx(
        20 / 30
    )


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (1.0, (48, 48)),
        (0.5, (64, 32)),
        (2.0, (32, 64)),
        (0.75, (48, 48)),
        (1 / 3, (80, 32)),
        (100.0, (16, 480)),
    ],
)
def test_size_follows_from_the_aspect(aspect: float, size: tuple[int, int]):
    assert size_of_aspect(aspect) == size
