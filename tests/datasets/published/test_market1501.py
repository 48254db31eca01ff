from pathlib import Path

import pytest

from graphreid.datasets.importing import import_images
from graphreid.datasets.published import market1501
from graphreid.datasets.published.market1501 import PUBLISHED, TERMS, read
from tests.datasets.published.trees import MARKET, picture, tree


@pytest.mark.parametrize(
    "below",
    ["", "market1501", "Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15", "a_c9s1/b"],
)
@pytest.mark.parametrize("from_parent", [False, True])
def test_every_spelling_is_the_same_set(tmp_path: Path, below: str, from_parent: bool):
    top = tree(tmp_path, [f"{below}/{name}" for name in MARKET])
    plan = read(top if from_parent else top / below)
    assert [entry.path for entry in plan.entries] == sorted(MARKET, key=_part)
    assert not plan.problems
    assert [(entry.identity, entry.camera, entry.split, entry.role) for entry in plan.entries] == [
        ("2", "1", "train", "normal"),
        ("2", "3", "train", "normal"),
        ("7", "2", "train", "normal"),
        ("1", "1", "query", "normal"),
        ("1", "2", "query", "normal"),
        ("-1", "1", "gallery", "junk"),
        ("0", "1", "gallery", "distractor"),
        ("1", "3", "gallery", "normal"),
        ("1", "6", "gallery", "normal"),
    ]


def test_it_is_imported_with_its_terms_and_counts(tmp_path: Path):
    done = import_images(read(tree(tmp_path, MARKET)), tmp_path / "out")
    assert len(done.manifest) == 9
    assert done.manifest.item[0] == MARKET[0]
    assert (done.manifest.role == "junk").sum() == 1
    assert done.notes[0] == TERMS
    assert (
        "3 files without an image's extension were left out" in done.notes[1]
    )  # a Thumbs.db in each part
    warning = done.notes[-1]
    assert warning.startswith(
        "warning: the counts are not those of the published Market-1501, is it complete?"
    )
    assert (
        "train images 3, not 12,936; train identities 2, not 751; query images 2, not 3,368"
        in warning
    )
    assert "gallery images 4, not 19,732; gallery identities 1, not 750" in warning
    assert "junk images 1, not 3,819; distractor images 1, not 2,798; cameras 4, not 6" in warning


def test_the_published_counts_give_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = {
        "train images": 3,
        "query images": 2,
        "gallery images": 4,
        "cameras": 4,
        "junk images": 1,
    }
    assert set(here) <= set(PUBLISHED)
    monkeypatch.setattr(market1501, "PUBLISHED", here)
    assert list(read(tree(tmp_path, MARKET, stray=False)).notes) == [TERMS]


def test_unreadable_names_are_told_and_can_be_skipped(tmp_path: Path):
    top = tree(
        tmp_path, [*MARKET, "query/copy of 0001_c1s1.jpg", "query/0001_c1s1_001051_00 (1).jpg"]
    )
    plan = read(top)
    assert [problem.split(": ")[1] for problem in plan.problems] == 2 * [
        "not a file name of Market-1501 (such as 0002_c1s1_000451_03.jpg)"
    ]
    with pytest.raises(
        ValueError,
        match=r"\(1\)\.jpg: not a file name of Market-1501 .*1 more like it.*--on-error skip",
    ):
        import_images(plan, tmp_path / "out")
    assert len(import_images(plan, tmp_path / "out", on_error="skip").manifest) == 9


def test_a_truncated_image_is_named(tmp_path: Path):
    top = tree(tmp_path, MARKET)
    (top / MARKET[3]).write_bytes(picture("JPEG", 3)[:200])
    with pytest.raises(ValueError, match=r"query/0001_c1s1_001051_00\.jpg: not a readable image"):
        import_images(read(top), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _part(name: str) -> tuple[int, str]:
    return ("bounding_box_train", "query", "bounding_box_test").index(
        name.split("/", maxsplit=1)[0]
    ), name
