import numpy as np

from graphreid.explanation_json import ExplanationGraph, explanation_graph
from graphreid.types import Explanation

EXPLANATION = Explanation(
    nodes=np.array([4, 1, 2]),
    edges=np.array([[1, 0], [2, 0], [0, 0], [0, 2]]),
    weights=np.array([0.25, 0.5, 0.75, 1], np.float32),
    probability=np.array([0.5, 0.25, 1], np.float32),
    rank_before=np.array([3, 2, 1]),
    rank_after=np.array([2, 4, 1]),
)
ITEMS = np.array(["a", "b", "c", "d", "e"])


def test_nodes_and_edges_are_those_of_the_explanation_by_item() -> None:
    graph = explanation_graph(EXPLANATION, ITEMS, method="m", query="q", version=7)
    assert (graph.method, graph.query, graph.version) == ("m", "q", 7)
    assert [node.item for node in graph.nodes] == ["e", "b", "c"]
    assert [node.rank_before for node in graph.nodes] == [3, 2, 1]
    assert [node.rank_after for node in graph.nodes] == [2, 4, 1]
    assert [node.probability for node in graph.nodes] == [0.5, 0.25, 1]
    assert {node.query_weight for node in graph.nodes} == {None}
    edges = [(edge.source, edge.target, edge.weight) for edge in graph.edges]
    assert edges == [(1, 0, 0.25), (2, 0, 0.5), (0, 0, 0.75), (0, 2, 1)]
    assert ExplanationGraph.model_validate_json(graph.model_dump_json()) == graph


def test_what_is_shown_first() -> None:
    graph = explanation_graph(EXPLANATION, ITEMS, method="m", query="q")
    assert graph.first(2) == [2, 0]
    assert [edge.source for edge in graph.strongest_sources(0, 5)] == [2, 1]
    assert [edge.source for edge in graph.strongest_sources(0, 1)] == [2]
    assert graph.strongest_sources(1, 5) == []
