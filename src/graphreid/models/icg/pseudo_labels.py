"""Pseudo-labels of pixels, from which ICG learns its parts (Section 2.2).

Before an epoch the L2-normalised foreground pixels of all images of an identity are clustered by
K-means into K - 1 clusters, numbered from top to bottom, so that part k means the same in every
identity. The labels come from a pass without augmentation, and follow their image's mirroring and
crop.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import nearest_pixels
from graphreid.models.extraction import to_tensor
from graphreid.models.icg.clustering import first_centers, kmeans, top_to_bottom
from graphreid.models.icg.losses import UNKNOWN, ICGObjective
from graphreid.models.icg.model import activation
from graphreid.models.icg.options import Parts
from graphreid.models.pixel_training import PixelBatches, TrainingImages
from graphreid.seeding import generator
from graphreid.training import processes

LABELS = "labels"
"""A run's folder of pseudo-labels, a file for each clustering: <epochs gone by>.npz."""
EXTRACTED = 128
"""Images that go through the network at once when labels are made."""
STRIDE = 4
"""Pixels of the image on a side of one of the map's."""
Numbers = dict[str, int | float]
"""For the epoch's line of the log."""


class LabelledBatches:
    """Batches with their pixels' labels, which are mirrored and moved with their image.

    Args:
        batches: pixels and classes.
        labels: of the pixels of all images, at 1/STRIDE of their size.
        statistics: of the labels, for the epoch's record.
    """

    def __init__(
        self, batches: PixelBatches, labels: UInt8[np.ndarray, "n h w"], statistics: Numbers
    ) -> None:
        self.batches = batches
        self.labels = labels
        self.statistics = statistics

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        batches = self.batches
        size = batches.pixels.height, batches.pixels.width
        rows, columns = (
            torch.from_numpy(nearest_pixels(side, n)).to(batches.device)
            for side, n in zip(size, self.labels.shape[1:], strict=True)
        )
        for step, ((pixels, target), images) in enumerate(zip(batches, batches.lists, strict=True)):
            # 0 stands for UNKNOWN, which is what padding and erasing leave
            labels = torch.from_numpy(self.labels[images]).to(batches.device)
            marks = labels.float()[:, None] - UNKNOWN  # [b, 1, h, w]
            marks = functional.interpolate(marks, size)
            marks = batches.augmented(marks, step, "zeros", None)[:, 0, rows][:, :, columns]
            yield pixels, target, marks.long() + UNKNOWN


class PartLabels:
    """Pseudo-labels of the training images, made anew before every `every`-th epoch and kept in the
    run's folder.

    Args:
        options: of the parts.
        seed: of K-means, where it draws.
        objective: holds the network in training.
        images: that are trained on.
    """

    def __init__(
        self, options: Parts, seed: int, objective: ICGObjective, images: TrainingImages
    ) -> None:
        self.options = options
        self.seed = seed
        self.objective = objective
        self.pixels = images.pixels
        self.target = images.target
        self.resources = images.resources
        self.folder = None if images.run is None else images.run / LABELS
        size = -(-self.pixels.height // STRIDE), -(-self.pixels.width // STRIDE)
        self.labels = np.zeros((len(self.pixels), *size), np.uint8)
        self.made = -1  # the epoch before which they were made

    def at(self, epoch: int) -> tuple[UInt8[np.ndarray, "n h w"], Numbers]:
        """Labels 0 .. K-1 for an epoch, and what making them took."""
        if not self.options.clustering:
            return self.labels, {}
        due = epoch - epoch % self.options.every
        start = time.perf_counter()
        statistics: Numbers = {"unclustered": 0, "clustering": 0.0}
        if due != self.made:
            file = None if self.folder is None else self.folder / f"{due:04d}.npz"
            with processes.main_process_first():
                if file is not None and (due < epoch or not processes.is_main_process()):
                    # made before an interruption, or by the first process
                    self.labels = _read(file, due)
                else:
                    statistics = self._make(epoch)
                    if file is not None:
                        self._write(file)
            self.made = due
        return self.labels, {**statistics, "labelling": round(time.perf_counter() - start, 3)}

    def _make(self, epoch: int) -> Numbers:
        """Cluster the foreground of one identity after the other; its pixels alone are held."""
        network = self.objective.network
        spent = 0.0
        unclustered = 0
        names = range(int(self.target.max()) + 1)
        identities = [np.flatnonzero(self.target == name) for name in names]
        batches_of = [np.array_split(rows, -(-len(rows) // EXTRACTED)) for rows in identities]
        batches = self.pixels.batches([part for parts in batches_of for part in parts])
        network.eval()
        for name, rows in enumerate(
            self.resources.track("finding parts", identities, len(identities))
        ):
            some = (next(batches) for _ in batches_of[name])
            points, row, mask = self._foreground(some)
            began = time.perf_counter()
            self.labels[rows] = 0
            if len(points) < self.options.parts - 1:
                unclustered += 1
                continue
            draw = generator(self.seed, epoch, name, 4)
            part = _cluster(points, row, self.options, draw)
            spent += time.perf_counter() - began
            labels = np.zeros(mask.shape, np.uint8)
            labels[mask] = part + 1
            self.labels[rows] = labels
        network.train()
        return {"unclustered": unclustered, "clustering": round(spent, 3)}

    def _foreground(
        self, batches: Iterator[UInt8[np.ndarray, "b H W 3"]]
    ) -> tuple[Float[Tensor, "p c"], Int64[Tensor, " p"], Bool[np.ndarray, "n h w"]]:
        """The foreground pixels of some images, of unit length (Eq. 5), each one's row in its
        image, and where they are.
        """
        points: list[Tensor] = []
        row: list[Tensor] = []
        masks: list[Tensor] = []
        for raw in batches:
            pixels = to_tensor(raw, self.resources.device)
            half = self.objective.bf16
            with (
                torch.inference_mode(),
                torch.autocast(pixels.device.type, torch.bfloat16, enabled=half),
            ):
                f, _ = self.objective.network.feature_map(pixels)
            mask = activation(f) > self.options.threshold  # [b, h, w]
            masks.append(mask)
            points.append(functional.normalize(f.permute(0, 2, 3, 1)[mask]))
            row.append(mask.nonzero()[:, 1])
        return torch.cat(points), torch.cat(row), torch.cat(masks).cpu().numpy()

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            np.savez_compressed(temporary, labels=self.labels, items=self.pixels.images.items)


def _read(file: Path, epoch: int) -> NDArray[np.uint8]:
    try:
        with np.load(file) as held:
            return held["labels"]
    except FileNotFoundError:
        raise ValueError(
            f"{file}: the parts of epoch {epoch + 1} are gone: restore them, or train in a new "
            f"folder"
        ) from None


def _cluster(
    points: Float[Tensor, "p c"],
    row: Int64[Tensor, " p"],
    options: Parts,
    draw: np.random.Generator,
) -> Int64[np.ndarray, " p"]:
    """One identity's foreground pixels in K-1 clusters, the topmost 0."""
    k = options.parts - 1
    begin = first_centers(points, k, kind=options.begin, row=row, draw=draw)
    found = kmeans(points, begin, steps=options.steps)
    return top_to_bottom(found.label, row, k).cpu().numpy()
