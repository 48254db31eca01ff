"""Ground truth of the synthetic set: part masks, azimuth and outfit of each image."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int16, UInt8
from numpy.typing import NDArray

from graphreid.datasets.images import nearest_pixels
from graphreid.types import Text, positions

ANNOTATIONS_FOLDER = "truth"
SHARD = 512
"""Number of images in each file of annotations."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Ground truth of `n` images.

    Attributes:
        item: text [n], the items of the manifest.
        mask: uint8 [n, height, width], the part that each pixel shows (`bodies.PARTS`): 0
            background or occluder, 1 head, 2 upper body and arms, 3 carried object, 4 lower body,
            5 shoes.
        azimuth: float32 [n], degrees in [0, 360): 0 seen from the front, 90 from its left, 180 from
            the back.
        outfit: int16 [n, 8], the index of the design worn for each of `textures.CHOICES`; -1 where
            nothing is carried.
    """

    item: Text
    mask: UInt8[np.ndarray, "n h w"]
    azimuth: Float32[np.ndarray, " n"]
    outfit: Int16[np.ndarray, "n choices"]

    def __len__(self) -> int:
        return len(self.item)

    @property
    def foreground(self) -> Bool[np.ndarray, "n h w"]:
        """Bool [n, height, width]: pixels that show the figure."""
        return self.mask > 0

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Annotations":
        """The images of `rows` (indices, a mask or a slice), in that order."""
        return Annotations(self.item[rows], self.mask[rows], self.azimuth[rows], self.outfit[rows])


def read_annotations(root: str | Path, items: Sequence[str] | Text | None = None) -> Annotations:
    """Read the ground truth of a rendered data folder.

    Args:
        root: the data folder.
        items: the images wanted, in this order; None for all, in manifest order.

    Raises:
        ValueError: the folder has no ground truth, a file of it is damaged, or an item is not in
            it.
    """
    folder = Path(root) / ANNOTATIONS_FOLDER
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ValueError(f"{folder}: no ground truth there: only 'graphreid data render' writes it")
    wanted = None if items is None else np.asarray(items).astype(str)
    if wanted is not None and not len(wanted):
        raise ValueError("items is empty: name at least one image")
    shards: list[Annotations] = []
    for file in files:
        try:
            with np.load(file) as held:
                item = held["item"]
                rows = (
                    np.arange(len(item))
                    if wanted is None
                    else np.flatnonzero(np.isin(item, wanted))
                )
                shards.append(
                    Annotations(
                        item[rows], *(held[name][rows] for name in ("mask", "azimuth", "outfit"))
                    )
                )
        except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise ValueError(
                f"{file}: not a readable file of ground truth ({error}): render the set again"
            ) from None
    whole = Annotations(
        *(
            np.concatenate([getattr(shard, each.name) for shard in shards])
            for each in fields(Annotations)
        )
    )
    if wanted is None:
        return whole
    rows = positions(whole.item, wanted)
    if (rows < 0).any():
        raise ValueError(
            f"{folder}: item {str(wanted[rows.argmin()])!r} is not in it: was "
            f"the set rendered again?"
        )
    return whole.take(rows)


def part_overlap(
    labels: UInt8[np.ndarray, "n h w"], mask: UInt8[np.ndarray, "n H W"], parts: int = 6
) -> Float64[np.ndarray, " parts"]:
    """Intersection over union of predicted part labels and ground truth, over all images together.

    Args:
        labels: predicted labels in [0, parts), at any resolution; they are resized to the mask's by
            nearest neighbour.
        mask: `Annotations.mask`.
        parts: the number of labels, background included.

    Returns:
        Entry 0: of the foreground (all labels above 0). Entry k: of part k, NaN where neither has
        that part.

    Raises:
        ValueError: a label of `parts` or more.
    """
    if labels.max(initial=0) >= parts:
        raise ValueError(
            f"labels go up to {labels.max()}, and with {parts} of them no label is above "
            f"{parts - 1}"
        )
    rows, columns = (
        nearest_pixels(n, side) for n, side in zip(labels.shape[1:], mask.shape[1:], strict=True)
    )
    both = np.zeros((parts, int(mask.max(initial=0)) + 1), np.int64)
    for start in range(0, len(mask), SHARD):
        part = slice(start, start + SHARD)
        found = labels[part][:, rows][:, :, columns]
        pair = found.astype(np.int64) * both.shape[1] + mask[part]
        both += np.bincount(pair.reshape(-1), minlength=both.size).reshape(both.shape)
    ours = both.sum(1)
    theirs = np.zeros(parts, np.int64)
    theirs[: both.shape[1]] = both.sum(0)[:parts]
    same = np.array([both[k, k] if k < both.shape[1] else 0 for k in range(parts)])
    union = ours + theirs - same
    ratio = np.divide(same, union, out=np.full(parts, np.nan), where=union > 0)
    ratio[0] = both[1:, 1:].sum() / max(both.sum() - both[0, 0], 1)
    return ratio


def write_shard(annotations: Annotations, root: Path, number: int) -> None:
    """Write file `number` of the ground truth into a data folder."""
    np.savez_compressed(
        root / ANNOTATIONS_FOLDER / f"{number:05d}.npz",
        item=annotations.item,
        mask=annotations.mask,
        azimuth=annotations.azimuth,
        outfit=annotations.outfit,
    )
