"""HRNet's equations, statement by statement, in float64 and with loops; weights by the module's
names.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Weights = dict[str, F64]


def unit(x: F64) -> F64:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def mu(value: object) -> float:
    number = float(np.asarray(value, np.float64))
    return number if number > 0 else 0.2 * number


def softmax(scores: list[float]) -> F64:
    powers = np.exp(np.array(scores) - max(scores))
    return powers / powers.sum()


def linked(x: F64, count: int | str) -> F64:
    """C (Eq. 1)."""
    n = len(x)
    if count == "full":
        return np.ones((n, n))
    c = np.zeros((n, n))
    for i in range(n):
        distance = [-1.0 if j == i else float(np.linalg.norm(x[i] - x[j])) for j in range(n)]
        for j in np.argsort(distance, kind="stable")[: int(count)]:
            c[i, j] = 1
    return c


def individual(x: F64, weights: Weights, layer: int, options: dict[str, object]) -> tuple[F64, F64]:
    """X' and A o C (Eqs. 1-3)."""
    n = len(x)
    c = linked(x, "full" if options["graph"] == "full" else int(str(options["k"])))
    if not options["self_in_c"]:
        c = c * (1 - np.eye(n))
    first, second = weights[f"individual.{layer}.attention.weight"]
    h = np.concatenate([first, second])
    a = np.zeros((n, n))
    for i in range(n):
        allowed = [j for j in range(n) if options["attention"] == "all" or c[i, j]]
        if allowed:
            a[i, allowed] = softmax([mu(np.concatenate([x[i], x[j]]) @ h) for j in allowed])
    ac = a * c
    return np.maximum((ac + np.eye(n)) @ x @ weights[f"individual.{layer}.map.weight"].T, 0), ac


def images(x: F64, weights: Weights, options: dict[str, object]) -> list[F64]:
    """The images before and after each layer."""
    out = [x]
    for layer in range(
        sum(key.endswith("map.weight") and key.startswith("individual") for key in weights)
    ):
        out.append(individual(out[-1], weights, layer, options)[0])
    return out


def pairs(
    f: F64, v: F64, anchor: int, weights: Weights, options: dict[str, object]
) -> tuple[F64, F64]:
    """Logits and G of one anchor's pairs (Eqs. 6-9)."""
    n, alpha, beta = len(f), float(str(options["alpha"])), float(str(options["beta"]))
    u = f[anchor] - f
    name = "pairwise."
    h_p = np.concatenate([*weights[f"{name}attention.weight"]])
    w_p = weights[f"{name}map.weight"].T
    c = linked(f, str(options["edges"]))
    g, logits = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        allowed = [j for j in range(n) if c[i, j]]
        g[i, allowed] = softmax([mu(np.concatenate([u[i], u[j]]) @ h_p) for j in allowed])
        heard = sum(g[i, j] * u[j] @ w_p for j in range(n))
        if options["propagation"]:
            w_l, w_r = (part.T for part in np.split(weights[f"{name}propagation.map.weight"], 2))
            pair, image = (
                weights[f"{name}propagation.of_pair.weight"],
                weights[f"{name}propagation.of_image.weight"],
            )
            of_anchor = mu(np.concatenate([u[i], v[anchor]]) @ np.concatenate([pair[0], image[0]]))
            of_other = mu(np.concatenate([u[i], v[i]]) @ np.concatenate([pair[1], image[1]]))
            q = softmax([of_anchor, of_other])
            heard = beta * heard + (1 - beta) * (q[0] * v[anchor] @ w_l + q[1] * v[i] @ w_r)
        new = alpha * u[i] + (1 - alpha) * np.maximum(heard, 0)
        new = np.abs(new) if options["readout"] == "absolute" else new
        logits[i] = new @ weights[f"{name}readout.weight"][0] + weights[f"{name}readout.bias"][0]
    return logits, g


def distances(
    query: F64, gallery: F64, weights: Weights, options: dict[str, object]
) -> tuple[F64, F64]:
    """Distances and probabilities of one query that is not in the gallery."""
    to = unit(gallery) @ unit(query)
    nodes = np.argsort(1 - to, kind="stable")[: int(str(options["nodes"]))]
    f = np.sqrt(len(query)) * unit(np.concatenate([query[None], gallery[nodes]]))
    v = images(f, weights, options)[-1]
    lam = float(str(options["lam"]))
    out, probability = 2 + lam + 1 - to, np.zeros(len(gallery))
    out[nodes] = 0
    if options["individual"]:
        out[nodes] += 1 - unit(v[1:]) @ unit(v[0])
    if options["pairwise"]:
        probability[nodes] = 1 / (1 + np.exp(-pairs(f, v, 0, weights, options)[0][1:]))
        out[nodes] += lam * (1 - probability[nodes])
    return out, probability


def constraint(before: F64, after: F64, classes: list[int], margin: float) -> float:
    """Eqs. 4-5, the means over nodes, of the hardest by the distances after."""
    m_in = np.linalg.norm(before[:, None] - before[None], axis=2)
    m_out = np.linalg.norm(after[:, None] - after[None], axis=2)
    positive: list[float] = []
    negative: list[float] = []
    for i, own in enumerate(classes):
        same = [j for j, other in enumerate(classes) if other == own and j != i]
        apart = [j for j, other in enumerate(classes) if other != own]
        if same:
            j = max(same, key=lambda each: m_out[i, each])
            positive.append(max(0.0, m_out[i, j] - m_in[i, j] + margin))
        if apart:
            j = min(apart, key=lambda each: m_out[i, each])
            negative.append(max(0.0, m_in[i, j] - m_out[i, j] + margin))
    return float(np.mean(positive or [0]) + np.mean(negative or [0]))


def verification(logits: F64, classes: list[int], balance: bool) -> float:
    """Eq. 13 over all pairs of two images; balanced, the mean of the means over pairs of one
    identity and of two.
    """
    right: list[float] = []
    wrong: list[float] = []
    for i, own in enumerate(classes):
        for j, other in enumerate(classes):
            if i != j:
                t = 1 / (1 + np.exp(-logits[i, j]))
                right += [-np.log(t)] if own == other else []
                wrong += [-np.log(1 - t)] if own != other else []
    return float((np.mean(right) + np.mean(wrong)) / 2 if balance else np.mean(right + wrong))


def classification(logits: F64, classes: list[int], smoothing: float) -> float:
    """Eqs. 10-11."""
    s = logits.shape[1]
    total = 0.0
    for row, own in zip(logits, classes, strict=True):
        p = np.full(s, smoothing / s)
        p[own] = 1 - (s - 1) / s * smoothing
        total -= float(p @ (row - np.log(np.exp(row).sum())))
    return total / len(classes)
