"""A gallery on disk that the package wrote at commit 6becf07 still opens, with its
neighbour lists and thresholds, and takes more images.

It holds images g0 .. g29 without g3, g4 and g5; its neighbour lists are of the version before the
last, and it has a threshold for `cosine` and for two fitted methods of tests/methods/old.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import AQE, Cosine
from graphreid.methods.persistence import load
from graphreid.methods.spec import parse
from graphreid.store import (
    PersistentGallery,
    choose_threshold,
    find_threshold,
    load_thresholds,
)
from graphreid.types import Features, Labels
from tests.store.cases import same_as_rebuilt

OLD = Path(__file__).parent / "old" / "gallery"
METHODS = Path(__file__).parents[1] / "methods" / "old"


@pytest.fixture
def old(tmp_path: Path) -> PersistentGallery:
    shutil.copytree(OLD, tmp_path / "gallery")
    return PersistentGallery(tmp_path / "gallery")


def test_an_old_gallery_has_its_images(old: PersistentGallery) -> None:
    snapshot = old.snapshot()
    items = [f"g{row}" for row in range(30) if row not in (3, 4, 5)]
    features = snapshot.searchable().features
    assert features.items.tolist() == items
    with np.load(METHODS / "expected.npz") as expected:
        rows = [int(item[1:]) for item in items]
        np.testing.assert_array_equal(features.vectors, expected["gallery"][rows])
    assert snapshot.texts["identity"] == [str(int(item[1:]) % 8) for item in items]
    assert snapshot.texts["path"][-1] == "29.jpg"
    assert json.loads(snapshot.texts["extra"][-1] or "") == {"shelf": 29}
    assert old.config.embedder == "net 1 flip=True"


def test_old_neighbour_lists_are_brought_up_to_date_not_searched_anew(
    old: PersistentGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    import graphreid.store.persistent_gallery as module

    def fail(*_: object) -> None:
        raise AssertionError("searched anew")

    monkeypatch.setattr(module, "build_index", fail)
    same_as_rebuilt(old.snapshot().searchable(), 5)
    old.save_index()
    assert old.index_version() == old.snapshot().version


def test_an_old_gallery_takes_and_loses_images(old: PersistentGallery) -> None:
    gallery = old.snapshot().searchable()
    new = Features(-gallery.features.vectors[:2], np.array(["a", "b"]), np.array([0, 1]))
    old.add(new)
    old.remove(gallery.features.items[:1])
    again = PersistentGallery(old.folder).snapshot().searchable()
    assert again.features.items.tolist() == [*gallery.features.items[1:].tolist(), "a", "b"]
    same_as_rebuilt(again, 5)


def test_old_thresholds_are_found_by_their_methods(old: PersistentGallery) -> None:
    assert len(load_thresholds(old)) == 3
    cosine = find_threshold(old, Cosine())
    assert cosine is not None
    assert cosine.threshold == 0.545776903629303
    assert (cosine.queries, cosine.unknowns, cosine.images) == (4, "removed", 29)
    for name in ("fa-gcn", "sggnn"):
        found = find_threshold(old, load(METHODS / f"{name}.safetensors"))
        assert found is not None
        assert found.method == f"{name}.safetensors"


def test_a_gallery_is_the_snapshot_without_its_store(old: PersistentGallery) -> None:
    features = old.snapshot().searchable().features
    query = features.take(np.array([4]))
    got = next(iter(Cosine().distances(query, old.snapshot().searchable()))).distance
    want = next(iter(Cosine().distances(query, Gallery(features)))).distance
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_the_old_threshold_of_any_method_is_found(old: PersistentGallery) -> None:
    # under what digest the package at commit 6becf07 kept the threshold of each method
    digests = json.loads((METHODS / "fingerprints.json").read_text())
    file = old.folder / "thresholds.json"
    entry = next(iter(json.loads(file.read_text()).values()))
    file.write_text(json.dumps({key: {**entry, "method": name} for name, key in digests.items()}))
    for name in digests:
        path, *others = name.split("+")
        method = parse("+".join([str(METHODS / f"{path}.safetensors"), *others]))
        found = find_threshold(old, method)
        assert found is not None, name
        assert found.method == name


def test_a_new_threshold_stands_beside_the_old_ones(old: PersistentGallery) -> None:
    method = AQE(n=2)
    features = old.snapshot().searchable().features
    query = Features(features.vectors[:4] + 0.01, np.array(list("wxyz")), np.array([7] * 4))
    labels = Labels(np.array([0, 1, 2, 99]), query.camera)
    chosen = choose_threshold(old, "aqe:n=2", method, query, labels, rate=0.9, unknowns="removed")
    content = json.loads((old.folder / "thresholds.json").read_text())
    assert content["format"] == 2
    assert len(content["thresholds"]) == 4
    again = PersistentGallery(old.folder)
    assert find_threshold(again, method) == chosen
    found = find_threshold(again, Cosine())
    assert found is not None
    assert (found.queries, found.protocol, found.target_rate) == (4, "market", 0.9)
    content["format"] = 3
    (old.folder / "thresholds.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="format 3 is newer"):
        load_thresholds(old)
