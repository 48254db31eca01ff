from pathlib import Path

import numpy as np
import pytest

from graphreid.synthetic.annotations import (
    ANNOTATIONS_FOLDER,
    SHARD,
    Annotations,
    part_overlap,
    read_annotations,
    write_shard,
)


def some(count: int, first: int = 0) -> Annotations:
    rng = np.random.default_rng(first)
    return Annotations(
        item=np.array([f"item{first + i}" for i in range(count)]),
        mask=rng.integers(0, 6, (count, 8, 4), np.uint8),
        azimuth=rng.uniform(0, 360, count).astype(np.float32),
        outfit=rng.integers(-1, 9, (count, 8)).astype(np.int16),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ANNOTATIONS_FOLDER).mkdir()
    for number in range(3):
        write_shard(some(5, 5 * number), tmp_path, number)
    return tmp_path


def test_all_in_order(root: Path) -> None:
    annotations = read_annotations(root)
    assert annotations.item.tolist() == [f"item{i}" for i in range(15)]
    np.testing.assert_array_equal(annotations.mask[5:10], some(5, 5).mask)
    np.testing.assert_array_equal(annotations.foreground, annotations.mask > 0)
    assert len(annotations) == 15


def test_by_item_in_the_order_asked_for(root: Path) -> None:
    annotations, whole = (
        read_annotations(root, ["item11", "item2", "item7", "item2"]),
        read_annotations(root),
    )
    assert annotations.item.tolist() == ["item11", "item2", "item7", "item2"]
    for name in ("mask", "azimuth", "outfit"):
        np.testing.assert_array_equal(
            getattr(annotations, name), getattr(whole, name)[[11, 2, 7, 2]]
        )


def test_bad_input_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item 'nobody' is not in it"):
        read_annotations(root, ["item1", "nobody"])
    with pytest.raises(ValueError, match="items is empty"):
        read_annotations(root, [])
    with pytest.raises(ValueError, match="no ground truth there"):
        read_annotations(tmp_path / "elsewhere")
    whole = (root / ANNOTATIONS_FOLDER / "00001.npz").read_bytes()
    for damaged in (b"not a zip", whole[: len(whole) // 2], whole[:200] + bytes(200) + whole[400:]):
        (root / ANNOTATIONS_FOLDER / "00001.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"00001\.npz: not a readable file"):
            read_annotations(root)


def test_shards_are_of_a_size() -> None:
    assert SHARD > 0


def test_overlap_is_intersection_over_union_at_the_masks_size() -> None:
    rng = np.random.default_rng(0)
    mask, labels = (
        rng.integers(0, 6, (5, 8, 4)).astype(np.uint8),
        rng.integers(0, 6, (5, 4, 2)).astype(np.uint8),
    )
    large = np.repeat(np.repeat(labels, 2, axis=1), 2, axis=2)
    got = part_overlap(labels, mask)
    assert got[0] == pytest.approx(
        ((large > 0) & (mask > 0)).sum() / ((large > 0) | (mask > 0)).sum()
    )
    for k in range(1, 6):
        assert got[k] == pytest.approx(
            ((large == k) & (mask == k)).sum() / ((large == k) | (mask == k)).sum()
        )
    assert (part_overlap(mask, mask) == 1).all()
    assert np.isnan(part_overlap(np.minimum(labels, 4), np.minimum(mask, 4))[5])
    assert part_overlap(labels, mask, parts=7).shape == (7,)
    assert part_overlap(np.minimum(labels, 2), mask, parts=3).shape == (3,)
    with pytest.raises(ValueError, match="no label is above 3"):
        part_overlap(labels, mask, parts=4)
