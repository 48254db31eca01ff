from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphreid.datasets.images import decode
from graphreid.datasets.importing import import_images
from graphreid.datasets.published.omniglot import read

ALPHABETS = {"Greek": 2, "Latin": 1, "Angelic": 2}  # characters; Angelic is for evaluation


def drawings() -> dict[str, Any]:
    """A small set in the packed layout."""
    rng = np.random.default_rng(0)
    rows = [
        (alphabet, character, drawer)
        for alphabet, characters in ALPHABETS.items()
        for character in range(1, characters + 1)
        for drawer in range(1, 21)
    ]
    ids = {
        key: number
        for number, key in enumerate(dict.fromkeys((alphabet, char) for alphabet, char, _ in rows))
    }
    ink = rng.random((len(rows), 105 * 105)) < 0.1
    return {
        "images": np.packbits(ink, axis=1),
        "id": np.array([ids[alphabet, character] for alphabet, character, _ in rows]),
        "drawer": np.array([drawer for _, _, drawer in rows]),
        "alphabet": np.array([alphabet for alphabet, _, _ in rows]),
        "split": np.array(
            ["test" if alphabet == "Angelic" else "train" for alphabet, _, _ in rows]
        ),
    }


def packed(folder: Path, **change: Any) -> Path:
    np.savez(folder / "omniglot.npz", **{**drawings(), **change})
    return folder


def public(folder: Path) -> Path:
    arrays = drawings()
    for row in range(len(arrays["id"])):
        alphabet, drawer = arrays["alphabet"][row], arrays["drawer"][row]
        character = 1 + arrays["id"][row] - arrays["id"][arrays["alphabet"] == alphabet].min()
        part = "images_evaluation" if alphabet == "Angelic" else "images_background"
        parent = folder / part / alphabet / f"character{character:02d}"
        parent.mkdir(parents=True, exist_ok=True)
        ink = np.unpackbits(arrays["images"][row])[: 105 * 105].reshape(105, 105)
        Image.fromarray((1 - ink) * np.uint8(255)).convert("1").save(
            parent / f"{row:04d}_{drawer:02d}.png"
        )
    return folder


def test_both_layouts_are_one_set(tmp_path: Path):
    for name in ("packed", "public"):
        (tmp_path / name).mkdir()
    first = import_images(read(packed(tmp_path / "packed")), tmp_path / "1").manifest
    second = import_images(read(public(tmp_path / "public")), tmp_path / "2").manifest
    assert len(first) == 100
    for name in ("item", "path", "identity", "camera", "split"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    for row in range(0, 100, 7):
        one, two = (manifest.images(np.array([row])).paths[0] for manifest in (first, second))
        assert (decode(one) == decode(two)).all()


def test_splits_cameras_and_pixels(tmp_path: Path):
    manifest = import_images(read(packed(tmp_path) / "omniglot.npz"), tmp_path / "out").manifest
    counts = {
        split: int((manifest.split == split).sum()) for split in ("train", "query", "gallery")
    }
    assert counts == {"train": 60, "query": 8, "gallery": 32}
    assert manifest.camera is not None
    assert set(manifest.camera[manifest.split == "query"].tolist()) == {"1", "2", "3", "4"}
    assert set(manifest.identity[manifest.split != "train"].tolist()) == {
        "Angelic/character01",
        "Angelic/character02",
    }
    assert manifest.item[0] == "Angelic/character01/01"
    arrays = drawings()
    row = int(np.flatnonzero(arrays["alphabet"] == "Angelic")[0])
    image = decode(manifest.images(np.array([0])).paths[0])
    ink = np.unpackbits(arrays["images"][row])[: 105 * 105].reshape(105, 105)
    assert image.shape == (105, 105, 3)
    assert (image == np.where(ink, 0, 255)[:, :, None]).all()


def test_sources_that_are_not_omniglot(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither omniglot\.npz nor the folders"):
        read(tmp_path)
    packed(tmp_path, drawer=np.ones(3))
    with pytest.raises(
        ValueError, match="needs arrays images, id, drawer, alphabet, split of one length"
    ):
        read(tmp_path)
    packed(tmp_path, images=np.zeros((100, 5), np.uint8))
    with pytest.raises(ValueError, match="images must be packed bits"):
        read(tmp_path)
    file = tmp_path / "omniglot.npz"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"omniglot\.npz: a damaged or truncated"):
        read(tmp_path)


def test_other_names_in_the_public_folders_are_problems(tmp_path: Path):
    public(tmp_path)
    (tmp_path / "images_background/Greek/extra").mkdir()
    greek = tmp_path / "images_background/Greek/character01"
    (greek / "0000_01.png").rename(greek / "copy.png")
    problems = read(tmp_path).problems
    assert "copy.png: its name is not NNNN_DD" in problems[0]
    assert "extra: not a folder characterNN" in problems[1]


def test_the_real_set(shared: Path):
    plan = read(shared / "data/omniglot")
    counts = {
        split: sum(entry.split == split for entry in plan.entries)
        for split in ("train", "query", "gallery")
    }
    assert counts == {"train": 19280, "query": 2636, "gallery": 10544}
    assert len({entry.identity for entry in plan.entries}) == 1623
    assert [entry.path for entry in plan.entries] == sorted(entry.path for entry in plan.entries)
