"""Pictures of ICG's parts: foregrounds, parts over images, adjacencies of parts, and the
pseudo-labels over the epochs.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from numpy.typing import NDArray

from graphreid.atomic_files import whole_file
from graphreid.datasets.images import Images, decode, nearest_pixels
from graphreid.datasets.manifest import Manifest
from graphreid.models.extraction import to_tensor
from graphreid.models.icg.embedder import ICG
from graphreid.models.icg.model import activation
from graphreid.models.icg.pseudo_labels import LABELS
from graphreid.synthetic.annotations import part_overlap
from graphreid.types import positions

COLOURS = np.array(
    [
        (40, 40, 44),
        (240, 180, 120),
        (60, 120, 220),
        (230, 60, 60),
        (90, 190, 90),
        (240, 220, 60),
        (170, 90, 200),
        (90, 210, 210),
    ],
    np.uint8,
)
"""Colours of the background and of parts 1, 2, ..."""
OVERLAY = 0.6
"""Opacity of a part's colour over the image."""
SHOWN_EPOCHS = 8
"""Epochs that a figure of the development shows."""
OVERLAP_NAMES = ("foreground", "head", "upper body", "carried object", "lower body", "shoes")
"""What `part_overlap` is of, with six labels."""


@dataclass(frozen=True, eq=False)
class PartViews:
    """A network's maps of n images.

    Attributes:
        pixels: uint8 [n, H, W, 3], the images, RGB.
        before: float32 [n, h, w] in [0, 1], activation (Eq. 3) of the map before the attention.
        after: float32 [n, h, w] in [0, 1], activation of the map after the attention.
        confidence: float32 [n, K, h, w], P_0 .. P_{K-1}; None for a network without parts.
        matrix: float32 [n, p, p], the adjacency M of the parts; None for a network without a graph.
    """

    pixels: UInt8[np.ndarray, "n H W 3"]
    before: Float32[np.ndarray, "n h w"]
    after: Float32[np.ndarray, "n h w"]
    confidence: Float32[np.ndarray, "n k h w"] | None
    matrix: Float32[np.ndarray, "n p p"] | None

    @property
    def foreground(self) -> Float32[np.ndarray, "n h w"] | None:
        """P_f, in [0, 1]; None without parts."""
        return None if self.confidence is None else self.confidence[:, 1:].sum(1)

    @property
    def labels(self) -> UInt8[np.ndarray, "n h w"]:
        """The most probable part of each pixel."""
        if self.confidence is None:
            return np.zeros(self.before.shape, np.uint8)
        return self.confidence.argmax(1).astype(np.uint8)


def view_parts(embedder: ICG, images: Images) -> PartViews:
    """The maps of an embedder for a few images.

    Raises:
        ValueError: not fitted, or an image that can't be read.
    """
    network, (height, width) = embedder.fitted()
    network = network.cpu().eval()
    pixels = np.stack([decode(path, height, width) for path in images.paths])
    tensor = to_tensor(pixels)
    with torch.inference_mode():
        seen = network.part_features(tensor)
        raw, _ = network.map(network.backbone, (tensor - network.mean) / network.std)
    confidence = None if seen.confidence is None else seen.confidence.softmax(1).numpy()
    return PartViews(
        pixels=pixels,
        before=activation(raw).numpy(),
        after=activation(seen.f).numpy(),
        confidence=confidence,
        matrix=None if seen.matrix is None else seen.matrix.numpy(),
    )


def pick_rows(identity: NDArray[Any], count: int, each: int = 1) -> Int64[np.ndarray, " n"]:
    """Rows of some images, spread evenly.

    Args:
        identity: [n] of all images.
        count: identities to pick, evenly among all.
        each: images to pick of each, evenly among its own.
    """
    names = np.unique(identity)
    chosen = names[np.unique(np.linspace(0, len(names) - 1, count).astype(int))]
    rows = [np.flatnonzero(identity == name) for name in chosen]
    return np.concatenate(
        [some[np.unique(np.linspace(0, len(some) - 1, each).astype(int))] for some in rows]
    )


def paint_parts(
    pixels: UInt8[np.ndarray, "H W 3"], labels: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """An image with its parts in colours and a dark background."""
    rows, columns = (
        nearest_pixels(n, side) for n, side in zip(labels.shape, pixels.shape[:2], strict=True)
    )
    colour = COLOURS[labels[rows][:, columns] % len(COLOURS)]
    return (pixels * (1 - OVERLAY) + colour * OVERLAY).astype(np.uint8)


def draw_foregrounds(views: PartViews) -> Any:
    """A figure with a column an image: the image, the map's activation (Eq. 3) before and after the
    attention, and P_f (Fig. 7).
    """
    lines = [("image", views.pixels), ("before", views.before), ("after", views.after)]
    lines += [] if views.foreground is None else [("P_f", views.foreground)]
    return picture_grid([(name, list(line)) for name, line in lines])


def draw_parts(views: PartViews, labels: UInt8[np.ndarray, "n h w"] | None = None) -> Any:
    """A figure with a column an image: the image, its pseudo-labels where given, its parts, and the
    confidence of each part (Figs. 11 and 13).
    """
    lines: list[tuple[str, list[Any]]] = [("image", list(views.pixels))]
    if labels is not None:
        lines.append(
            ("clusters", [paint_parts(*pair) for pair in zip(views.pixels, labels, strict=True)])
        )
    lines.append(
        ("parts", [paint_parts(*pair) for pair in zip(views.pixels, views.labels, strict=True)])
    )
    if views.confidence is not None:
        lines += [
            (f"P_{k}", list(views.confidence[:, k])) for k in range(1, views.confidence.shape[1])
        ]
    return picture_grid(lines)


def draw_matrices(views: PartViews) -> Any:
    """A figure with a column an image: the image, and the adjacency M of its parts, white in rows
    and columns of parts that are not visible (Fig. 8).

    Raises:
        ValueError: a network without a graph.
    """
    if views.matrix is None:
        raise ValueError("the network has no graph among parts: train with structure=true")
    return picture_grid([("image", list(views.pixels)), ("M", list(views.matrix))], colours="Blues")


def load_pseudo_labels(run: Path) -> dict[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]]:
    """The pseudo-labels of a training run, by epoch: (labels, items).

    Raises:
        ValueError: the run has none.
    """
    files = sorted((run / LABELS).glob("*.npz"))
    if not files:
        raise ValueError(
            f"{run / LABELS}: no pseudo-labels there: only 'graphreid train --model icg' writes "
            f"them"
        )
    found: dict[int, tuple[NDArray[np.uint8], NDArray[Any]]] = {}
    for file in files:
        with np.load(file) as held:
            found[int(file.stem)] = held["labels"], held["items"]
    return found


def pick_labels(
    found: Mapping[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]],
    manifest: Manifest,
    count: int,
    each: int = 1,
) -> tuple[Int64[np.ndarray, " m"], dict[int, UInt8[np.ndarray, "m h w"]]]:
    """Some images (`pick_rows`) that have pseudo-labels.

    Args:
        found: of `load_pseudo_labels`.
        manifest: of the data folder.
        count: identities.
        each: images of each.

    Returns:
        int64 [m], rows of the manifest, and the images' pseudo-labels by epoch.
    """
    items = found[max(found)][1]
    rows = manifest.rows("train")
    rows = rows[np.isin(manifest.item[rows], items)]
    rows = rows[pick_rows(manifest.identity[rows], count, each)]
    place = positions(items, manifest.item[rows])
    return rows, {epoch: labels[place] for epoch, (labels, _) in found.items()}


def draw_development(
    pixels: UInt8[np.ndarray, "n H W 3"], labels: Mapping[int, UInt8[np.ndarray, "n h w"]]
) -> Any:
    """A figure with a column an image: the image, and its pseudo-labels at some epochs (Figs. 12
    and 14).
    """
    epochs = sorted(labels)
    shown = [
        epochs[place]
        for place in np.unique(np.linspace(0, len(epochs) - 1, SHOWN_EPOCHS).astype(int))
    ]
    lines: list[tuple[str, list[Any]]] = [("image", list(pixels))]
    lines += [
        (f"{epoch}", [paint_parts(*pair) for pair in zip(pixels, labels[epoch], strict=True)])
        for epoch in shown
    ]
    return picture_grid(lines)


def draw_overlap(
    found: Mapping[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]],
    mask: UInt8[np.ndarray, "n H W"],
) -> Any:
    """A figure with curves over the epochs: overlap of the pseudo-labels' foreground and parts with
    the ground truth (`part_overlap`).
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy, and an extra

    epochs = sorted(found)
    values = np.array([part_overlap(found[epoch][0], mask) for epoch in epochs])
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes: Any = figure.add_subplot()
    for k, name in enumerate(OVERLAP_NAMES):
        axes.plot(
            epochs,
            values[:, k],
            color="#202024" if k == 0 else tuple(COLOURS[k] / 255),
            label=name,
            linewidth=1.8,
        )
    axes.set(xlabel="epochs", ylabel="intersection over union", ylim=(0, 1))
    axes.legend(fontsize=7, ncols=2)
    return figure


def write_page(path: Path, title: str, drawn: Sequence[tuple[str, str, Any]]) -> None:
    """Write figures, each (heading, caption, figure), as one HTML file that loads nothing else.

    Raises:
        ValueError: the file can't be written.
    """
    parts = [
        f"<!doctype html><html lang='en'><head><meta "
        f"charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    ]
    parts.append(f"</head><body><h1>{escape(title)}</h1>")
    for heading, text, figure in drawn:
        stream = BytesIO()
        figure.savefig(stream, format="png", dpi=110)
        data = base64.b64encode(stream.getvalue()).decode("ascii")
        parts.append(f"<h2>{escape(heading)}</h2><p>{escape(text)}</p>")
        parts.append(f"<img alt='{escape(heading)}' src='data:image/png;base64,{data}'>")
    with whole_file(path) as temporary:
        temporary.write_text("\n".join([*parts, "</body></html>\n"]), encoding="utf-8")


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 "
    "1rem}img{max-width:100%}"
)


def picture_grid(lines: Sequence[tuple[str, list[Any]]], colours: str = "magma") -> Any:
    """A figure of pictures: a line for each kind, named at its left, and a column for each image.

    Args:
        lines: (name, pictures); a picture is RGB, or numbers in [0, 1].
        colours: matplotlib's colour map of numbers.
    """
    import matplotlib as mpl  # noqa: PLC0415  # heavy, and an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    height, width = lines[0][1][0].shape[:2]
    figure = Figure(
        figsize=(0.75 * len(lines[0][1]) + 0.8, 0.75 * height / width * len(lines)),
        layout="constrained",
    )
    for line, (name, pictures) in enumerate(lines):
        tiles = [
            each
            if each.ndim == 3
            else (mpl.colormaps[colours](each)[..., :3] * 255).astype(np.uint8)
            for each in pictures
        ]
        axes: Any = figure.add_subplot(len(lines), 1, line + 1)
        axes.imshow(
            np.concatenate([_framed(tile, height, width) for tile in tiles], 1),
            interpolation="nearest",
        )
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, fontsize=8)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _framed(
    tile: UInt8[np.ndarray, "h w 3"], height: int, width: int
) -> UInt8[np.ndarray, "H W 3"]:
    """A tile scaled to fit a white box with a margin, in its middle."""
    scale = min(height / tile.shape[0], width / tile.shape[1])
    tall, wide = max(int(tile.shape[0] * scale), 1), max(int(tile.shape[1] * scale), 1)
    rows, columns = nearest_pixels(tile.shape[0], tall), nearest_pixels(tile.shape[1], wide)
    box = np.full((height + 2, width + 2, 3), 255, np.uint8)
    top, left = (height - tall) // 2 + 1, (width - wide) // 2 + 1
    box[top : top + tall, left : left + wide] = tile[rows][:, columns]
    return box
