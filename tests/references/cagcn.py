"""Ji et al. 2021, statement by statement, in float64 and with loops; indices are gallery rows."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def nearest(distance: F64, k: int, without: tuple[int, ...] = ()) -> list[int]:
    """N(x, k) from a row of distances to the gallery."""
    order = [int(row) for row in np.argsort(distance, kind="stable") if row not in without]
    return order[:k]


def hard_samples(to_query: F64, among: F64, k1: int, k2: int, k: int, query: int = -1) -> list[int]:
    """Eq. 1: N(p, k1), then N(g_i, k2) less what is already in, in order, until k; the query is
    never there.
    """
    sampled = nearest(to_query, k1, (query,))
    for image in list(sampled):
        more = nearest(among[image], k2, (image, query))
        sampled += [other for other in more if other not in sampled]
    return sampled[:k]


def neighbours(
    node: int, graph: list[int], among: F64, k2: int, wanted: int, hops: int, query: int = -1
) -> list[int]:
    """H(g_i): its own list, continued by a second hop where fewer than `wanted` of it are in the
    graph.
    """
    first = nearest(among[node], k2, (node, query))
    found = [other for other in first if other in graph]
    if hops == 2:
        for image in first:
            for other in nearest(among[image], k2, (image, query)):
                if other in graph and other not in found and other != node:
                    found.append(other)
    return found[:wanted]


def edges(
    graph: list[int], kind: str, among: F64, k2: int, wanted: int, loops: bool, query: int = -1
) -> NDArray[np.bool_]:
    """Which node hears which, by places in the graph."""
    n = len(graph)
    heard = np.zeros((n, n), bool)
    for i, node in enumerate(graph):
        if kind == "full":
            heard[i] = [j != i for j in range(n)]
        else:
            for other in neighbours(
                node, graph, among, k2, wanted, 2 if kind == "hgs" else 1, query
            ):
                heard[i, graph.index(other)] = True
        if loops or not heard[i].any():
            heard[i, i] = True
    return heard


def adjacency(
    heard: NDArray[np.bool_], v: F64, phi: F64 | None, phi_prime: F64 | None, scaled: bool
) -> F64:
    """Eq. 2, or a binary adjacency with rows that sum to 1."""
    n = len(heard)
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if heard[i, j]:
                out[i, j] = 1.0
                if phi is not None and phi_prime is not None:
                    relation = (phi @ v[i]) @ (phi_prime @ v[j])
                    out[i, j] = np.exp(relation / np.sqrt(len(phi)) if scaled else relation)
        out[i] /= out[i].sum()
    return out


def logits(x: F64, a: F64, weights: dict[str, F64]) -> F64:
    """Eqs. 3-4 in evaluation mode, and the classifier over [X, Z]."""

    def norm(z: F64, name: str) -> F64:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return (z - mean) / np.sqrt(var + 1e-5) * weights[f"{name}.weight"] + weights[
            f"{name}.bias"
        ]

    z = x @ weights["project.weight"].T if "project.weight" in weights else x
    names = [
        "first",
        *sorted({".".join(key.split(".")[:2]) for key in weights if key.startswith("layers.")}),
    ]
    for name in names:
        z = z + norm(np.maximum(a @ z @ weights[f"{name}.map.weight"].T, 0), f"{name}.norm")
    joint = np.concatenate([x, z], axis=1)
    w = np.concatenate(
        [weights["classifier.of_input.weight"], weights["classifier.of_state.weight"]], axis=1
    )
    first = np.maximum(joint @ w.T + weights["classifier.of_state.bias"], 0)
    second = np.maximum(
        first @ weights["classifier.hidden.weight"].T + weights["classifier.hidden.bias"], 0
    )
    return (second @ weights["classifier.out.weight"].T + weights["classifier.out.bias"])[:, 0]


def distances(
    query: F64, gallery: F64, weights: dict[str, F64], options: dict[str, object], lam: float
) -> tuple[F64, F64]:
    """Eq. 5 for one query that is not in the gallery: its distances and probabilities."""
    query, gallery = (
        query / np.linalg.norm(query),
        gallery / np.linalg.norm(gallery, axis=1, keepdims=True),
    )
    original, among = 1 - gallery @ query, 1 - gallery @ gallery.T
    k1, k2, k, links = (int(str(options[name])) for name in ("k1", "k2", "k", "links"))
    graph = (
        hard_samples(original, among, k1, k2, k)
        if options["sampler"] == "hgs"
        else nearest(original, k)
    )
    heard = edges(graph, str(options["edges"]), among, k2, links, bool(options["self_loops"]))
    root = np.sqrt(len(query))
    x = root * (query - gallery[graph])
    v = root * gallery[graph] if options["edge_input"] == "gallery" else x
    phi, phi_prime = (
        np.split(weights["phi.weight"], 2)
        if options["edge_weight"] == "attention"
        else (None, None)
    )
    a = adjacency(heard, v, phi, phi_prime, bool(options["scale_attention"]))
    probability = np.zeros(len(gallery))
    probability[graph] = 1 / (1 + np.exp(-logits(x, a, weights)))
    return original + lam * (1 - probability), probability
