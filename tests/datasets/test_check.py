import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.datasets.check import FolderReport, SplitCount, check
from graphreid.datasets.manifest import Manifest
from graphreid.resources import Resources

Row = tuple[str, str, str, str]
"""identity, camera, split, role"""

CLEAN: list[Row] = [
    ("1", "a", "train", "normal"),
    ("1", "b", "train", "normal"),
    ("2", "a", "query", "normal"),
    ("2", "b", "gallery", "normal"),
    ("3", "a", "gallery", "distractor"),
    ("3", "b", "gallery", "junk"),
]


def folder(root: Path, rows: Sequence[Row], cameras: bool = True) -> Manifest:
    names = np.array([f"{row}.png" for row in range(len(rows))])
    for row, name in enumerate(names.tolist()):
        Image.new("RGB", (4, 4), (row, 0, 0)).save(root / name)
    identity, camera, split, role = (np.array(column) for column in zip(*rows, strict=True))
    return Manifest(root, names, names, identity, camera if cameras else None, split, role)


def found(findings: FolderReport) -> set[str]:
    return {
        name for name, value in findings.as_dict().items() if value and name not in ("ok", "splits")
    }


def test_a_clean_folder(tmp_path: Path):
    told: list[int] = []
    findings = check(
        folder(tmp_path, CLEAN),
        resources=Resources(threads=1, progress=lambda _, done, total: told.append(done)),
    )
    assert findings.ok
    assert found(findings) == set()
    assert findings.splits == (
        SplitCount("train", 2, 1, 2, 0, 0),
        SplitCount("query", 1, 1, 1, 0, 0),
        SplitCount("gallery", 3, 1, 2, 1, 1),
    )
    assert told[-1] == 6
    json.dumps(findings.as_dict())


def test_missing_and_unreadable_files_are_errors(tmp_path: Path):
    manifest = folder(tmp_path, CLEAN)
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:50])
    (tmp_path / "3.png").unlink()
    (tmp_path / "3.png").mkdir()
    findings = check(manifest)
    assert findings.missing == ("1.png",)
    assert "2.png: not a readable image" in findings.unreadable[0]
    assert "3.png: Is a directory" in findings.unreadable[1]
    assert not findings.ok


def test_identities_in_train_and_test_are_errors(tmp_path: Path):
    findings = check(folder(tmp_path, [*CLEAN, ("1", "b", "gallery", "normal")]))
    assert findings.leaked == ("1",)
    assert not findings.ok
    assert check(folder(tmp_path, [*CLEAN, ("1", "b", "gallery", "distractor")])).ok


def test_duplicate_files_are_told_by_where_they_stand(tmp_path: Path):
    manifest = folder(
        tmp_path, [*CLEAN, ("2", "c", "gallery", "normal"), ("4", "a", "gallery", "normal")]
    )
    for source, copy in ((3, 6), (0, 2), (5, 7)):
        (tmp_path / f"{copy}.png").write_bytes((tmp_path / f"{source}.png").read_bytes())
    findings = check(manifest)
    assert findings.duplicates == (("3.png", "6.png"),)
    assert findings.duplicates_across_parts == (("0.png", "2.png"),)
    assert findings.duplicates_across_identities == (("0.png", "2.png"), ("5.png", "7.png"))
    assert findings.ok


def test_identities_of_one_camera(tmp_path: Path):
    rows: list[Row] = [*CLEAN, ("5", "a", "train", "normal"), ("5", "a", "train", "normal")]
    assert check(folder(tmp_path, rows)).one_camera == ("5",)
    assert check(folder(tmp_path, rows, cameras=False)).one_camera == ()


def slow_without_positive(manifest: Manifest) -> tuple[list[str], list[str]]:
    """The definition, query by query: (no other image of the identity, none from another
    camera).
    """
    absent: list[str] = []
    same_camera: list[str] = []
    n = len(manifest)
    for p in range(n):
        if "query" not in manifest.split[p] or manifest.role[p] != "normal":
            continue
        others = [
            g
            for g in range(n)
            if g != p
            and "gallery" in manifest.split[g]
            and manifest.role[g] == "normal"
            and manifest.identity[g] == manifest.identity[p]
        ]
        if not others:
            absent.append(manifest.item[p])
        elif manifest.camera is not None and all(
            manifest.camera[g] == manifest.camera[p] for g in others
        ):
            same_camera.append(manifest.item[p])
    return absent, same_camera


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cameras", [True, False])
def test_queries_without_a_positive(tmp_path: Path, seed: int, cameras: bool):
    rng = np.random.default_rng(seed)
    splits = ["train", "query", "gallery", "query+gallery"]
    rows: list[Row] = [
        (
            str(rng.integers(12)),
            str(rng.integers(3)),
            str(rng.choice(splits)),
            str(rng.choice(["normal"] * 4 + ["junk", "distractor"])),
        )
        for _ in range(50)
    ]
    manifest = folder(tmp_path, rows, cameras)
    findings = check(manifest)
    absent, same_camera = slow_without_positive(manifest)
    assert list(findings.absent) == absent
    assert list(findings.same_camera) == same_camera
