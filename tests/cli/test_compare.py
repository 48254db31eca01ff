import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.cli import main
from graphreid.cli.calibrate import THRESHOLD, digest, read_threshold
from graphreid.datasets.images import Images
from graphreid.features.features_file import save_features
from graphreid.models import load_embedder
from graphreid.training.run_folder import MODEL
from tests.cli.test_export import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three images, the second near the first."""
    rng = np.random.default_rng(0)
    first, third = rng.integers(0, 256, (2, 32, 16, 3)).astype(np.uint8)
    second = np.clip(first + rng.integers(-9, 10, first.shape), 0, 255).astype(np.uint8)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, (first, second, third), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    """Vectors of 20 identities, two cameras; one of 400 pairs of two identities is nearer than
    0.5.
    """
    rng = np.random.default_rng(1)
    centres = np.concatenate([np.eye(16), rng.normal(size=(4, 16))]).astype(np.float32)
    paths = tmp_path / "q.npz", tmp_path / "g.npz"
    for camera, path in enumerate(paths):
        vectors = centres + rng.normal(0, 0.05, centres.shape).astype(np.float32)
        save_features(path, vectors, {"identity": np.arange(20), "camera": np.full(20, camera)})
    return paths


def compare(run: Path, one: Path, other: Path) -> int:
    return main(["compare", str(one), str(other), "--model", str(run)])


def calibrate(run: Path, labelled: tuple[Path, Path], *more: str) -> int:
    return main(
        [
            "calibrate",
            "--model",
            str(run),
            "--query",
            str(labelled[0]),
            "--gallery",
            str(labelled[1]),
            *more,
        ]
    )


def test_similarity_and_verdict(
    run: Path, images: list[Path], labelled: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (run / THRESHOLD).unlink(missing_ok=True)
    assert compare(run, images[0], images[1]) == 0
    out = capsys.readouterr().out
    unit = load_embedder(run / MODEL).embed(Images(images, np.array(["a", "b", "c"]))).vectors
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    assert (
        f"similarity {unit[0] @ unit[1]:.4f} (cosine), distance {1 - unit[0] @ unit[1]:.4f}" in out
    )
    assert "no verdict" in out
    assert compare(run, images[0], images[0]) == 0
    assert "similarity 1.0000 (cosine), distance 0.0000" in capsys.readouterr().out

    assert calibrate(run, labelled, "--false-match-rate", "0.01") == 0
    capsys.readouterr()
    near, far = (1 - unit[0] @ unit[place] for place in (1, 2))
    written = json.loads((run / THRESHOLD).read_text())
    (run / THRESHOLD).write_text(json.dumps(written | {"distance": float(near + far) / 2}))
    assert compare(run, images[0], images[1]) == 0
    assert "one identity: the distance is at most" in capsys.readouterr().out
    assert compare(run, images[0], images[2]) == 0
    assert "two identities: the distance is more than" in capsys.readouterr().out


def test_the_threshold_lets_the_asked_share_of_wrong_pairs_pass(
    run: Path, labelled: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(run, labelled, "--false-match-rate", "0.05") == 0
    threshold = read_threshold(run)
    assert threshold is not None
    unit = [np.load(path)["vectors"] for path in labelled]
    q, g = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in unit)
    passed, same = 1 - q @ g.T <= threshold.distance, np.eye(20, dtype=bool)
    assert (threshold.wrong_pairs, threshold.right_pairs, threshold.asked) == (380, 20, 0.05)
    assert threshold.false_match_rate == passed[~same].mean() <= 0.05
    assert threshold.true_match_rate == passed[same].mean() == 1
    assert threshold.model == digest(run / MODEL)
    assert "5.0000% of 380 wrong pairs pass, and 100.0% of 20 right ones" in capsys.readouterr().out


def test_what_is_refused(
    run: Path,
    images: list[Path],
    labelled: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(code: int) -> str:
        assert code == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        return error

    (run / THRESHOLD).unlink(missing_ok=True)
    assert "none.png: no such image" in refused(compare(run, images[0], tmp_path / "none.png"))
    assert "no training run" in refused(compare(tmp_path, images[0], images[1]))
    assert "can't be seen in 380 wrong pairs" in refused(
        calibrate(run, labelled, "--false-match-rate", "0.001")
    )
    save_features(tmp_path / "thin.npz", np.ones((2, 3), np.float32), {"identity": np.arange(2)})
    assert "vectors 3 wide, and the run's are 16" in refused(
        calibrate(run, (tmp_path / "thin.npz", labelled[1]))
    )
    vectors = {key: np.load(labelled[0])[key] for key in ("vectors", "identity", "camera")}
    save_features(
        tmp_path / "other.npz", vectors.pop("vectors"), vectors, embedder="another flip=True"
    )
    assert "other.npz: made by another run" in refused(
        calibrate(run, (tmp_path / "other.npz", labelled[1]))
    )
    columns = {"identity": np.arange(20) + 50, "camera": np.zeros(20, int)}
    save_features(tmp_path / "strangers.npz", np.load(labelled[0])["vectors"], columns)
    assert "no pair of one identity counts" in refused(
        calibrate(run, (tmp_path / "strangers.npz", labelled[1]))
    )
    assert not (run / THRESHOLD).exists()
    (run / THRESHOLD).write_text("{")
    assert "not readable" in refused(compare(run, images[0], images[1]))
    assert calibrate(run, labelled, "--false-match-rate", "0.05") == 0
    capsys.readouterr()
    changed = json.loads((run / THRESHOLD).read_text()) | {"model": "another"}
    (run / THRESHOLD).write_text(json.dumps(changed))
    assert "made for other weights" in refused(compare(run, images[0], images[1]))
