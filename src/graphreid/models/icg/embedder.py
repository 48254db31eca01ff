"""ICG, parts without labels and a graph among them: from pixels to vectors of the whole, the
figure, its structure and parts.

"Instance-level consistent graph with unsupervised human parts for person re-identification". K
counts the background, as Eqs. 8, 15 and 18 do; Section 2.2's "K+1 channels" is a slip. What differs
from BoT is here and in models/icg/network.py.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, final

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import nearest_pixels
from graphreid.datasets.loading import Pixels
from graphreid.models.bot import PRESETS as BOT
from graphreid.models.bot import BoT, Epoch
from graphreid.models.extraction import to_tensor
from graphreid.models.icg.kmeans import first_centers, kmeans, top_to_bottom
from graphreid.models.icg.network import UNKNOWN, PartNetwork, Seen, activation, pixel_loss
from graphreid.models.losses import batch_hard_triplet, center_loss, identity_loss, update_centers
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.training import processes

PRESETS: dict[str, Mapping[str, Any]] = {
    # section 3.1 of the paper: the fields' defaults
    "paper": {},
    # BoT's small one with narrower maps
    "small": {
        **BOT["small"],
        "map_width": 128,
        "graph_widths": (256, 256),
        "structure_width": 512,
        "every": 2,
    },
}
"""Settings by name; a preset lists what differs from the paper's."""

LABELS = "labels"
"""A run's folder of pseudo-labels, a file for each clustering: <epochs gone by>.npz."""
EXTRACTED = 128
"""Images that go through the network at once when labels are made."""
_STEM = 4
"""Pixels of the image on a side of one of the map's."""

Facts = dict[str, int | float]
"""For the epoch's line of the log."""


@final
@dataclass(eq=False)
class ICG(BoT):
    """BoT with a foreground, parts found by clustering, and a graph among them; each of the three
    can be left out.

    A vector is blocks of unit length: whole | foreground | structure | part 1 | ... | part K-1,
    zeros where one is not seen.

    Attributes:
        parts: K, the clusters with the background, 3 to 7 in the paper.
        attention: AFM, a spatial attention on the feature map, and a loss on its foreground.
        clustering: PPC, parts by clustering.
        structure: FSG, the graph among the parts; it needs `clustering`.
        feature_map: "fpn", all stages of the ResNet at 1/4 of the image's size; or "first", the
            first one alone.
        map_width: its channels.
        threshold: an activation above it is foreground (after Eq. 3).
        every: epochs between two clusterings.
        begin: where K-means begins: "rows", with bands from top to bottom, or "plusplus", drawn.
        steps: of K-means, at most.
        least_pixels: a part is visible if it is the most probable one of so many pixels.
        graph_widths: of the graph's layers.
        structure_width: of what is read out of the graph.
        feature_weight: of L_feat. separation_weight: of L_sep. part_weight: of L_par (Eq. 22).

    All other attributes are BoT's.

    Raises:
        ValueError: a value outside its range, or a graph without parts.
    """

    parts: int = 6
    attention: bool = True
    clustering: bool = True
    structure: bool = True
    feature_map: Literal["fpn", "first"] = "fpn"
    map_width: int = 256
    threshold: int | float = 0.5
    every: int = 1
    begin: Literal["rows", "plusplus"] = "rows"
    steps: int = 20
    least_pixels: int = 1
    graph_widths: tuple[int, ...] = (512, 512)
    structure_width: int = 2048
    feature_weight: int | float = 0.2
    separation_weight: int | float = 0.1
    part_weight: int | float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts < 3:
            raise ValueError(
                f"parts is {self.parts}: it must be at least 3, the background and two parts"
            )
        for name in (
            "map_width",
            "every",
            "steps",
            "least_pixels",
            "structure_width",
            "graph_widths",
        ):
            value = getattr(self, name)
            if min(value if isinstance(value, tuple) else (value,), default=0) < 1:
                raise ValueError(f"{name} is {value}: it must be positive")
        for name in ("feature_weight", "separation_weight", "part_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must not be negative")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold}: it must be between 0 and 1")
        if self.structure and not self.clustering:
            raise ValueError(
                "structure is a graph among parts, and clustering is off: set structure=false"
            )
        if not (self.attention or self.clustering):
            raise ValueError(
                "attention and clustering are off, which leaves BoT: use the model bot"
            )

    @property
    def entries(self) -> int:
        """Entries of a vector, d; of a network that was fitted."""
        return sum(self.looker().block_widths)

    def looker(self) -> PartNetwork:
        """The network, which can say what it sees in an image.

        Raises:
            ValueError: not fitted.
        """
        return cast(PartNetwork, self.fitted()[0])

    def columns(self, vectors: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """What stands beside vectors in a features file: "visibility" uint8 [n, K-1], l_k (Eq. 14),
        1 where part k is seen.
        """
        if not self.clustering:
            return {}
        count, width = self.parts - 1, self.map_width
        blocks = vectors[:, -count * width :].reshape(len(vectors), count, width)
        return {"visibility": (blocks != 0).any(2).astype(np.uint8)}

    @property
    def blocks_before(self) -> int:
        """Blocks that every vector has: whole, foreground, and structure."""
        return 2 + self.structure

    def _network(self, classes: int) -> PartNetwork:
        return PartNetwork(
            self._backbone(),
            classes,
            parts=self.parts if self.clustering else 0,
            width=self.map_width,
            feature_map=self.feature_map,
            attention=self.attention,
            graph=(*self.graph_widths, self.structure_width) if self.structure else (),
            least_pixels=self.least_pixels,
            before_norm=not self.neck,
        )

    def _objective(self, network: Any, *, bf16: bool) -> nn.Module:
        return _Objective(self, network, bf16=bf16)

    def _epochs(
        self,
        pixels: Pixels,
        target: Int64[np.ndarray, " n"],
        objective: Any,
        resources: Resources,
        run: Path | None,
    ) -> Callable[[int], Epoch]:
        labels = _Labels(self, objective, pixels, target, resources, run)
        return lambda epoch: _LabelledEpoch(
            self, pixels, target, epoch, resources.device, *labels.at(epoch)
        )


class _Objective(nn.Module):
    """From a batch to the losses (Eqs. 16-22)."""

    def __init__(self, settings: ICG, network: PartNetwork, *, bf16: bool) -> None:
        super().__init__()
        self.settings, self.network, self.bf16 = settings, network, bf16
        for name, head in {"global": network.classifier, **network.classifiers}.items():
            self.register_buffer(f"centers_{name}", torch.randn_like(cast(nn.Linear, head).weight))

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Float[Tensor, ""]]:
        """The weighted parts of the loss; in training the centers move."""
        (pixels, target, labels), settings = batch, self.settings
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            seen = self.network.look(pixels)
        parts = {
            name: settings.feature_weight * self._group(name, seen, target)
            for name in seen.features
        }  # Eq. 21
        if seen.separation is not None:
            mask = (
                (activation(seen.f.detach()) > settings.threshold)
                .long()
                .masked_fill(labels == UNKNOWN, UNKNOWN)
            )
            parts["separation"] = settings.separation_weight * pixel_loss(
                seen.separation, mask
            )  # Eq. 17
        if seen.confidence is not None:
            parts["assignment"] = settings.part_weight * pixel_loss(
                seen.confidence, labels
            )  # Eq. 19
        return parts

    def _group(self, name: str, seen: Seen, target: Tensor) -> Float[Tensor, ""]:
        """L of Eq. 20: identity loss after the group's batch norm, triplet and center loss
        before.
        """
        settings, feature = self.settings, seen.features[name]
        logits = self.network.classified(name, self.network.normed(name, seen))
        loss = identity_loss(logits, target, settings.smoothing)
        loss = loss + settings.triplet_weight * batch_hard_triplet(feature, target, settings.margin)
        if settings.center_weight:
            centers = self.get_buffer(f"centers_{name}")
            loss = loss + settings.center_weight * center_loss(feature, target, centers)
            update_centers(feature, target, centers, settings.center_rate)
        return loss


class _LabelledEpoch(Epoch):
    """BoT's batches with the pixels' pseudo-labels, which are mirrored and moved with their
    image.
    """

    def __init__(
        self,
        settings: BoT,
        pixels: Pixels,
        target: Int64[np.ndarray, " n"],
        epoch: int,
        device: str,
        labels: UInt8[np.ndarray, "n h w"],
        facts: Facts,
    ) -> None:
        super().__init__(settings, pixels, target, epoch, device)
        self.labels, self.facts = labels, facts

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        height, width = self.pixels.height, self.pixels.width
        rows, columns = (
            torch.from_numpy(nearest_pixels(side, n)).to(self.device)
            for side, n in zip((height, width), self.labels.shape[1:], strict=True)
        )
        for step, ((pixels, target), images) in enumerate(
            zip(super().__iter__(), self.lists, strict=True)
        ):
            # 0 stands for UNKNOWN, which is what padding and erasing leave
            marks = torch.from_numpy(self.labels[images]).to(self.device).float()[:, None] - UNKNOWN
            marks = functional.interpolate(marks, (height, width))
            marks = self.augmented(marks, step, "zeros", None)[:, 0, rows][:, :, columns]
            yield pixels, target, marks.long() + UNKNOWN


class _Labels:
    """Pseudo-labels of the training images, made anew before every `every`-th epoch and kept in the
    run's folder.
    """

    def __init__(
        self,
        settings: ICG,
        objective: _Objective,
        pixels: Pixels,
        target: Int64[np.ndarray, " n"],
        resources: Resources,
        run: Path | None,
    ) -> None:
        self.settings, self.objective, self.pixels, self.target = (
            settings,
            objective,
            pixels,
            target,
        )
        self.resources, self.folder = resources, None if run is None else run / LABELS
        size = -(-pixels.height // _STEM), -(-pixels.width // _STEM)
        self.labels = np.zeros((len(pixels), *size), np.uint8)
        self.made = -1

    def at(self, epoch: int) -> tuple[UInt8[np.ndarray, "n h w"], Facts]:
        """Labels 0 .. K-1 for an epoch, and what making them took."""
        if not self.settings.clustering:
            return self.labels, {}
        due, start = epoch - epoch % self.settings.every, time.perf_counter()
        facts: Facts = {"unclustered": 0, "clustering": 0.0}
        if due != self.made:
            file = None if self.folder is None else self.folder / f"{due:04d}.npz"
            with processes.main_process_first():
                if file is not None and (due < epoch or not processes.is_main_process()):
                    self.labels = _read(
                        file, due
                    )  # made before an interruption, or by the first process
                else:
                    facts = self._make(epoch)
                    if file is not None:
                        self._write(file)
            self.made = due
        return self.labels, {**facts, "labelling": round(time.perf_counter() - start, 3)}

    def _make(self, epoch: int) -> Facts:
        settings, network = self.settings, self.objective.network
        device, spent, unclustered = self.resources.device, 0.0, 0
        identities = [
            np.flatnonzero(self.target == name) for name in range(int(self.target.max()) + 1)
        ]
        lists = [
            part for rows in identities for part in np.array_split(rows, -(-len(rows) // EXTRACTED))
        ]
        batches = self.pixels.batches(lists)
        network.eval()
        for name, rows in enumerate(
            self.resources.track("finding parts", identities, len(identities))
        ):
            points, row, masks = [], [], []
            for _ in range(-(-len(rows) // EXTRACTED)):
                pixels = to_tensor(next(batches), device)
                with (
                    torch.inference_mode(),
                    torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.objective.bf16),
                ):
                    f, _ = network.feature_map(pixels)
                masks.append(activation(f) > settings.threshold)
                points.append(functional.normalize(f.permute(0, 2, 3, 1)[masks[-1]]))  # Eq. 5
                row.append(masks[-1].nonzero()[:, 1])
            mask, began = torch.cat(masks).cpu().numpy(), time.perf_counter()
            self.labels[rows] = 0
            if mask.sum() < settings.parts - 1:
                unclustered += 1
                continue
            draw = generator(settings.seed, epoch, name, 4)
            found = _clustered(torch.cat(points), torch.cat(row), settings, draw)
            spent += time.perf_counter() - began
            place = np.zeros(mask.shape, np.uint8)
            place[mask] = found + 1
            self.labels[rows] = place
        network.train()
        return {"unclustered": unclustered, "clustering": round(spent, 3)}

    def _write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            np.savez_compressed(temporary, labels=self.labels, items=self.pixels.images.items)


def _read(file: Path, epoch: int) -> UInt8[np.ndarray, "n h w"]:
    try:
        with np.load(file) as held:
            return held["labels"]
    except FileNotFoundError:
        raise ValueError(
            f"{file}: the parts of epoch {epoch + 1} are gone: restore them, or train in a new "
            f"folder"
        ) from None


def _clustered(
    points: Float[Tensor, "n d"], row: Int64[Tensor, " n"], settings: ICG, draw: np.random.Generator
) -> Int64[np.ndarray, " n"]:
    """One identity's foreground pixels in K-1 clusters, the topmost 0."""
    k = settings.parts - 1
    begin = first_centers(points, k, kind=settings.begin, row=row, draw=draw)
    found = kmeans(points, begin, steps=settings.steps)
    return top_to_bottom(found.label, row, k).cpu().numpy()
