"""The synthetic set in numbers and in a picture: what docs/synthetic.md says of it.

python benchmarks/synthetic.py speed                                   images a second, rendering
and writing apart python benchmarks/synthetic.py views --data DIR --query Q --gallery G  cosine by
view, of features of the set python benchmarks/synthetic.py sheet --out docs/synthetic.jpg
the picture
"""

import tempfile
import time
from pathlib import Path

import cyclopts
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graphreid.features.features_file import load_features
from graphreid.report.part_pictures import COLOURS
from graphreid.synthetic.annotations import read_annotations
from graphreid.synthetic.difficulty import DIFFICULTIES
from graphreid.synthetic.render import HEIGHT, QUALITY, WIDTH, Settings, SyntheticSet
from graphreid.types import JUNK, Labels

app = cyclopts.App(help=__doc__)
BLOCK = 32


@app.command
def speed(images: int = 1024, difficulty: str = "default") -> None:
    """Images a second of one thread: wall time, and processor time where the machine has other
    work.
    """
    rendered = SyntheticSet(Settings(difficulty=difficulty))
    rendered.render_images(np.arange(BLOCK))
    with tempfile.TemporaryDirectory() as folder:
        spent = np.zeros((2, 2))
        for first in range(0, images, BLOCK):
            start = np.array([time.perf_counter(), time.process_time()])
            pictures, _ = rendered.render_images(np.arange(first, first + BLOCK))
            middle = np.array([time.perf_counter(), time.process_time()])
            for i, picture in enumerate(pictures):
                Image.fromarray(picture).save(
                    f"{folder}/{first + i}.jpg", quality=QUALITY, subsampling=0
                )
            end = np.array([time.perf_counter(), time.process_time()])
            spent += [middle - start, end - middle]
    for what, (wall, processor) in zip(("rendering", "JPEG and writing"), spent, strict=True):
        print(f"{what}: {images / wall:.0f} images/s, {images / processor:.0f} a processor second")


@app.command
def views(*, data: Path, query: Path, gallery: Path) -> None:
    """Mean cosine of one identity's images in two cameras, and of two identities', by the side that
    each shows.
    """
    (queries, wanted), (images, found) = load_features(query), load_features(gallery)
    q, g = (x.vectors / np.linalg.norm(x.vectors, axis=1, keepdims=True) for x in (queries, images))
    cosine = q @ g.T
    truth = [read_annotations(data, features.items) for features in (queries, images)]
    side = [_side(part.azimuth) for part in truth]
    same, known = _pairs(wanted, found)
    family = DIFFICULTIES["default"].family
    kin = (wanted.identity[:, None] // family == found.identity // family) & ~same & known
    print("pair   same identity       other identity             of its family")
    for one, other in ("FF", "BB", "SS", "FS", "BS", "FB"):
        pair = (side[0][:, None] == one) & (side[1] == other) | (side[0][:, None] == other) & (
            side[1] == one
        )
        a, b, c = (cosine[pair & which & known] for which in (same, ~same, kin))
        print(
            f"{one}-{other}    {a.mean():.2f} +- {a.std():.2f} ({len(a):5d})  {b.mean():.2f} +- "
            f"{b.std():.2f}, "
            f"99 % < {np.percentile(b, 99):.2f}   {c.mean():.2f}"
        )


def _pairs(wanted: Labels, found: Labels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[q, g]: the same identity; both known and in different cameras."""
    assert wanted.camera is not None
    assert found.camera is not None
    known = (wanted.camera[:, None] != found.camera) & (found.role != JUNK)
    return wanted.identity[:, None] == found.identity, known


def _side(azimuth: NDArray[np.float32]) -> NDArray[np.str_]:
    """F within 35 degrees of the front, B of the back, S of a side; else -."""
    off = np.abs((azimuth + 180) % 360 - 180)
    return np.select([off < 35, off > 145, np.abs(off - 90) < 35], ["F", "B", "S"], "-")


@app.command
def sheet(*, out: Path, columns: int = 14, scale: int = 1) -> None:
    """Three identities of a family as the view turns; the last one's masks, and it with things
    before it; distractors, junk.
    """
    rendered, hidden = SyntheticSet(Settings()), SyntheticSet(Settings(difficulty="occluded"))
    rows: list[NDArray[np.uint8]] = []
    family = DIFFICULTIES["default"].family
    chosen = np.arange(columns)
    for identity in range(4 * family, 5 * family):
        mine = np.flatnonzero((rendered.views.identity == identity) & (rendered.views.role != JUNK))
        mine = mine[np.argsort(rendered.views.azimuth[mine])]
        chosen = mine[np.linspace(0, len(mine) - 1, columns).round().astype(int)]
        rows.append(rendered.render_images(chosen)[0])
    rows.append(COLOURS[rendered.render_images(chosen)[1]])
    rows.append(hidden.render_images(chosen)[0])
    others = np.flatnonzero(rendered.views.role == 2)[:: 600 // (columns - columns // 3)][
        : columns - columns // 3
    ]
    junk = np.flatnonzero(rendered.views.role == JUNK)[: columns // 3]
    rows.append(
        np.concatenate([rendered.render_images(others)[0], rendered.render_images(junk)[0]])
    )
    gap = 2
    picture = np.full(
        (len(rows) * (HEIGHT + gap) - gap, columns * (WIDTH + gap) - gap, 3), 255, np.uint8
    )
    for r, images in enumerate(rows):
        for c, image in enumerate(images):
            y, x = r * (HEIGHT + gap), c * (WIDTH + gap)
            picture[y : y + HEIGHT, x : x + WIDTH] = image
    size = picture.shape[1] * scale, picture.shape[0] * scale
    Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS).save(out, quality=90)


if __name__ == "__main__":
    app()
