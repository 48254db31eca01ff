import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphreid.datasets.images import decode
from graphreid.datasets.importing import (
    ImageEntry,
    ImportPlan,
    draw_identities,
    image_files,
    import_images,
    subfolders,
)
from graphreid.datasets.manifest import read_manifest
from graphreid.resources import Resources


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 6), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in range(5):
        (folder / f"{name}.png").write_bytes(png(name))
    return folder


def plan(source: Path) -> ImportPlan:
    files = sorted(source.glob("*.png"))
    return ImportPlan(
        [
            ImageEntry(file, f"x/{file.name}", str(row % 2), "query", str(row))
            for row, file in enumerate(files)
        ]
    )


def test_images_are_copied_and_listed_in_order(tmp_path: Path, source: Path):
    told: list[tuple[str, int, int]] = []
    resources = Resources(
        threads=2, progress=lambda what, done, total: told.append((what, done, total))
    )
    done = import_images(plan(source), tmp_path / "out", resources=resources)
    manifest = read_manifest(tmp_path / "out")
    assert (
        manifest.item.tolist()
        == [f"x/{row}.png" for row in range(5)]
        == done.manifest.item.tolist()
    )
    assert manifest.identity.tolist() == ["0", "1", "0", "1", "0"]
    assert [decode(path)[0, 0, 0] for path in manifest.images(manifest.rows("query")).paths] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert (told[0], told[-1]) == (("import", 0, 5), ("import", 5, 5))
    assert not any(path.is_symlink() for path in (tmp_path / "out/images/x").iterdir())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "images",
        "manifest.parquet",
    ]


def test_links_instead_of_copies(tmp_path: Path, source: Path):
    manifest = import_images(plan(source), tmp_path / "out", link=True).manifest
    paths = manifest.images(manifest.rows("query")).paths
    assert [path.resolve() for path in paths] == sorted(source.glob("*.png"))
    drawn = ImportPlan([ImageEntry(lambda: png(1), "a.png", "1", "train")])
    with pytest.raises(ValueError, match="nothing to link to"):
        import_images(drawn, tmp_path / "out2", link=True)


def test_a_corrupt_image_stops_with_nothing_left(tmp_path: Path, source: Path):
    (source / "3.png").write_bytes(png(3)[:50])
    with pytest.raises(
        ValueError, match=r"3\.png: not a readable image .*--on-error skip"
    ) as caught:
        import_images(plan(source), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_skipping_goes_on_and_lists_what_is_missing(tmp_path: Path, source: Path):
    (source / "3.png").write_bytes(b"")
    given = plan(source)
    done = import_images(
        ImportPlan(given.entries, ["y: no camera"], ["a note"]), tmp_path / "out", on_error="skip"
    )
    assert len(done.manifest) == 4
    assert done.skipped[0] == "y: no camera"
    assert "3.png: not a readable image" in done.skipped[1]
    assert (tmp_path / "out/skipped.txt").read_text().splitlines() == list(done.skipped)
    assert list(done.notes) == ["a note"]
    assert sorted(path.name for path in (tmp_path / "out/images/x").iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
        "4.png",
    ]


def test_what_cannot_be_imported_is_refused(tmp_path: Path, source: Path):
    out = tmp_path / "out"
    entries = list(plan(source).entries)
    with pytest.raises(ValueError, match=r"first \(1 more like it\); mend it"):
        import_images(ImportPlan(entries, ["first", "second"]), out)
    with pytest.raises(ValueError, match=r"0\.png and .*1\.png would both become images/x/0\.png"):
        import_images(
            ImportPlan([entries[0], ImageEntry(entries[1].source, "x/0.png", "1", "query", "1")]),
            out,
        )
    with pytest.raises(ValueError, match=r"x/9\.png: its camera is missing"):
        import_images(
            ImportPlan([*entries, ImageEntry(entries[0].source, "x/9.png", "1", "query")]), out
        )
    with pytest.raises(ValueError, match="no image is left"):
        import_images(ImportPlan([]), out)
    with pytest.raises(ValueError, match=r"gone\.png: No such file"):
        import_images(ImportPlan([ImageEntry(source / "gone.png", "a.png", "1", "train")]), out)
    with pytest.raises(ValueError, match="exists already"):
        import_images(ImportPlan(entries), source)
    with pytest.raises(ValueError, match="cannot write"):
        import_images(ImportPlan(entries), tmp_path / "no/out")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_is_one_line(tmp_path: Path):
    def full() -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match=r"cannot write .*out: No space left on device"):
        import_images(ImportPlan([ImageEntry(full, "a.png", "1", "train")]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_hidden_files_are_no_images(tmp_path: Path):
    for name in (
        "b.JPG",
        "a.jpg",
        "._a.jpg",
        ".hidden/c.jpg",
        "__MACOSX/d.jpg",
        "deep/er/e.png",
        "Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    images, others = image_files(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in images] == [
        "a.jpg",
        "b.JPG",
        "deep/er/e.png",
    ]
    assert [path.name for path in others] == ["Thumbs.db"]
    assert [path.name for path in subfolders(tmp_path)] == ["deep"]
    with pytest.raises(ValueError, match=r"gone: No such file"):
        subfolders(tmp_path / "gone")


def test_identities_are_drawn_with_the_seed():
    names = [f"{row % 20}" for row in range(100)]
    first = draw_identities(names, 0.3, 1)
    assert len(first) == 6
    assert first == draw_identities(names[::-1], 0.3, 1)
    assert first != draw_identities(names, 0.3, 2)
    assert len(draw_identities(names, None, None)) == 10
    assert draw_identities(names, 0.0, 0) == frozenset()
    with pytest.raises(ValueError, match=r"the test share is 1\.5"):
        draw_identities(names, 1.5, 0)


def test_many_images_keep_their_order(tmp_path: Path):
    values = np.random.default_rng(0).permutation(1500) % 256
    entries = [
        ImageEntry(lambda value=value: png(value), f"{row}.png", "1", "query")
        for row, value in enumerate(values.tolist())
    ]
    manifest = import_images(
        ImportPlan(entries), tmp_path / "out", resources=Resources(threads=3)
    ).manifest
    paths = manifest.images(manifest.rows("query")).paths
    assert [int(decode(path)[0, 0, 0]) for path in paths] == values.tolist()
