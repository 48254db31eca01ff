"""Why a gallery answers a query as it does: the method's graph of it, by the images' items."""

from dataclasses import dataclass
from typing import Any

from graphreid.methods import METHODS
from graphreid.protocols import Explains, Reranker
from graphreid.resources import Resources
from graphreid.store.persistent_gallery import Snapshot
from graphreid.types import Features


@dataclass(frozen=True)
class Node:
    """An image in a query's graph.

    Attributes:
        item: its id.
        probability: that it shows the query's identity, in [0, 1]; None where the method gives
            none.
        heard: how much the query itself hears it; None where the query is no node.
        before, after: its rank by the base distance and by the method's, from 1.
    """

    item: str
    probability: float | None
    heard: float | None
    before: int
    after: int


@dataclass(frozen=True)
class Edge:
    """Who hears whom (places in the nodes), and how much."""

    hears: int
    heard: int
    weight: float


@dataclass(frozen=True)
class Graph:
    """A query's graph: the query's item, the version of the table, nodes and edges."""

    query: str
    version: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def why(
    snapshot: Snapshot,
    method: Reranker,
    text: str,
    query: Features,
    *,
    resources: Resources | None = None,
) -> Graph:
    """What moved a query's result.

    Args:
        snapshot: the gallery as it is now.
        method: in its online setting (`online`); `text` names it.
        query: one image; if it is in the gallery by its item, it does not find itself.
        resources: where and with how much.

    Raises:
        ValueError: the method makes no graph, not one query, an empty gallery, or a vector of
            another width.
    """
    if not isinstance(method, Explains):
        able = [name for name, kind in METHODS.items() if hasattr(kind, "explain")]
        raise ValueError(
            f"{text} makes no graph of a query: choose one of {', '.join(sorted(able))}"
        )
    gallery = snapshot.searchable()
    made = method.explain(query, gallery, resources=resources)
    nothing = [None] * len(made.nodes)
    columns: list[list[Any]] = [gallery.features.items[made.nodes].tolist()]
    columns += [
        nothing if each is None else each.tolist() for each in (made.probability, made.heard)
    ]
    columns += [made.before.tolist(), made.after.tolist()]
    edges = zip(made.edges.tolist(), made.weights.tolist(), strict=True)
    return Graph(
        query=str(query.items[0]),
        version=snapshot.version,
        nodes=tuple(Node(*values) for values in zip(*columns, strict=True)),
        edges=tuple(Edge(hears, heard, weight) for (hears, heard), weight in edges),
    )
