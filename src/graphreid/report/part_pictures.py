"""Pictures of what ICG sees: foregrounds, parts over images, graphs among parts, and how parts came
about over the epochs.
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
"""Of the background and parts 1, 2, ..."""
STRENGTH = 0.6
"""Of a part's colour over the image."""
DEVELOPMENT = 8
"""Epochs that are shown."""
NAMES = ("foreground", "head", "upper body", "carried object", "lower body", "shoes")
"""What `part_overlap` is of, with six labels."""


@dataclass(frozen=True, eq=False)
class Views:
    """What a network sees in `n` images.

    Attributes:
        pixels: the images, RGB.
        before: Eq. 3 of the map before the attention, in [0, 1]. after: after it.
        confidence: P_0 .. P_{K-1}; None without parts.
        matrix: M; None without a graph.
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


def look(embedder: ICG, images: Images) -> Views:
    """What the embedder sees in a few images.

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
    return Views(
        pixels=pixels,
        before=activation(raw).numpy(),
        after=activation(seen.f).numpy(),
        confidence=confidence,
        matrix=None if seen.matrix is None else seen.matrix.numpy(),
    )


def few(identity: NDArray[Any], count: int, each: int = 1) -> Int64[np.ndarray, " n"]:
    """Rows of `each` images, evenly among its own, of `count` identities that stand evenly among
    all.
    """
    names = np.unique(identity)
    chosen = names[np.unique(np.linspace(0, len(names) - 1, count).astype(int))]
    rows = [np.flatnonzero(identity == name) for name in chosen]
    return np.concatenate(
        [some[np.unique(np.linspace(0, len(some) - 1, each).astype(int))] for some in rows]
    )


def painted(
    pixels: UInt8[np.ndarray, "H W 3"], labels: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """An image with its parts in colours; the background is darkened."""
    rows, columns = (
        nearest_pixels(n, side) for n, side in zip(labels.shape, pixels.shape[:2], strict=True)
    )
    colour = COLOURS[labels[rows][:, columns] % len(COLOURS)]
    return (pixels * (1 - STRENGTH) + colour * STRENGTH).astype(np.uint8)


def draw_foregrounds(views: Views) -> Any:
    """A column an image: it, Eq. 3 of the map before and after the attention, and P_f (Fig. 7)."""
    lines = [("image", views.pixels), ("before", views.before), ("after", views.after)]
    lines += [] if views.foreground is None else [("P_f", views.foreground)]
    return grid([(name, list(line)) for name, line in lines])


def draw_parts(views: Views, labels: UInt8[np.ndarray, "n h w"] | None = None) -> Any:
    """A column an image: it, its pseudo-labels where given, its parts, and the confidence of each
    part (Figs. 11 and 13).
    """
    lines: list[tuple[str, list[Any]]] = [("image", list(views.pixels))]
    if labels is not None:
        lines.append(
            ("clusters", [painted(*pair) for pair in zip(views.pixels, labels, strict=True)])
        )
    lines.append(
        ("parts", [painted(*pair) for pair in zip(views.pixels, views.labels, strict=True)])
    )
    if views.confidence is not None:
        lines += [
            (f"P_{k}", list(views.confidence[:, k])) for k in range(1, views.confidence.shape[1])
        ]
    return grid(lines)


def draw_matrices(views: Views) -> Any:
    """A column an image: it, and M between its parts, rows and columns of parts that are not seen
    left white (Fig. 8).

    Raises:
        ValueError: a network without a graph.
    """
    if views.matrix is None:
        raise ValueError("the network has no graph among parts: train with structure=true")
    return grid([("image", list(views.pixels)), ("M", list(views.matrix))], colours="Blues")


def development(run: Path) -> dict[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]]:
    """The pseudo-labels of a run and the items they are of, by the epochs gone by.

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


def some(
    found: Mapping[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]],
    manifest: Manifest,
    count: int,
    each: int = 1,
) -> tuple[Int64[np.ndarray, " m"], dict[int, UInt8[np.ndarray, "m h w"]]]:
    """Of what `development` found: `few` images, as rows of the manifest, and their pseudo-labels
    by epoch.
    """
    items = found[max(found)][1]
    rows = manifest.rows("train")
    rows = rows[np.isin(manifest.item[rows], items)]
    rows = rows[few(manifest.identity[rows], count, each)]
    place = positions(items, manifest.item[rows])
    return rows, {epoch: labels[place] for epoch, (labels, _) in found.items()}


def draw_development(
    pixels: UInt8[np.ndarray, "n H W 3"], labels: Mapping[int, UInt8[np.ndarray, "n h w"]]
) -> Any:
    """A column an image: it, and its pseudo-labels after so many epochs (Figs. 12 and 14)."""
    epochs = sorted(labels)
    shown = [
        epochs[place]
        for place in np.unique(np.linspace(0, len(epochs) - 1, DEVELOPMENT).astype(int))
    ]
    lines: list[tuple[str, list[Any]]] = [("image", list(pixels))]
    lines += [
        (f"{epoch}", [painted(*pair) for pair in zip(pixels, labels[epoch], strict=True)])
        for epoch in shown
    ]
    return grid(lines)


def draw_overlap(
    found: Mapping[int, tuple[UInt8[np.ndarray, "n h w"], NDArray[Any]]],
    mask: UInt8[np.ndarray, "n H W"],
) -> Any:
    """Curves over the epochs: how far the pseudo-labels' foreground and parts meet the truth
    (`part_overlap`).
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy, and an extra

    epochs = sorted(found)
    values = np.array([part_overlap(found[epoch][0], mask) for epoch in epochs])
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes: Any = figure.add_subplot()
    for k, name in enumerate(NAMES):
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
    """One HTML file with figures in it, (heading, what it shows, figure) each; no script, no
    network.

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


def grid(lines: Sequence[tuple[str, list[Any]]], colours: str = "magma") -> Any:
    """A line a kind of picture, named at its left, a column an image; pictures are RGB, or numbers
    in [0, 1].
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
    """A tile as large as it fits, in the middle of a white box with a margin."""
    scale = min(height / tile.shape[0], width / tile.shape[1])
    tall, wide = max(int(tile.shape[0] * scale), 1), max(int(tile.shape[1] * scale), 1)
    rows, columns = nearest_pixels(tile.shape[0], tall), nearest_pixels(tile.shape[1], wide)
    box = np.full((height + 2, width + 2, 3), 255, np.uint8)
    top, left = (height - tall) // 2 + 1, (width - wide) // 2 + 1
    box[top : top + tall, left : left + wide] = tile[rows][:, columns]
    return box
