"""The graph by which a method ranks a gallery on disk for one query."""

from graphreid.explanation_json import ExplanationGraph, explanation_graph
from graphreid.methods import METHODS
from graphreid.protocols import Explains, Reranker
from graphreid.resources import Resources
from graphreid.store.persistent_gallery import Snapshot
from graphreid.types import Features


def explain(
    snapshot: Snapshot,
    method: Reranker,
    text: str,
    query: Features,
    *,
    resources: Resources | None = None,
) -> ExplanationGraph:
    """A method's graph of one query: nodes, weighted edges, ranks before and after.

    Args:
        snapshot: the gallery as it is now.
        method: in its online setting (`online_method`); `text` names it.
        query: one image; one that is in the gallery by its item does not find itself.
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
    return explanation_graph(
        method.explain(query, gallery, resources=resources),
        gallery.features.items,
        method=text,
        query=str(query.items[0]),
        version=snapshot.version,
    )
