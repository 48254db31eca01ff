import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graphreid.gallery import Gallery
from graphreid.methods import Cosine, KReciprocal
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.precomputed import Precomputed, is_precomputed, load_precomputed
from graphreid.metrics.protocol import Protocol
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report, report_of
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels, drop_junk
from tests.support import all_distances, labelled

NUMBERS = (("image", 5000), ("query", 1200))


def sides(
    *, junk: bool = False, both: bool = False
) -> tuple[tuple[Features, Labels], tuple[Features, Labels]]:
    """Queries and gallery; with junk in the gallery, or with queries that are in it too."""
    queries, (images, labels) = labelled(3, queries=20, images=50)
    if junk:
        labels = Labels(np.where(np.arange(50) % 5 == 0, -1, labels.identity), labels.camera)
    return ((images, labels), (images, labels)) if both else (queries, (images, labels))


def reports(
    path: Path,
    truth: NDArray[np.float32],
    subject: tuple[tuple[Features, Labels], tuple[Features, Labels]],
    protocol: Protocol,
) -> tuple[Report, Report, Precomputed]:
    """What the file gives, and what the same distances give as a method's."""
    (query, query_labels), (gallery, gallery_labels) = subject
    kept, kept_labels = drop_junk(gallery, gallery_labels)
    method = load_precomputed(path, query.items, gallery.items, gallery_labels.role == 0)
    protocol = replace(protocol, listed=method.listed)

    # blocks of a few queries
    result = evaluate(
        method,
        query,
        Gallery(kept),
        query_labels,
        kept_labels,
        protocol=protocol,
        resources=Resources(memory=2**16),
    )
    own = Gallery(kept).rows_of(query.items)
    distance = truth[:, gallery_labels.role == 0]
    distance[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
    counter = RankCounter(Relevance(query_labels, kept_labels, own=own, protocol=protocol))
    counter.add(DistanceBlock(0, distance))
    return result, report_of(counter.result(), method="given", setting="unknown"), method


def same(one: Report, other: Report) -> None:
    for name in ("first_rank", "positives"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.metrics == other.metrics
    for metric in one.metrics:
        np.testing.assert_array_equal(one.per_query(metric), other.per_query(metric))


@pytest.mark.parametrize("ap", ["step", "trapezoid"])
@pytest.mark.parametrize("kind", ["distances", "order", "npz"])
@pytest.mark.parametrize("special", ["plain", "junk", "both"])
def test_a_file_gives_the_numbers_of_its_distances(
    tmp_path: Path, kind: str, special: str, ap: str
) -> None:
    subject = sides(junk=special == "junk", both=special == "both")
    (query, _), (gallery, _) = subject
    truth = all_distances(Cosine(), query, Gallery(gallery))
    file = tmp_path / ("r.npz" if kind == "npz" else "r.npy")
    if kind == "distances":
        np.save(file, truth)
    else:
        order = np.argsort(truth, axis=1, kind="stable").astype(np.int64)
        if kind == "npz":
            np.savez(file, order=order, setting=np.array("online"))
        else:
            np.save(file, order)
    ours, given, method = reports(file, truth, subject, Protocol(ap=ap))
    same(ours, given)
    assert method.listed is None
    assert ours.setting == ("online" if kind == "npz" else "unknown")


def test_a_list_that_ends_gives_at_most_the_mean_of_the_whole_and_that_of_a_cut_method(
    tmp_path: Path,
) -> None:
    subject = sides()
    (query, query_labels), (gallery, gallery_labels) = subject
    whole = evaluate(KReciprocal(k1=5), query, Gallery(gallery), query_labels, gallery_labels)
    for top in (1, 4, 17):
        order = rank(KReciprocal(k1=5).distances(query, Gallery(gallery)), top).order
        np.save(tmp_path / "r.npy", order)
        method = load_precomputed(tmp_path / "r.npy", query.items, gallery.items)
        assert method.listed == top
        protocol = Protocol(listed=top)
        cut = evaluate(
            KReciprocal(k1=5),
            query,
            Gallery(gallery),
            query_labels,
            gallery_labels,
            protocol=protocol,
        )
        result = evaluate(
            method, query, Gallery(gallery), query_labels, gallery_labels, protocol=protocol
        )
        same(cut, result)
        assert result.mean_ap() < whole.mean_ap()
        assert result.difference(cut)[0] == 0
        assert f"mAP@{top}" in result.summary()
        assert "mAP" not in result.summary()
        assert list(result.summary()["cmc"]) == [str(k) for k in (1, 5, 10) if k <= top]
        with pytest.raises(ValueError, match="differ in queries or protocol"):
            result.difference(whole)


@pytest.mark.parametrize("ap", ["step", "trapezoid"])
def test_numbers_of_a_list_are_those_counted_by_hand(tmp_path: Path, ap: str) -> None:
    (query, query_labels), (gallery, gallery_labels) = sides()
    order = rank(Cosine().distances(query, Gallery(gallery)), 5).order
    np.savez(tmp_path / "r.npz", order=order)
    method = load_precomputed(tmp_path / "r.npz", query.items, gallery.items)
    protocol = Protocol(listed=5, ap=ap)
    report = evaluate(
        method, query, Gallery(gallery), query_labels, gallery_labels, protocol=protocol
    )
    assert query_labels.camera is not None
    assert gallery_labels.camera is not None
    missed = 0
    for one_query, row in enumerate(order.tolist()):
        mine = gallery_labels.identity == query_labels.identity[one_query]
        camera = gallery_labels.camera == query_labels.camera[one_query]
        right = np.flatnonzero(mine & ~camera)
        place, hits, total, first, last = 0, 0, 0.0, 0, 0
        for image in row:
            if mine[image] and camera[image]:
                continue
            place += 1
            if image in right:
                before = hits / (place - 1) if place > 1 else 1.0
                hits += 1
                first, last = first or place, place
                total += hits / place if ap == "step" else (before + hits / place) / 2
        assert report.ap[one_query] == pytest.approx(total / len(right))
        assert report.first_rank[one_query] == first
        assert report.per_query("mINP")[one_query] == (
            pytest.approx(hits / last) if hits == len(right) else 0
        )
        missed += hits < len(right)
    assert 5 < missed < 20


def write(tmp_path: Path, order: NDArray[np.int64], **more: NDArray[np.str_]) -> Path:
    np.savez(tmp_path / "r.npz", order=order, **more)  # pyright: ignore[reportArgumentType]
    return tmp_path / "r.npz"


def test_what_is_no_answer_is_refused_with_file_and_row(tmp_path: Path) -> None:
    (query, _), (gallery, _) = sides()
    good = np.argsort(all_distances(Cosine(), query, Gallery(gallery)), axis=1)

    def refused(path: Path, says: str) -> None:
        with pytest.raises(ValueError, match=says) as result:
            load_precomputed(path, query.items, gallery.items)
        assert str(result.value).startswith(f"{path}: ")
        assert "\n" not in str(result.value)

    def changed(row: int, place: int, value: int) -> NDArray[np.int64]:
        order = good[:, :10].copy()
        order[row, place] = value
        return order

    refused(
        write(tmp_path, changed(7, 2, 50)), "50 in row 7, place 2: the gallery has rows 0 to 49"
    )
    refused(write(tmp_path, changed(7, 2, -2)), "-2 in row 7, place 2")
    refused(write(tmp_path, changed(7, 2, -1)), "-1 in row 7, place 2: -1, for none")
    refused(
        write(tmp_path, changed(3, 5, int(good[3, 1]))), f"image {good[3, 1]} stands twice in row 3"
    )
    refused(write(tmp_path, good[:12]), "12 lists for 20 queries")
    refused(write(tmp_path, good[0]), r"order has shape \(50,\)")
    refused(write(tmp_path, good.astype(float)), "order is float64")  # type: ignore[arg-type]
    refused(write(tmp_path, np.concatenate([good, good], 1)), "lists of 100 for 50 images")
    refused(write(tmp_path, good, query_item=query.items[::-1]), "query_item is 'query19' in row 0")
    refused(
        write(tmp_path, good, gallery_item=gallery.items[:3]),
        "3 of gallery_item, and 50 gallery items",
    )
    np.savez(tmp_path / "r.npz", ranks=good)
    refused(tmp_path / "r.npz", "no array 'order' in it; it has ranks")
    damaged = write(tmp_path, good)
    damaged.write_bytes(damaged.read_bytes()[:-4000])
    refused(damaged, "damaged|truncated")
    distance, file = all_distances(Cosine(), query, Gallery(gallery)), tmp_path / "d.npy"
    np.save(file, distance[:, :-1])
    refused(file, "49 distances a row for 50 images")
    np.save(file, distance[:-1])
    refused(file, "19 rows of distances for 20 queries")
    distance[11, 4] = np.nan
    np.save(file, distance)
    refused(file, "NaN in row 11, column 4")
    np.save(file, distance.astype(str))
    refused(file, "it holds")
    refused(tmp_path / "none.npy", "No such file")


def test_rankings_stored_by_columns_or_compressed(tmp_path: Path) -> None:
    (query, _), (gallery, _) = sides()
    good = np.argsort(all_distances(Cosine(), query, Gallery(gallery)), axis=1)
    with pytest.raises(ValueError, match="stored by columns"):
        load_precomputed(write(tmp_path, np.asfortranarray(good)), query.items, gallery.items)
    np.savez_compressed(tmp_path / "r.npz", order=good)
    assert load_precomputed(tmp_path / "r.npz", query.items, gallery.items).listed is None


@pytest.mark.parametrize("kind", ["ranking", "distances"])
def test_a_file_is_never_held_wholly(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    gallery, query = (
        Features(rng.standard_normal((n, 4)), [f"{name}{row}" for row in range(n)])
        for name, n in NUMBERS
    )
    if kind == "ranking":
        file = write(
            tmp_path, rng.permuted(np.tile(np.arange(len(gallery)), (len(query), 1)), axis=1)
        )
    else:
        file = tmp_path / "d.npy"
        np.save(file, rng.random((len(query), len(gallery)), np.float32))
    tracemalloc.start()
    method = load_precomputed(file, query.items, gallery.items)
    for block in method.distances(query, Gallery(gallery), resources=Resources(memory=2**20)):
        assert len(block.distance) < 40
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < file.stat().st_size / 4


def test_names():
    assert is_precomputed("a/b.npy")
    assert is_precomputed("ranking.npz")
    assert not is_precomputed("cagcn.safetensors+k-reciprocal")
    assert Precomputed(Path("x"), "distances", np.array(["a"])).score == "distance"
    assert Precomputed(Path("x"), "ranking", np.array(["a"])).score == "place in the list"
