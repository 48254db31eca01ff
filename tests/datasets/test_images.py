import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.datasets.images import Images, Resample, decode, verify


def jpeg(width: int = 40, height: int = 60) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def test_decode_gives_rgb_of_the_size_asked(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.new("L", (20, 30), 7).save(path)
    assert decode(path).shape == (30, 20, 3)
    small = decode(path, 16, 8)
    assert small.shape == (16, 8, 3)
    assert small.dtype == np.uint8
    assert (small == 7).all()


def test_decode_turns_as_exif_says(tmp_path: Path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (20, 30)).save(path, exif=exif)
    assert decode(path).shape == (20, 30, 3)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "header"])
def test_broken_files_are_named_by_both(tmp_path: Path, damage: str):
    data = jpeg()
    broken = {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "text": b"hello",
        "header": b"\x89PNG\r\n\x1a\nxxxx",
    }
    path = tmp_path / "bad.jpg"
    path.write_bytes(broken[damage])
    with pytest.raises(ValueError, match=r"bad\.jpg: not a readable image"):
        decode(path)
    with pytest.raises(ValueError, match=r"bad\.jpg: not a readable image") as caught:
        verify(path, path.read_bytes())
    assert "BytesIO" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_verify_accepts_what_decodes(tmp_path: Path):
    verify(tmp_path / "a.jpg", jpeg())


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"gone\.jpg: no such image"):
        decode(tmp_path / "gone.jpg")


def test_images_take_rows_and_refuse_other_lengths():
    images = Images([Path("a"), Path("b")], np.array(["x", "y"]), np.array([1, 2]))
    taken = images.take(np.array([False, True]))
    assert list(taken.paths) == [Path("b")]
    assert taken.items.tolist() == ["y"]
    assert taken.camera is not None
    assert taken.camera.tolist() == [2]
    with pytest.raises(ValueError, match="2 image paths, 1 items"):
        Images([Path("a"), Path("b")], np.array(["x"]))


def test_the_interpolation_is_the_one_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (24, 12, 3), np.uint8))
    picture.save(tmp_path / "a.png")
    settings: list[tuple[Resample, Image.Resampling]] = [
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
    ]
    for name, method in settings:
        np.testing.assert_array_equal(
            decode(tmp_path / "a.png", 32, 16, name), np.asarray(picture.resize((16, 32), method))
        )


def test_contents_tell_files_apart_by_size_and_beginning(tmp_path: Path):
    def contents(*files: bytes) -> str:
        paths = [tmp_path / str(at) for at in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        return Images(paths, np.array([path.name for path in paths])).contents()

    begin = bytes(1 << 14)
    assert contents(b"a", b"b") == contents(b"a", b"b")
    assert (
        len(
            {
                contents(b"a", b"b"),
                contents(b"b", b"a"),
                contents(b"a", b"c"),
                contents(b"a"),
                contents(b"ab", b""),
            }
        )
        == 5
    )
    assert contents(begin) != contents(begin + b"x")
    gone = Images([tmp_path / "gone"], np.array(["gone"]))
    assert gone.contents() == contents(b"")
