from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.graphs import sparse_adjacency as sparse
from graphreid.graphs.sparse_adjacency import SparseAdjacency
from graphreid.methods.ec_gcn.graph import random_probability_sampler
from graphreid.methods.ec_gcn.method import ECGCN
from graphreid.methods.ec_gcn.model import ECGCNNetwork
from graphreid.methods.link_prediction.training import LinkTrainingSet, milestones
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build
from graphreid.protocols import Explains, GivesScores
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.training.loop import steps
from graphreid.types import Features, Labels
from tests.references import ec_gcn as slow
from tests.support import all_distances, blobs, labelled, shaken

SMALL: dict[str, Any] = {
    "k1": 8,
    "k2": 3,
    "links": 4,
    "layers": 3,
    "width": 8,
    "epochs": 2,
    "precision": "fp32",
}


def known(**options: Any) -> ECGCN:
    """A method with random weights and statistics that matter, as if it had been fitted."""
    method = build(ECGCN, **{**SMALL, **options})
    torch.manual_seed(3)
    network = shaken(method._build(16), 1.5)  # pyright: ignore[reportPrivateUsage]
    method.state_, method.lam_, method.calibration_ = dict(network.state_dict()), 0.4, [1.0, 0.0]
    return method


def doubles(method: ECGCN) -> dict[str, NDArray[np.float64]]:
    return {key: value.double().numpy() for key, value in method.state_.items()}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"self_loops": False},
        {"layers": 1},
        {"layers": 5, "k1": 3},
        {"k1": 30, "k2": 12, "links": 6},
        {"width": None, "lam": 2.0},
    ],
    ids=lambda more: ",".join(more) or "default",
)
def test_equals_the_papers_equations(metric: Any, more: dict[str, Any]):
    query, gallery = blobs(0, queries=4, images=40)
    method = known(**more)
    block = next(iter(method.distances(query, Gallery(gallery, metric=metric))))
    assert block.probability is not None
    options: dict[str, Any] = {
        "k1": method.graph.k1,
        "k2": method.graph.k2,
        "e": method.graph.links,
        "loops": method.graph.self_loops,
    }
    for one_query in range(4):
        vector, images = (
            query.vectors[one_query].astype(np.float64),
            gallery.vectors.astype(np.float64),
        )
        expected, likely = slow.distances(
            vector,
            images,
            doubles(method),
            lam=method.unscored_offset,
            euclidean=metric == "euclidean",
            **options,
        )
        np.testing.assert_allclose(block.probability[one_query], likely, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(block.distance[one_query], expected, rtol=1e-4, atol=1e-5)
    assert block.probability.std() > 0.05


def test_a_loss_is_that_of_the_literal_form_and_so_is_its_gradient():
    """F W taken once an image, sparse edges, 1-hop nodes alone scored: against whole differences
    and dense products.
    """
    _, train = labelled(1, images=60)
    for loss, sampler in (("focal", "rpgs"), ("ce", "hgs")):
        options: dict[str, Any] = {**SMALL, "loss": loss, "sampler": sampler, "k1": 10}
        method = build(ECGCN, **options)
        training_set = LinkTrainingSet(
            *train,
            k1=15 if sampler == "rpgs" else 10,
            k2=4,
            noise=0.0,
            seed=0,
            resources=Resources(),
        )
        queries = training_set.batches(0, 5)[0]
        torch.manual_seed(0)
        network = method._build(16).train()  # pyright: ignore[reportPrivateUsage]
        literal = ECGCNNetwork(16, method.network).train()
        literal.load_state_dict(network.state_dict())
        logits = method._logits(network, training_set, queries)  # pyright: ignore[reportPrivateUsage]
        got = method._loss(*logits)  # pyright: ignore[reportPrivateUsage]
        got.backward()
        expected = literal_loss(method, literal, training_set, queries)
        expected.backward()
        assert got.item() == pytest.approx(expected.item(), rel=1e-5)
        for one, other in zip(network.parameters(), literal.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=0, atol=1e-5)


def literal_loss(
    method: ECGCN,
    network: ECGCNNetwork,
    training_set: LinkTrainingSet,
    queries: NDArray[np.intp],
) -> torch.Tensor:
    """The loss of some queries from Eqs. 8-12 as they stand; batch norm sees the nodes of all
    graphs.
    """
    graph, vectors = method.graph, training_set.retrieval_set.gallery.vectors
    near = training_set.candidates.take(queries).nearest
    if method.training.sampler == "rpgs":
        draws = [generator(0, 0, int(query), 7) for query in queries]
        positive = training_set.targets(queries, near) > 0.5
        near = random_probability_sampler(near, positive, graph.k1, draws)
    graphs, dense = [], []
    for row, query in enumerate(queries):
        others = [other for other in range(60) if other != query]
        among = 1 - vectors.astype(np.float64) @ vectors.T.astype(np.float64)
        nodes = list(map(int, near[row]))
        for image in list(nodes):
            more = slow.nearest(among[image], graph.k2, (image, int(query)))
            nodes += [other for other in more if other not in nodes]
        nodes = nodes[: graph.k1 * graph.k2]
        assert set(nodes) <= set(others)
        kept = np.array(
            [[among[i, j] if j != query else np.inf for j in range(60)] for i in range(60)]
        )
        dense.append(
            torch.from_numpy(slow.adjacency(nodes, kept, graph.links, graph.self_loops)).float()
        )
        graphs.append((nodes, torch.from_numpy(vectors[nodes] - vectors[query]) * 4))
    z = [x for _, x in graphs]
    for layer in range(method.network.layers):
        mixed = torch.cat([network.maps[layer](a @ each) for a, each in zip(dense, z, strict=True)])
        z = list(torch.relu(network.norms[layer](mixed)).split([len(a) for a in dense]))
    total: list[torch.Tensor] = []
    for (nodes, _), query, each in zip(graphs, queries, z, strict=True):
        p = torch.softmax(network.head(each[: graph.k1]), 1)
        for place in range(graph.k1):
            same = bool(
                training_set.labels.identity[nodes[place]] == training_set.labels.identity[query]
            )
            if method.training.loss == "ce":
                total.append(-torch.log(p[place, 0 if same else 1]))
            elif same:
                total.append(-0.25 * (1 - p[place, 0]) ** 2 * torch.log(p[place, 0]))
            else:
                total.append(-0.75 * (1 - p[place, 1]) ** 2 * torch.log(p[place, 1]))
    return torch.stack(total).mean()


def test_layers_are_made_for_nodes_that_matter_alone():
    query, gallery = blobs(0, queries=3, images=60)
    method = known(layers=4, k1=4, k2=3)
    sizes: list[int] = []
    product = SparseAdjacency.__matmul__

    def counted(self: SparseAdjacency, z: Any) -> Any:
        sizes.append(len(self.lists))
        return product(self, z)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SparseAdjacency, "__matmul__", counted)
        quick = all_distances(method, query, Gallery(gallery))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 3 * 4, "the last layer has the scored images alone"
    assert sizes[0] > sizes[-1]
    whole = lambda lists, wanted, layers: [  # noqa: E731  # pyright: ignore
        *[(np.arange(len(lists)), lists)] * (layers - 1),
        (wanted, lists[wanted]),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphreid.methods.ec_gcn.method.receptive_fields", whole)
        literal = all_distances(method, query, Gallery(gallery))
    np.testing.assert_allclose(quick, literal, rtol=0, atol=1e-6)
    assert sparse.receptive_fields is not whole


def test_what_is_kept_for_gallery_images_is_kept_as_the_gallery_grows():
    query, gallery = blobs(2)
    method, half = known(), Gallery(gallery.take(np.arange(30)))
    calls: list[int] = []
    made = ECGCNNetwork.per_image_map

    def counted(self: Any, vectors: Any, device: str) -> Any:
        calls.append(len(vectors))
        return made(self, vectors, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECGCNNetwork, "per_image_map", counted)
        all_distances(method, query, half)
        all_distances(method, query, half)
        got = all_distances(method, query, half.add(gallery.take(np.arange(30, 60))))
    assert calls == [30, 12, 12, 30, 12]
    np.testing.assert_allclose(
        got, all_distances(method, query, Gallery(gallery)), rtol=0, atol=1e-6
    )


def test_without_a_probability_a_distance_is_the_base_distance_plus_lam():
    query, gallery = blobs(0)
    method = known(lam=0.7)
    block = next(iter(method.distances(query, Gallery(gallery))))
    plain = RetrievalSet(query, Gallery(gallery)).block(0, 12)
    assert block.probability is not None
    np.testing.assert_allclose(
        block.distance, plain + 0.7 * (1 - block.probability), rtol=0, atol=1e-6
    )
    nearest = np.argsort(plain, axis=1)[:, :8]
    for one_query in range(12):
        assert set(np.flatnonzero(block.probability[one_query])) == set(nearest[one_query])


def test_a_fit_learns_who_is_who_and_says_what_it_did(tmp_path: Path):
    train, held, test = (labelled(seed, queries=1, images=150)[1] for seed in (1, 2, 3))
    held = held[0], Labels(held[1].identity + 50, held[1].camera)
    options: dict[str, Any] = {
        **SMALL,
        "k1": 20,
        "epochs": 8,
        "lam": "auto",
        "batch": 8,
        "width": 16,
        "rate": 3e-3,
        "layers": 2,
    }
    method = build(ECGCN, **options).fit(*train, validation=held)
    validation = method.record_["validation"]
    assert validation["mAP"] > validation["input"] + 0.01  # .021 to .037 over ten seeds
    assert method.lam_ == validation["lam"] == validation["best_lam"] > 0
    assert method.record_["images"] == 150
    block = next(iter(method.distances(test[0], Gallery(test[0]))))
    right = test[1].identity[:, None] == test[1].identity
    given = block.probability
    assert given is not None
    assert given[right & (given > 0)].mean() > given[~right & (given > 0)].mean() + 0.02
    save(method, tmp_path / "m.safetensors")
    assert isinstance(load(tmp_path / "m.safetensors"), ECGCN)
    plain = all_distances(parse(f"{tmp_path}/m.safetensors:lam=0"), test[0], Gallery(test[0]))
    np.testing.assert_array_equal(
        plain, RetrievalSet(test[0], Gallery(test[0])).distance_block(0, plain).distance
    )
    with pytest.raises(ValueError, match="fit it again with those options"):
        all_distances(parse(f"{tmp_path}/m.safetensors:layers=5"), test[0], Gallery(test[0]))


@pytest.mark.parametrize(("queries", "batches"), [(20, 3), (None, 8)])
def test_an_epoch_has_so_many_queries(queries: int | None, batches: int):
    _, train = labelled(1, images=60)
    totals: set[int] = set()

    def progress(what: str, done: int, total: int) -> None:
        if what == "ec-gcn":
            totals.add(total)

    method = build(ECGCN, **{**SMALL, "queries": queries, "batch": 8, "epochs": 2})
    method.fit(*train, resources=Resources(progress=progress))
    assert totals == {2 * batches}


def test_an_explanation_holds_the_numbers_of_the_distances():
    query, gallery = blobs(4)
    method, snapshot = known(lam=0.8), Gallery(gallery)
    block = next(iter(method.distances(query, snapshot)))
    assert isinstance(method, Explains)
    for one_query in (0, 7):
        given = method.explain(query.take(np.array([one_query])), snapshot)
        assert block.probability is not None
        assert given.probability is not None
        assert len(given.nodes) > method.graph.k1, "neighbours are nodes too"
        np.testing.assert_allclose(
            block.probability[one_query, given.nodes], given.probability, rtol=0, atol=1e-5
        )
        np.testing.assert_array_equal(
            given.rank_after, np.argsort(np.argsort(block.distance[one_query]))[given.nodes] + 1
        )
        sums = np.bincount(given.edges[:, 1], given.weights, minlength=len(given.nodes))
        np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="one at a time"):
        method.explain(query, snapshot)


def test_a_gallery_that_is_the_query_alone():
    only = Features(np.ones((1, 16), np.float32), ["it"])
    assert np.isposinf(all_distances(known(), only, Gallery(only))).all()


def test_its_options_as_published():
    assert isinstance(ECGCN(lam=0.3), GivesScores)
    assert ECGCN(lam=0.3).unscored_offset == 0.3
    paper = build(ECGCN, **ECGCN.PAPER)
    assert (paper.graph.k1, paper.graph.k2, paper.graph.links) == (200, 10, 10)
    assert (paper.network.layers, paper.network.width, paper.lam) == (5, 4096, 0.4)
    training = paper.training
    assert (training.loss, training.alpha, training.focus) == ("focal", 0.25, 2.0)
    assert (training.gamma, training.batch, training.queries) == (1.5, 1, None)
    assert (training.optimizer, training.rate) == ("sgd", 0.01)
    assert (training.schedule, training.epochs) == ("steps", 4)
    factor = steps(milestones(training) or ())
    assert [round(factor(epoch), 6) for epoch in (0, 0.5, 1, 2, 3.9)] == [1, 1, 0.1, 0.01, 0.001]


def test_lam_auto_needs_validation():
    _, train = labelled(1)
    with pytest.raises(ValueError, match="lam='auto' is chosen on validation identities"):
        build(ECGCN, **SMALL, lam="auto").fit(*train)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k1": 0},
        {"k2": 0},
        {"links": 0},
        {"layers": 0},
        {"gamma": 0.9},
        {"lam": -1.0},
        {"alpha": 1.0},
        {"focus": -1.0},
        {"width": 1},
        {"noise": -0.1},
        {"batch": 0},
        {"epochs": 0},
        {"rate": -1.0},
        {"queries": 0},
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(ECGCN, **wrong)
