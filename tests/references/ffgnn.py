"""The FFGNN paper's equations, statement by statement, in float64 and with loops; a node is an
index into the graph.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Weights = dict[str, F64]


def unit(x: F64) -> F64:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def top(similarity: F64, i: int, k: int) -> set[int]:
    """topk(x_i): x_i itself and its k nearest others."""
    others = sorted(
        (j for j in range(len(similarity)) if j != i), key=lambda j: (-similarity[i, j], j)
    )
    return {i, *others[:k]}


def reciprocal(similarity: F64, k: int) -> list[set[int]]:
    """Eq. 5."""
    near = [top(similarity, i, k) for i in range(len(similarity))]
    return [{j for j in near[i] if i in near[j]} for i in range(len(similarity))]


def jaccard(c: F64, sets: list[set[int]]) -> F64:
    """Eqs. 6-7."""
    n = len(c)
    v = np.array([[c[i, j] if j in sets[i] else 0.0 for j in range(n)] for i in range(n)])
    return np.array(
        [
            [np.minimum(v[i], v[j]).sum() / np.maximum(v[i], v[j]).sum() for j in range(n)]
            for i in range(n)
        ]
    )


def adjacency(x: F64, options: dict[str, object], sets: list[set[int]] | None = None) -> F64:
    """S (Eqs. 2-3 and 8-10) from the nodes' vectors."""
    n = len(x)
    c = np.maximum(unit(x) @ unit(x).T, 0)
    a = c
    if options["edges"] == "joint":
        lam = float(str(options["lam"]))
        sets = reciprocal(c, int(str(options["reciprocal"]))) if sets is None else sets
        a = lam * jaccard(c, sets) + (1 - lam) * c
    if options["mask"]:
        tau = min(int(str(options["tau"])), n)
        b = np.array(
            [[1.0 if a[i, j] >= np.sort(a[i])[-tau] else 0.0 for j in range(n)] for i in range(n)]
        )
        a = a * b
    sums = a.sum(axis=1)
    return np.array([[a[i, j] / np.sqrt(sums[i] * sums[j]) for j in range(n)] for i in range(n)])


def fuse(x: F64, s: F64, weights: Weights, alpha: float) -> F64:
    """Eqs. 11-12, batch norm as at test."""
    for t in range(sum(key.startswith("maps.") for key in weights)):
        w, norm = weights[f"maps.{t}.weight"], f"norms.{t}"
        heard = np.zeros_like(x)
        for i in range(len(x)):
            for j in range(len(x)):
                heard[i] += s[i, j] * (w @ x[j])
        heard = (heard - weights[f"{norm}.running_mean"]) / np.sqrt(
            weights[f"{norm}.running_var"] + 1e-5
        )
        heard = heard * weights[f"{norm}.weight"] + weights[f"{norm}.bias"]
        x = (1 - alpha) * x + alpha * np.maximum(heard, 0)
    return x


def graph(query: F64, gallery: F64, k: int) -> list[int]:
    """The K nearest gallery images."""
    return np.argsort(1 - unit(gallery) @ unit(query), kind="stable")[:k].tolist()


def gallery_sets(query: F64, gallery: F64, nodes: list[int], k: int) -> list[set[int]]:
    """Reciprocal sets by the whole gallery's neighbours, the gallery's lists its own; node 0 is the
    query.
    """
    among = unit(gallery) @ unit(gallery).T
    near = [top(among, i, k) for i in range(len(gallery))]
    to = unit(gallery) @ unit(query)
    of_query = set(np.argsort(-to, kind="stable")[:k].tolist())

    def has(i: int, j: int) -> bool:
        if i == j == 0:
            return True
        if 0 in (i, j):
            g = nodes[max(i, j) - 1]
            kth = sorted(among[g, other] for other in near[g] if other != g)[0]
            return g in of_query and to[g] >= kth
        return nodes[i - 1] in near[nodes[j - 1]] and nodes[j - 1] in near[nodes[i - 1]]

    n = len(nodes) + 1
    return [{j for j in range(n) if has(i, j)} for i in range(n)]


def fused(
    query: F64, gallery: F64, weights: Weights, options: dict[str, object]
) -> tuple[list[int], F64]:
    """The nodes, gallery rows, and the fused features of the query and of them."""
    nodes = graph(query, gallery, int(str(options["k"])))
    x = np.sqrt(len(query)) * unit(np.concatenate([query[None], gallery[nodes]]))
    sets = (
        gallery_sets(query, gallery, nodes, int(str(options["reciprocal"])))
        if options["scope"] == "gallery"
        else None
    )
    return nodes, fuse(x, adjacency(x, options, sets), weights, float(str(options["alpha"])))


def distances(query: F64, gallery: F64, weights: Weights, options: dict[str, object]) -> F64:
    """1 - cosine of fused features in the graph, 2 + the base distance beyond."""
    nodes, x = fused(query, gallery, weights, options)
    out = 2 + 1 - unit(gallery) @ unit(query)
    out[nodes] = 1 - unit(x[1:]) @ unit(x[0])
    return out


def losses(x: F64, classes: list[int], logits: F64, margin: float) -> tuple[float, float, float]:
    """Eqs. 13-15 as means; classes below 0 are distractors, of no class."""
    n = len(x)
    softmax = [
        -logits[i, classes[i]] + np.log(np.exp(logits[i]).sum())
        for i in range(n)
        if classes[i] >= 0
    ]
    triplet: list[float] = []
    for i in range(n):
        positive = [
            np.linalg.norm(x[i] - x[j]) for j in range(n) if j != i and classes[j] == classes[i]
        ]
        negative = [np.linalg.norm(x[i] - x[j]) for j in range(n) if classes[j] != classes[i]]
        if positive and negative:
            triplet.append(max(0.0, float(margin + max(positive) - min(negative))))
    c = unit(x) @ unit(x).T
    verification = [
        (float(classes[i] == classes[j]) - c[i, j]) ** 2
        for i in range(n)
        for j in range(n)
        if classes[i] >= 0 or classes[j] >= 0
    ]
    return float(np.mean(softmax)), float(np.mean(triplet)), float(np.mean(verification))
