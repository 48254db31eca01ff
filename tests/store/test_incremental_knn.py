import numpy as np
import pytest

from graphreid.gallery import normalise
from graphreid.knn.exact import Metric
from graphreid.resources import Resources
from graphreid.store.incremental_knn import KNNIndex, build_index, update_index

WIDTH = 9


def changed(
    lists: KNNIndex,
    serial: np.ndarray,
    vectors: np.ndarray,
    gone: np.ndarray,
    fresh: np.ndarray,
    metric: Metric,
) -> tuple[KNNIndex, np.ndarray, np.ndarray]:
    stay = np.setdiff1d(np.arange(len(serial)), gone)
    after = np.concatenate([serial[stay], serial.max(initial=0) + 1 + np.arange(len(fresh))])
    now = np.concatenate([vectors[stay], fresh])
    return (
        update_index(
            lists,
            after,
            now,
            vectors[gone],
            min_length=4,
            metric=metric,
            resources=Resources(memory=50_000),
        ),
        after,
        now,
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("start", [1, 2, 5, 40])
def test_a_changed_list_is_that_of_a_search(metric: Metric, start: int) -> None:
    rng = np.random.default_rng(start)

    def draw(count: int) -> np.ndarray:
        made = rng.standard_normal((count, 4)).astype(np.float32)
        made[: count // 3] = np.round(made[: count // 3])  # equal vectors, and so equal distances
        made[(made == 0).all(axis=1)] = 1
        return normalise(made) if metric == "cosine" else 3 * made

    serial, vectors = np.arange(start) * 3, draw(start)
    lists = build_index(serial, vectors, WIDTH, metric, Resources())
    for _ in range(25):
        gone = rng.choice(len(serial), rng.integers(0, min(8, len(serial))), replace=False)
        lists, serial, vectors = changed(
            lists, serial, vectors, gone, draw(int(rng.integers(0, 8))), metric
        )
        want = build_index(serial, vectors, WIDTH, metric, Resources())
        assert lists.shortest >= min(4, len(serial) - 1)
        there = lists.index >= 0
        assert (there[:, :-1] >= there[:, 1:]).all()
        np.testing.assert_array_equal(lists.index[there], want.index[there])
        np.testing.assert_array_equal(lists.distance[there], want.distance[there])
        np.testing.assert_array_equal(lists.farthest, want.farthest)


def test_only_what_must_be_is_searched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    import graphreid.store.incremental_knn as module

    rng = np.random.default_rng(0)
    vectors = normalise(rng.standard_normal((300, 8)).astype(np.float32))
    serial = np.arange(300)
    lists = build_index(serial, vectors, 20, "cosine", Resources())
    asked: list[int] = []
    real = module.search

    def counted(*args: object, **options: object) -> object:
        asked.append(len(options["queries"]))  # type: ignore[arg-type]
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "search", counted)
    fresh = normalise(rng.standard_normal((3, 8)).astype(np.float32))
    lists, serial, vectors = changed(lists, serial, vectors, np.empty(0, int), fresh, "cosine")
    assert asked == [3]
    farthest = int(np.argmin(vectors.mean(axis=0) @ vectors.T))
    changed(lists, serial, vectors, np.array([farthest]), vectors[:0], "cosine")
    assert sum(asked[1:]) < 150
