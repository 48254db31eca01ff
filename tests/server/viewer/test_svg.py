from dataclasses import replace

import numpy as np
import pytest

from graphreid.server.viewer import svg
from graphreid.types import Explanation, Neighbors


def test_a_methods_graph_shows_its_first_images_and_heaviest_edges() -> None:
    rng = np.random.default_rng(0)
    n = 60
    edges = np.stack([rng.integers(0, n, 900), rng.integers(0, n, 900)], axis=1)
    after = rng.permutation(n) + 1
    made = Explanation(
        np.arange(n) + 100,
        edges,
        rng.random(900).astype(np.float32),
        np.linspace(0, 1, n, dtype=np.float32),
        after,
        after,
    )
    drawn = svg.strongest(made)
    assert sorted(made.rank_after[drawn.nodes - 100].tolist()) == list(range(1, svg.NODES + 1))
    assert len(drawn.edges) <= svg.EDGES
    assert (drawn.edges[:, 0] != drawn.edges[:, 1]).all()
    assert drawn.probability is not None
    np.testing.assert_array_equal(
        drawn.probability, np.linspace(0, 1, n, dtype=np.float32)[drawn.nodes - 100]
    )
    text = svg.graph(drawn, [f"<{row}>" for row in drawn.nodes], None)
    assert text.count('class="node"') == svg.NODES + 1
    assert "<101>" not in text
    assert "stroke-width:" not in text.split('class="edge"')[0]
    weighted = replace(made, query_weights=np.linspace(1, 0, n, dtype=np.float32))
    text = svg.graph(svg.strongest(weighted), [str(row) for row in drawn.nodes], None)
    assert text.count(";stroke-width:") == svg.NODES
    assert text.count("edge to the query: ") >= svg.NODES
    at = svg.layout(len(drawn.nodes), drawn.edges, drawn.weights)
    assert (np.linalg.norm(at - svg.SCREEN / 2, axis=1) > 60).all()


@pytest.mark.parametrize("n", [1, 2, 10, 24])
def test_no_thumbnail_hides_another(n: int) -> None:
    every = np.argwhere(~np.eye(n, dtype=bool))
    at = svg.layout(n, every, np.ones(len(every), np.float32))
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e6 * np.eye(n)
    assert apart.min() > 0.9 * svg.SIDE
    # and they stand around the query, not to one side of it
    assert n < 10 or np.abs(at.mean(axis=0) - svg.SCREEN / 2).max() < 60


def test_lists_make_a_graph_where_a_method_makes_none() -> None:
    near = Neighbors(
        np.array([[1, 2], [0, 3], [3, 0], [2, 1]], np.int32),
        np.full((4, 2), 0.5, np.float32),
        np.ones(4, np.float32),
    )
    drawn = svg.from_neighbors(np.array([1, 0, 2]), np.array([2, 1, 4, 3]), near)
    # image 1 has the neighbours 0 and 3, image 0 has 1 and 2, image 2 has 3 and 0
    assert set(map(tuple, drawn.edges.tolist())) == {(1, 0), (0, 1), (2, 1), (1, 2)}
    np.testing.assert_allclose(drawn.weights, 1 / 1.5)
    assert drawn.rank_before.tolist() == [1, 2, 4]
    assert drawn.rank_after.tolist() == [1, 2, 3]


def test_a_histogram_counts_every_finite_score() -> None:
    score = np.array([0.1, 0.2, 0.2, 0.9, np.inf], np.float32)
    text = svg.histogram(score, 1.5, 0.1, "distance")
    assert sum(int(part.split(" images")[0]) for part in text.split("<title>")[1:]) == 4
    assert "threshold 1.5000" in text
    assert svg.histogram(score[4:], None, None, "distance") == ""
    assert "first" in svg.histogram(np.zeros(3, np.float32), None, 0.0, "distance")
