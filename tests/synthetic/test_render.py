import json
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from graphreid.datasets.manifest import Manifest, read_manifest
from graphreid.resources import Resources
from graphreid.synthetic.annotations import read_annotations
from graphreid.synthetic.difficulty import DIFFICULTIES
from graphreid.synthetic.render import HEIGHT, SETTINGS, WIDTH, Settings, SyntheticSet, render
from graphreid.synthetic.textures import CHOICES

TINY = Settings(
    identities=4, test_identities=5, images_per_identity=12, distractors=3, junk=6, cameras=4
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    render(folder, TINY, resources=Resources(threads=1))
    return folder


@pytest.fixture(scope="module")
def manifest(root: Path) -> Manifest:
    return read_manifest(root)


@pytest.fixture(scope="module")
def rendered() -> SyntheticSet:
    return SyntheticSet(Settings(identities=30))


def widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and all within `pixels` rows and columns of it."""
    out = mask.copy()
    for axis in (1, 2):
        grown = out.copy()
        for shift in range(1, pixels + 1):
            ahead, behind = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= out[tuple(behind)]
            grown[tuple(behind)] |= out[tuple(ahead)]
        out = grown
    return out


def test_same_seed_same_bytes_whatever_the_block_and_the_threads(
    root: Path, tmp_path: Path
) -> None:
    render(tmp_path / "again", TINY, block=7, resources=Resources(threads=3, memory=64 << 20))
    names = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(tmp_path / "again")
        for path in (tmp_path / "again").rglob("*")
        if path.is_file()
    )
    assert len(names) > 100
    for name in names:
        assert (root / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_another_seed_another_set() -> None:
    rows = np.arange(3)
    first, other = (
        SyntheticSet(Settings(identities=4, seed=seed)).render_images(rows)[0] for seed in (0, 1)
    )
    assert not np.array_equal(first, other)


def test_an_image_does_not_depend_on_how_many_identities_there_are(
    rendered: SyntheticSet,
) -> None:
    few = SyntheticSet(Settings(identities=4, test_identities=2, distractors=0, junk=0))
    rows = np.flatnonzero(few.views.identity == 3)
    same = np.flatnonzero((rendered.views.identity == 3) & (rendered.views.role == 0))
    for mine, theirs in zip(few.render_images(rows), rendered.render_images(same), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_splits_and_roles_are_as_promised(manifest: Manifest) -> None:
    identity = {
        split: set(manifest.identity[manifest.rows(split)])
        for split in ("train", "query", "gallery")
    }
    assert identity["train"] == {"1", "2", "3", "4"}
    assert identity["query"] == {"5", "6", "7", "8", "9"}
    assert identity["gallery"] == identity["query"] | {"10", "11", "12", "-1"}
    role = dict(zip(manifest.identity.tolist(), manifest.role.tolist(), strict=True))
    assert {name for name, kind in role.items() if kind == "distractor"} == {"10", "11", "12"}
    assert {name for name, kind in role.items() if kind == "junk"} == {"-1"}
    assert (manifest.identity == "-1").sum() == 6
    for name in ("1", "4", "5", "9"):
        assert (manifest.identity == name).sum() == 12
    assert (manifest.identity == "10").sum() == 6
    assert manifest.camera is not None
    assert set(manifest.camera) == {"c1", "c2", "c3", "c4"}


def test_queries_are_one_an_identity_and_camera_and_have_positives_in_others(
    manifest: Manifest,
) -> None:
    assert manifest.camera is not None
    query, gallery = manifest.rows("query"), manifest.rows("gallery")
    queries = list(zip(manifest.identity[query], manifest.camera[query], strict=True))
    assert len(set(queries)) == len(queries)
    for name, camera in queries:
        mine = manifest.identity[gallery] == name
        assert (mine & (manifest.camera[gallery] != camera)).any()
        assert (mine & (manifest.camera[gallery] == camera)).any()


def test_the_folder_holds_what_the_manifest_says(root: Path, manifest: Manifest) -> None:
    for path in manifest.path.tolist():
        with Image.open(root / path) as image:
            assert image.size == (WIDTH, HEIGHT)
            assert image.mode == "RGB"
    assert json.loads((root / SETTINGS).read_text())["identities"] == 4
    assert {name: len(column) for name, column in manifest.extra.items()} == dict.fromkeys(
        ("view", "time", "track"), len(manifest)
    )


def test_ground_truth_is_of_the_same_images(root: Path, manifest: Manifest) -> None:
    annotations = read_annotations(root)
    np.testing.assert_array_equal(annotations.item, manifest.item)
    assert annotations.mask.shape == (len(manifest), HEIGHT, WIDTH)
    assert set(np.unique(annotations.mask)) <= set(range(6))
    assert annotations.azimuth.min() >= 0
    assert annotations.azimuth.max() < 360
    off = np.abs((annotations.azimuth - 180 + 180) % 360 - 180)
    assert (off[manifest.extra["view"] == "back"] <= 45.01).all()
    assert (off[manifest.extra["view"] == "front"] >= 134.99).all()
    normal = manifest.role != "junk"
    assert annotations.foreground[normal].mean() > 0.15
    assert annotations.foreground[~normal].mean((1, 2)).min() < 0.05
    # whoever carries nothing shows no carried object
    empty = annotations.outfit[:, CHOICES.index("carried")] < 0
    assert empty.any()
    assert not (annotations.mask[empty] == 3).any()


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_masks_agree_with_the_images(difficulty: str) -> None:
    rendered = SyntheticSet(Settings(difficulty=difficulty, identities=6, distractors=0, junk=0))
    rows = np.arange(0, 120, 2)
    images, mask = rendered.render_images(rows)
    nobody, empty = rendered.render_images(rows, with_figures=False)
    assert not empty.any()
    differ = np.abs(images.astype(int) - nobody).max(3)
    figure = mask > 0
    # where the figure is, the picture changes; what changes is at the figure, but for blur and the
    # shadow on the ground
    assert (differ[figure] > 4).mean() > 0.9
    feet = (rendered.frames.top[rows] + 0.8 * rendered.frames.height[rows])[:, None]
    above = np.broadcast_to((np.arange(HEIGHT) < feet)[:, :, None], figure.shape)
    free = (rendered.frames.occluders.kind[rows] < 0)[
        :, None, None
    ]  # the edge of what stands before it lets it through a little
    assert (differ[~widened(figure, 8) & above & free] == 0).all()


def test_occlusion_hides_figures() -> None:
    shown = {}
    for difficulty in ("default", "occluded"):
        rendered = SyntheticSet(
            Settings(difficulty=difficulty, identities=10, distractors=0, junk=0)
        )
        _, mask = rendered.render_images(np.arange(0, 200, 3))
        shown[difficulty] = [(mask == part).any((1, 2)).mean() for part in (1, 2, 4, 5)]
    assert shown["default"][3] > 0.85
    assert shown["occluded"][3] < 0.7
    assert min(shown["occluded"][:2]) > 0.8


def test_speed(rendered: SyntheticSet, capsys: pytest.CaptureFixture[str]) -> None:
    rendered.render_images(np.arange(32))
    start = time.process_time()
    for first in range(0, 256, 32):
        rendered.render_images(np.arange(first, first + 32))
    with capsys.disabled():
        print(f"\nrendering: {256 / (time.process_time() - start):.0f} images a processor second")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"difficulty": "hard"}, "difficulty is 'hard': choose one of easy, default, occluded"),
        ({"identities": 1}, "identities is 1: it must be at least 2"),
        ({"test_identities": 0}, "test_identities is 0"),
        ({"images_per_identity": 3}, "images_per_identity is 3: it must be at least 4"),
        ({"cameras": 1}, "cameras is 1"),
        ({"distractors": -1}, "distractors is -1"),
        ({"junk": -5}, "junk is -5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_refused(given: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**given)  # type: ignore[arg-type]


def test_bad_calls_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exists already"):
        render(root, TINY)
    with pytest.raises(ValueError, match="cannot write"):
        render(tmp_path / "no" / "such" / "folder", TINY)
    with pytest.raises(ValueError, match="block is 0"):
        render(tmp_path / "x", TINY, block=0)
    with pytest.raises(ValueError, match="memory of 1 MB is too small"):
        render(tmp_path / "x", TINY, resources=Resources(memory=1 << 20))
    assert not (tmp_path / "x").exists()


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    resources = Resources(threads=1, progress=lambda _, done, total: told.append((done, total)))
    settings = Settings(
        identities=2, test_identities=2, images_per_identity=4, cameras=2, distractors=0, junk=0
    )
    assert len(render(tmp_path / "set", settings, block=3, resources=resources)) == 16
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
