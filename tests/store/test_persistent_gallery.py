import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from graphreid.gallery import Gallery
from graphreid.store import GalleryConfig, PersistentGallery, load_thresholds, table
from graphreid.store.knn_cache import FILE
from graphreid.types import Features
from tests.store.cases import SMALL, WIDTH, labelled_gallery, same_as_rebuilt, some, texts
from tests.support import all_distances, labelled

SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def test_what_is_added_is_there_for_everyone(tmp_path: Path) -> None:
    made, images, _ = labelled_gallery(tmp_path)
    other = PersistentGallery(made.folder)
    snapshot = other.snapshot()
    gallery = snapshot.searchable()
    np.testing.assert_array_equal(gallery.features.vectors, images.vectors)
    assert gallery.features.items.tolist() == images.items.tolist()
    np.testing.assert_array_equal(gallery.features.camera, images.camera)
    other.remove(images.items[10:20])
    after = made.snapshot()
    assert len(after) == 50
    assert after.version > snapshot.version
    assert len(snapshot) == 60
    assert after.searchable().features.items.tolist() == [*images.items[:10], *images.items[20:]]


def test_methods_answer_against_what_is_there_now(tmp_path: Path) -> None:
    from graphreid.methods import Cosine, KReciprocal

    made, images, (query, _) = labelled_gallery(tmp_path)
    method = KReciprocal(k1=6, k2=3, setting="online")
    all_distances(method, query, made.snapshot().searchable())
    queries, (more, labels) = labelled(5, images=9)
    more = Features(more.vectors, np.array([f"more{row}" for row in range(9)]), more.camera)
    made.add(more, texts(labels))
    made.remove(images.items[:3])
    gallery = made.snapshot().searchable()
    for each in (Cosine(), method):
        np.testing.assert_allclose(
            all_distances(each, queries[0], gallery),
            all_distances(each, queries[0], Gallery(gallery.features)),
            atol=1e-6,
        )


def test_lists_are_kept_and_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, images, _ = labelled_gallery(tmp_path)
    made.save_index()
    assert made.index_version() == made.snapshot().version
    made.remove(images.items[:4])
    made.remove(images.items[30:33])
    import graphreid.store.persistent_gallery as module

    def fail(*_: object) -> None:
        raise AssertionError("searched anew")

    with monkeypatch.context() as patch:
        patch.setattr(module, "build_index", fail)
        again = PersistentGallery(made.folder)
        same_as_rebuilt(again.snapshot().searchable(), 5)
        again.save_index()
    assert again.index_version() == again.snapshot().version
    # a wider list than is kept, and then a damaged file: both are searched anew
    same_as_rebuilt(again.snapshot().searchable(), 30)
    file = made.folder / FILE
    for damage in (file.read_bytes()[:-100], b"", bytes(len(file.read_bytes()))):
        file.write_bytes(damage)
        assert PersistentGallery(made.folder).index_version() is None or len(damage) > 100
        same_as_rebuilt(PersistentGallery(made.folder).snapshot().searchable(), 5)


def test_a_version_that_is_gone_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    monkeypatch.setattr(table, "FRAGMENTS", 2)
    monkeypatch.setattr(table, "KEEP_VERSIONS", timedelta(milliseconds=1))
    made, images, _ = labelled_gallery(tmp_path)
    made.save_index()
    other = PersistentGallery(made.folder)
    other.remove(images.items[:4])
    rng = np.random.default_rng(0)
    for step in range(5):
        fresh = some(rng, 1, f"s{step}-")
        other.add(Features(fresh.vectors, fresh.items, np.array([1])))
    assert other.table.fragments <= 3
    assert other.table.rows_at(made.snapshot().version, [1]) is not None
    same_as_rebuilt(PersistentGallery(made.folder).snapshot().searchable(), 5)
    assert len(made.snapshot()) == 61


def test_what_can_not_be_taken_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    made, images, (query, _) = labelled_gallery(tmp_path)
    version = made.snapshot().version
    for features, words in (
        (images, "in the gallery already"),
        (Features(query.vectors, query.items), "both have cameras, or neither"),
        (Features(query.vectors[:, :5], query.items, query.camera), "5 wide and the gallery's 16"),
        (Features(query.vectors[:1], np.array([" "]), np.array([1])), "empty"),
    ):
        with pytest.raises(ValueError, match=words):
            made.add(features)
    zeros = Features(np.zeros((1, 16)), np.array(["z"]), np.array([1]), zero="keep")
    one = Features(query.vectors[:1], np.array(["one"]))
    unusable: list[tuple[Features, dict[str, list[str | None]], str]] = [
        (zeros, {}, "all zeros in row 0"),
        (one, {"camera": [" "]}, "camera is empty"),
        (one, {"camera": ["1"], "identity": [""]}, "identity is empty"),
        (one, {"camera": ["1"], "extra": ["{"]}, "JSON object"),
        (one, {"camera": ["1"], "extra": ["[1]"]}, "JSON object"),
        (one, {"camera": ["1"], "colour": ["red"]}, "no column colour"),
    ]
    for features, columns, words in unusable:
        with pytest.raises(ValueError, match=words):
            made.add(features, columns)
    with pytest.raises(ValueError, match="identity has 1 values"):
        made.add(query, {"identity": ["1"]})
    with pytest.raises(ValueError, match="'nobody' is not in the gallery"):
        made.remove(np.array(["image0", "nobody"]))
    with pytest.raises(ValueError, match="named twice"):
        made.remove(np.array(["image0", "image0"]))
    with pytest.raises(ValueError, match="an embedder that is not named"):
        PersistentGallery.create(tmp_path / "named", GalleryConfig(3, embedder="a")).check_embedder(
            None, "x.npz"
        )
    assert made.snapshot().version == version
    with pytest.raises(ValueError, match="exists already"):
        PersistentGallery.create(made.folder, SMALL)
    with pytest.raises(ValueError, match="not a gallery"):
        PersistentGallery(tmp_path)
    for damaged in ("{", "[]", '{"format": 1, "width": "x"}'):
        (made.folder / "gallery.json").write_text(damaged)
        with pytest.raises(ValueError, match="not readable"):
            PersistentGallery(made.folder)


def test_a_gallery_may_be_empty(tmp_path: Path) -> None:
    made = PersistentGallery.create(tmp_path / "gallery", SMALL)
    with pytest.raises(ValueError, match="is empty"):
        made.snapshot().searchable()
    made.save_index()
    fresh = some(np.random.default_rng(0), 1, "a")
    made.add(fresh)
    assert made.snapshot().searchable().neighbors(3).k == 0
    made.remove(fresh.items)
    assert len(made.snapshot()) == 0
    made.add(fresh)
    assert len(PersistentGallery(made.folder).snapshot()) == 1


class PersistentGalleryMachine(RuleBasedStateMachine):
    """A gallery on disk beside a dictionary that says what must be in it."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.place = tempfile.TemporaryDirectory()

    @initialize(metric=st.sampled_from(["cosine", "euclidean"]))
    def begin(self, metric: str) -> None:
        config = GalleryConfig(4, metric=metric, k=4, margin=2)  # type: ignore[arg-type]
        self.gallery = PersistentGallery.create(Path(self.place.name, "g"), config)
        self.want: dict[str, np.ndarray] = {}
        self.given = 0

    @rule(count=st.integers(1, 9), seed=st.integers(0, 99))
    def add(self, count: int, seed: int) -> None:
        fresh = some(np.random.default_rng(seed), count, f"{self.given}-", width=4)
        self.given += 1
        self.gallery.add(fresh)
        self.want |= dict(zip(fresh.items.tolist(), fresh.vectors, strict=True))

    @rule(share=st.floats(0, 1), seed=st.integers(0, 99))
    def remove(self, share: float, seed: int) -> None:
        gone = [
            item for item in self.want if np.random.default_rng([seed, len(item)]).random() < share
        ]
        gone = gone[: max(1, int(share * len(self.want)))] if self.want else []
        if gone:
            self.gallery.remove(np.array(gone))
            for item in gone:
                del self.want[item]

    @rule()
    def keep(self) -> None:
        self.gallery.save_index()

    @rule()
    def reopen(self) -> None:
        self.gallery = PersistentGallery(self.gallery.folder)

    @rule(share=st.floats(0, 1))
    def kill(self, share: float) -> None:
        """What a process leaves that dies while it writes: the lists' file as it was, and half a
        new one beside it.
        """
        file = self.gallery.folder / FILE
        if file.is_file():
            content = file.read_bytes()
            (self.gallery.folder / f".{FILE}.x.safetensors").write_bytes(
                content[: int(share * len(content))]
            )
        self.gallery = PersistentGallery(self.gallery.folder)

    @invariant()
    def as_rebuilt(self) -> None:
        snapshot = self.gallery.snapshot()
        assert len(snapshot) == len(self.want)
        if self.want:
            gallery = snapshot.searchable()
            assert gallery.features.items.tolist() == list(self.want)
            np.testing.assert_array_equal(gallery.features.vectors, list(self.want.values()))
            same_as_rebuilt(gallery, 4, self.gallery.config.metric)

    def teardown(self) -> None:
        self.place.cleanup()


def test_any_history_ends_where_a_rebuild_would() -> None:
    run_state_machine_as_test(
        PersistentGalleryMachine,
        settings=settings(
            max_examples=6,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=SLOW,
        ),
    )


ADDER = """
import sys, numpy as np
from graphreid.store.persistent_gallery import PersistentGallery
from graphreid.types import Features
gallery, name = PersistentGallery(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for step in range(int(sys.argv[3])):
    rng = np.random.default_rng(step)
    items = np.array([f"{name}{step}-{row}" for row in range(5)])
    gallery.add(Features(rng.standard_normal((5, 16)).astype(np.float32), items))
    print(f"added {step}", flush=True)
    if step % 3 == 2: gallery.save_index()
"""


def adder(folder: Path, name: str, steps: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ADDER, str(folder), name, str(steps)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_writers_and_a_reader_at_once_and_nothing_acknowledged_is_lost_to_kill(
    tmp_path: Path,
) -> None:
    folder = PersistentGallery.create(tmp_path / "g", GalleryConfig(WIDTH, k=5, margin=3)).folder
    reader = PersistentGallery(folder)
    first, second = adder(folder, "a", 4), adder(folder, "b", 10_000)
    assert first.stdout is not None
    assert second.stdout is not None
    seen: list[int] = []
    for _ in first.stdout:
        snapshot = reader.snapshot()
        seen.append(len(snapshot))
        if len(snapshot):
            same_as_rebuilt(snapshot.searchable(), 5)
    assert first.wait() == 0
    assert second.stdout.readline() == "ready\n"
    assert second.stdout.readline() == "added 0\n"
    time.sleep(float(np.random.default_rng().uniform(0.05, 0.4)))
    os.kill(second.pid, signal.SIGKILL)
    said = ["added 0", *second.stdout.read().splitlines()]
    second.wait()
    steps = len([line for line in said if line.startswith("added") and line.split()[1].isdigit()])
    snapshot = PersistentGallery(folder).snapshot()
    items = snapshot.searchable().features.items.tolist()
    assert sum(item.startswith("a") for item in items) == 20
    # whole adds alone: those that were acknowledged, and perhaps one that was about to be
    mine = [item for item in items if item.startswith("b")]
    assert set(mine) >= {f"b{step}-{row}" for step in range(steps) for row in range(5)}
    assert len(mine) in (5 * steps, 5 * (steps + 1))
    assert sorted(seen) == seen
    same_as_rebuilt(snapshot.searchable(), 5)


def test_a_damaged_table_is_an_error_that_names_the_gallery(tmp_path: Path) -> None:
    made, _, _ = labelled_gallery(tmp_path)
    for file in (made.folder / "images.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(OSError, match="restore the folder") as caught:
        PersistentGallery(made.folder).snapshot()
    assert caught.value.filename == str(made.folder)
    (made.folder / "thresholds.json").write_text("[1]")
    with pytest.raises(ValueError, match="not readable"):
        load_thresholds(made)
