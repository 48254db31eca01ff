"""Renders the synthetic set: toy figures that walk past several cameras, with ground truth.

It is designed so that the other gallery images help to find a match: front and back of an identity
differ and its sides show half of each; identities share parts; a carried object is visible from one
side only. With the same number of images per identity, number of cameras and difficulty, an image
depends only on the seed, its identity and its number within the identity: not on how many
identities there are, nor on the block in which it is rendered.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from PIL import Image

from graphreid.atomic_files import whole_folder
from graphreid.datasets.manifest import Manifest, write_manifest
from graphreid.resources import Resources
from graphreid.synthetic import cameras as optics
from graphreid.synthetic.annotations import ANNOTATIONS_FOLDER, SHARD, Annotations, write_shard
from graphreid.synthetic.bodies import Poses, draw_figures
from graphreid.synthetic.difficulty import DIFFICULTIES, Difficulty
from graphreid.synthetic.textures import draw_designs, girths, outfits
from graphreid.synthetic.trajectories import (
    Views,
    concatenate,
    crop_frames,
    junk_views,
    simulate_visits,
)
from graphreid.types import DISTRACTOR, JUNK, NORMAL, ROLES

HEIGHT = 128
WIDTH = 64
QUALITY = 92
"""JPEG quality of the images, colour at full resolution."""
SETTINGS = "synthetic.json"
_IMAGE_BYTES = 3 << 20  # memory for rendering one image, about


@dataclass(frozen=True)
class Settings:
    """Size and difficulty of a synthetic set.

    Attributes:
        difficulty: one of DIFFICULTIES.
        identities: number of training identities, at least 2.
        test_identities: number of identities in query and gallery, none of them in training, at
            least 2; None is 9/10 of `identities`.
        images_per_identity: over all cameras, at least 4.
        cameras: number of cameras, at least 2; at least two thirds of them see each identity, if it
            has enough images.
        distractors: number of identities that are in the gallery only, with half as many images
            each; None is 3/10 of `identities`.
        junk: number of badly cropped gallery images; None is one for twenty images of test
            identities.
        seed: of all random numbers, in [0, 2^32).

    Raises:
        ValueError: an unknown difficulty, or a number that is out of range.
    """

    difficulty: str = "default"
    identities: int = 200
    test_identities: int | None = None
    images_per_identity: int = 20
    cameras: int = 6
    distractors: int | None = None
    junk: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.difficulty not in DIFFICULTIES:
            raise ValueError(
                f"difficulty is {self.difficulty!r}: choose one of {', '.join(DIFFICULTIES)}"
            )
        test = (
            -(-self.identities * 9 // 10) if self.test_identities is None else self.test_identities
        )
        distractors = self.identities * 3 // 10 if self.distractors is None else self.distractors
        junk = test * self.images_per_identity // 20 if self.junk is None else self.junk
        least = {
            "identities": 2,
            "test_identities": 2,
            "images_per_identity": 4,
            "cameras": 2,
            "distractors": 0,
            "junk": 0,
        }
        given = {**asdict(self), "test_identities": test, "distractors": distractors, "junk": junk}
        for name, low in least.items():
            if given[name] < low:
                raise ValueError(f"{name} is {given[name]}: it must be at least {low}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}: it must be between 0 and {2**32 - 1}")
        for name in ("test_identities", "distractors", "junk"):
            object.__setattr__(self, name, given[name])


class SyntheticSet:
    """All identities, cameras and views of one synthetic set, from which images are rendered.

    Attributes:
        settings: size and difficulty of the set.
        views, frames: one row per image, in the order training identities, test identities,
            distractors, junk.
    """

    def __init__(self, settings: Settings) -> None:
        difficulty = DIFFICULTIES[settings.difficulty]
        seed = settings.seed
        self.settings = settings
        self.difficulty = difficulty
        self.designs = draw_designs(seed)
        self.cameras = optics.draw_cameras(seed, settings.cameras, difficulty)
        self.noise = optics.noise_bank(seed, HEIGHT * WIDTH)
        self.views = _views(settings, difficulty)
        self.frames = crop_frames(seed, self.views, difficulty, (HEIGHT, WIDTH))
        who, first = np.unique(self.views.identity, return_inverse=True)
        self.outfit: Int64[np.ndarray, "n choices"] = outfits(seed, who, difficulty)[first]
        self.girth = girths(seed, who)[first]

    def __len__(self) -> int:
        return len(self.views)

    def render_images(
        self, rows: NDArray[np.intp], with_figures: bool = True
    ) -> tuple[UInt8[np.ndarray, "b h w 3"], UInt8[np.ndarray, "b h w"]]:
        """Render the images `rows` and their part masks.

        Args:
            rows: indices of images.
            with_figures: False renders backgrounds and occluders alone.
        """
        views = self.views
        frames = self.frames
        camera = views.camera[rows]
        top = frames.top[rows]
        height = frames.height[rows]
        centre = frames.centre[rows]
        slant = np.tan(self.cameras.elevation[camera]).astype(np.float32)
        column = np.floor(views.column[rows]).astype(np.int64)
        canvas = optics.background_windows(
            self.cameras.scenes, camera, frames.row[rows], column, (HEIGHT, WIDTH)
        )
        mask = np.zeros((len(rows), HEIGHT, WIDTH), np.uint8)
        if with_figures:
            optics.cast_shadow(canvas, centre, top + 0.99 * height, 0.26 * height, slant)
            poses = Poses(
                azimuth=views.azimuth[rows].astype(np.float32),
                stride=views.stride[rows].astype(np.float32),
                top=top,
                height=height,
                centre=centre,
                slant=slant,
                light=self.cameras.light[:, camera],
                diffuse=self.cameras.diffuse[camera],
            )
            draw_figures(canvas, mask, poses, self.outfit[rows], self.girth[rows], self.designs)
        optics.occlude(canvas, mask, frames.occluders.take(rows))
        exposure = views.exposure[rows].astype(np.float32)
        return optics.expose(
            canvas, self.cameras, camera, exposure, self.noise, frames.noise[rows]
        ), mask

    def manifest(self, root: Path) -> Manifest:
        """The manifest of all images; each test identity has one query per camera."""
        views = self.views
        train = (views.role == NORMAL) & (views.identity <= self.settings.identities)
        split = np.where(train, "train", np.where(views.query, "query", "gallery"))
        names = zip(
            views.role.tolist(),
            views.identity.tolist(),
            (views.camera + 1).tolist(),
            views.number.tolist(),
            strict=True,
        )
        item = np.array(
            [
                f"junk_c{c}_{k:04d}" if role == JUNK else f"{who:04d}_c{c}_{k:02d}"
                for role, who, c, k in names
            ]
        )
        track = [
            f"{name.rsplit('_', 1)[0]}_t{k + 1}"
            for name, k in zip(item.tolist(), views.track.tolist(), strict=True)
        ]
        track = np.where(views.role == JUNK, item, track)
        sides = np.array(["front", "left", "back", "right"])
        view = sides[np.floor(views.azimuth / (np.pi / 2) + 0.5).astype(np.int64) % 4]
        return Manifest(
            root=root,
            item=item,
            path=np.array(
                [
                    f"{part}/{name}.jpg"
                    for part, name in zip(split.tolist(), item.tolist(), strict=True)
                ]
            ),
            identity=np.where(views.role == JUNK, "-1", views.identity.astype(str)),
            camera=np.array([f"c{c + 1}" for c in views.camera.tolist()]),
            split=split,
            role=np.array(ROLES)[views.role],
            extra={"view": view, "time": views.time, "track": track},
        )


def render(
    out: str | Path,
    settings: Settings | None = None,
    *,
    block: int = 32,
    resources: Resources | None = None,
) -> Manifest:
    """Render a synthetic set into a data folder, which appears complete or not at all.

    It contains manifest.parquet, the images, their ground truth in truth/ (see
    `annotations.read_annotations`), and the settings in synthetic.json.

    Args:
        out: the data folder; it must not exist, or be empty.
        settings: size and difficulty of the set.
        block: images rendered at once, at most; the result does not depend on it.
        resources: threads, memory and progress.

    Raises:
        ValueError: `out` can't be written, or the memory is too small.
    """
    settings = settings or Settings()
    resources = resources or Resources()
    if block < 1:
        raise ValueError(f"block is {block}: it must be at least 1")
    threads = resources.threads or os.cpu_count() or 1
    block = resources.rows(threads * _IMAGE_BYTES, most=block, what="rendering one image a thread")
    rendered = SyntheticSet(settings)
    manifest = rendered.manifest(Path(out))
    with whole_folder(out) as folder:
        for name in (ANNOTATIONS_FOLDER, *np.unique(manifest.split).tolist()):
            (folder / name).mkdir()
        (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=1) + "\n")
        _write_annotations(
            rendered,
            manifest,
            _masks(rendered, manifest, folder, block, threads, resources),
            folder,
        )
        write_manifest(manifest, folder)
    return manifest


def _masks(
    rendered: SyntheticSet,
    manifest: Manifest,
    folder: Path,
    block: int,
    threads: int,
    resources: Resources,
) -> Iterator[UInt8[np.ndarray, "b h w"]]:
    """Render and write all images; yields their masks in order."""

    def work(start: int) -> NDArray[np.uint8]:
        rows = np.arange(start, min(start + block, len(rendered)))
        images, mask = rendered.render_images(rows)
        for row, image in zip(rows.tolist(), images, strict=True):
            Image.fromarray(image).save(folder / manifest.path[row], quality=QUALITY, subsampling=0)
        return mask

    starts = range(0, len(rendered), block)
    with ThreadPoolExecutor(threads) as executor:
        yield from resources.track("render", executor.map(work, starts), len(starts))


def _write_annotations(
    rendered: SyntheticSet,
    manifest: Manifest,
    masks: Iterator[NDArray[np.uint8]],
    folder: Path,
) -> None:
    azimuth = np.degrees(rendered.views.azimuth).astype(np.float32) % 360
    held = np.empty((0, HEIGHT, WIDTH), np.uint8)
    for start in range(0, len(rendered), SHARD):
        rows = slice(start, min(start + SHARD, len(rendered)))
        while len(held) < rows.stop - start:
            held = np.concatenate([held, next(masks)])
        mask = held[: rows.stop - start]
        held = held[rows.stop - start :]
        annotations = Annotations(
            manifest.item[rows], mask, azimuth[rows], rendered.outfit[rows].astype(np.int16)
        )
        write_shard(annotations, folder, start // SHARD)
    for _ in masks:  # nothing is left; progress is reported when the iterator ends
        pass


def _views(settings: Settings, difficulty: Difficulty) -> Views:
    images = settings.images_per_identity
    seed = settings.seed
    most = min(settings.cameras, images // 2)
    among = (min(most, max(2, -(-settings.cameras * 2 // 3))), most)
    train = np.arange(1, settings.identities + 1)
    test = train[-1] + np.arange(1, (settings.test_identities or 0) + 1)
    others = test[-1] + np.arange(1, (settings.distractors or 0) + 1)
    found = [
        simulate_visits(
            seed, np.concatenate([train, test]), images, among, settings.cameras, difficulty, NORMAL
        )
    ]
    if len(others):
        found.append(
            simulate_visits(
                seed, others, images // 2, (1, 2), settings.cameras, difficulty, DISTRACTOR
            )
        )
    if settings.junk:
        found.append(junk_views(seed, settings.junk, test, settings.cameras))
    return concatenate(found)
