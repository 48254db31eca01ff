"""What a table's row may measure beside its ranking, by the name that the papers' files give it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs.query_graphs import Candidates, node_recall
from graphreid.methods.cagcn.graph import first_hop, query_graphs
from graphreid.methods.cagcn.method import CAGCN
from graphreid.papers.inputs import Inputs
from graphreid.protocols import Reranker

BATCH = 64
"""Images in the network while its speed is measured."""
SECONDS = 2
"""For so long, at least."""


@dataclass(frozen=True)
class Trained:
    """An embedder that was trained for a row.

    Attributes:
        run: its folder.
        data: the data folder.
        embeddings: the folder with its vectors of query and gallery.
    """

    run: Path
    data: Path
    embeddings: Path


def sampler_recall(method: Reranker, inputs: Inputs, _: Trained | None) -> dict[str, float]:
    """The mean share of a query's positives that CAGCN's graph of it has: the paper's reason for
    Table 3.
    """
    if not isinstance(method, CAGCN):
        raise ValueError("'sampler recall' is of CAGCN's graphs: measure it of a cagcn row")
    query, gallery = inputs.part("query"), inputs.part("gallery")
    retrieval_set = RetrievalSet(query.features, Gallery(gallery.features))
    options = method.graph
    candidates = Candidates.of(retrieval_set, first_hop(options), options.k2)
    nodes = query_graphs(candidates, options).nodes
    recall = node_recall(nodes, query.labels.identity, gallery.labels.identity, retrieval_set.own)
    return {"sampler recall": recall}


def cost(_: Reranker, __: Inputs, trained: Trained | None) -> dict[str, float]:
    """Parameters that vectors take (without classifiers), multiply-adds, and images a second."""
    from graphreid.models import load_embedder  # noqa: PLC0415  # needs the extra of training
    from graphreid.training.run_folder import MODEL  # noqa: PLC0415  # likewise

    if trained is None:
        raise ValueError("cost is measured of an embedder: the row must have 'train'")
    network, (height, width) = load_embedder(trained.run / MODEL).fitted()
    named = network.named_parameters()
    size = sum(each.numel() for name, each in named if "classifier" not in name)
    pixels = torch.rand(BATCH, 3, height, width)
    counted = 0

    def count(module: Any, _: Any, made: torch.Tensor) -> None:
        nonlocal counted
        counted += (
            made[0].numel() * module.weight[0].numel()
        )  # products of each entry that comes out

    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [
        each.register_forward_hook(count) for each in network.modules() if isinstance(each, kinds)
    ]
    with torch.inference_mode():
        network.eval()(pixels)
        for hook in hooks:
            hook.remove()
        start, times = time.perf_counter(), 0
        while times < 3 or time.perf_counter() - start < SECONDS:
            network(pixels)
            times += 1
    speed = times * BATCH / (time.perf_counter() - start)
    return {"parameters, M": size / 1e6, "multiply-adds, G": counted / 1e9, "images/s": speed}


def overlaps(_: Reranker, __: Inputs, trained: Trained | None) -> dict[str, float]:
    """Intersection over union with a rendered set's part masks: of the last clusters in the
    training images, and of the network's parts in the queries.

    Raises:
        ValueError: the data folder has no part masks, or the embedder no parts.
    """
    from graphreid.papers import part_overlaps  # noqa: PLC0415  # needs the extra of reports

    if trained is None:
        raise ValueError("overlaps are measured of an embedder: the row must have 'train'")
    return part_overlaps.overlaps(trained.run, trained.data)


_PARTS = ("foreground", "head", "upper body", "carried object", "lower body", "shoes")


@dataclass(frozen=True)
class Measure:
    """What is measured, and the columns that it gives."""

    function: Callable[[Reranker, Inputs, Trained | None], Mapping[str, float]]
    columns: tuple[str, ...]


MEASURES = {
    "sampler recall": Measure(sampler_recall, ("sampler recall",)),
    "cost": Measure(cost, ("parameters, M", "multiply-adds, G", "images/s")),
    "overlaps": Measure(
        overlaps, tuple(f"{what}, {part}" for what in ("clusters", "parts") for part in _PARTS)
    ),
}
