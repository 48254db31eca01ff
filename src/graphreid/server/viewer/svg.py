"""The viewer's drawings as SVG text: the graph of a query, a histogram of scores, a map."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np
from jaxtyping import Float32, Float64, Int64

from graphreid.types import Explanation, Neighbors, positions

BINS, WIDTH, HEIGHT = 48, 640, 220
"""Of a histogram: its bins, and units of its drawing."""
NODES = 24
EDGES = 120
"""Images and edges of a drawn graph, at most."""
NEIGHBORS = 10
"""Neighbours of an image that are its sources where a method makes no graph."""
SIDE, SCREEN = 46, 640
"""Units of a thumbnail and of the whole drawing."""


def strongest(explanation: Explanation) -> Explanation:
    """The part of a method's graph that is drawn: the NODES images that the method ranks first, and
    the EDGES heaviest edges between them.
    """
    first = np.argsort(explanation.rank_after, kind="stable")[:NODES]
    place = np.full(len(explanation.nodes), -1, np.int64)
    place[first] = np.arange(len(first))
    source, target = place[explanation.edges].T
    drawn = np.flatnonzero((source >= 0) & (target >= 0) & (source != target))
    heavy = drawn[np.argsort(-explanation.weights[drawn], kind="stable")[:EDGES]]
    probability = explanation.probability
    query_weights = explanation.query_weights
    return Explanation(
        nodes=explanation.nodes[first],
        edges=place[explanation.edges[heavy]],
        weights=explanation.weights[heavy],
        probability=None if probability is None else probability[first],
        rank_before=explanation.rank_before[first],
        rank_after=explanation.rank_after[first],
        query_weights=None if query_weights is None else query_weights[first],
    )


def from_neighbors(
    rows: Int64[np.ndarray, " n"], rank_before: Int64[np.ndarray, " g"], neighbors: Neighbors
) -> Explanation:
    """In place of a method's graph: the first images of its ranked list, with an edge to each from
    those that are among its nearest neighbours in the gallery.

    Args:
        rows: gallery rows of the list, nearest first.
        rank_before: each gallery image's rank by the base distance.
        neighbors: of the gallery's images; the edges' weights are 1 / (1 + distance).
    """
    rows = rows[:NODES]
    target, nth = np.indices((len(rows), min(NEIGHBORS, neighbors.k))).reshape(2, -1)
    source = positions(rows, neighbors.index[rows[target], nth])
    target, nth, source = (each[source >= 0] for each in (target, nth, source))
    return Explanation(
        nodes=rows,
        edges=np.stack([source, target], axis=1).astype(np.int64),
        weights=1 / (1 + neighbors.distance[rows[target], nth]),
        probability=None,
        rank_before=rank_before[rows],
        rank_after=np.arange(1, len(rows) + 1),
    )


def graph(explanation: Explanation, items: Sequence[str], query: str | None) -> str:
    """A drawing of a graph with thumbnails for nodes; the query is in the middle.

    Args:
        explanation: what to draw (`strongest`).
        items: the item of each node.
        query: the address of the query's picture, None where it has none.
    """
    at = layout(len(explanation.nodes), explanation.edges, explanation.weights)
    middle = SCREEN / 2
    corners = np.append(at, [[middle, middle]], axis=0)
    left, top = corners.min(axis=0) - SIDE
    width, height = np.ptp(corners, axis=0) + 2 * SIDE
    box = f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}"
    nodes = [_NodeText.of(explanation, node, item) for node, item in enumerate(items)]
    parts = [f'<svg class="graph" viewBox="{box}" role="img" aria-label="graph of the query">']
    for (x, y), node in zip(at.tolist(), nodes, strict=True):
        parts.append(
            f'<line class="spoke" x1="{middle}" y1="{middle}" x2="{x:.1f}" y2="{y:.1f}" '
            f'style="stroke:{node.colour}{node.spoke}"/>'
        )
    names = [escape(item) for item in items]
    heaviest = float(explanation.weights.max(initial=1e-9))
    for (source, target), weight in zip(
        explanation.edges.tolist(), explanation.weights.tolist(), strict=True
    ):
        (x1, y1), (x2, y2) = at[source], at[target]
        share = weight / heaviest
        parts.append(
            f'<line class="edge" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke-width="{0.6 + 2.4 * share:.2f}" stroke-opacity="{0.2 + 0.7 * share:.2f}">'
            f"<title>{names[source]} → {names[target]}: weight {weight:.4f}"
            "</title></line>"
        )
    for (x, y), item, node in zip(at.tolist(), items, nodes, strict=True):
        name = quote(item, safe="")
        parts.append(
            _node(x, y, f"/picture?item={name}", node.colour, node.title, f"/view?item={name}")
        )
    parts.append(_node(middle, middle, query, "var(--link)", "the query", None))
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _NodeText:
    """What a node of a drawn graph shows: its frame's colour, its title, and the style of the line
    from the query to it, whose width is the weight of that edge.
    """

    colour: str
    title: str
    spoke: str

    @classmethod
    def of(cls, explanation: Explanation, node: int, item: str) -> "_NodeText":
        """The text of a node."""
        before = explanation.rank_before[node]
        after = explanation.rank_after[node]
        title = f"{item}: rank {before} before, {after} after"
        spoke = ""
        probability = None
        if explanation.query_weights is not None:
            weight = float(explanation.query_weights[node])
            share = weight / float(explanation.query_weights.max(initial=1e-9))
            title += f", edge to the query: weight {weight:.4f}"
            spoke = f";stroke-width:{0.4 + 2.6 * share:.2f}"
        if explanation.probability is not None:
            probability = float(explanation.probability[node])
            title += f", link probability {probability:.3f}"
        return cls(_colour(probability), title, spoke)


def layout(
    n: int, edges: Int64[np.ndarray, "e 2"], weights: Float32[np.ndarray, " e"]
) -> Float64[np.ndarray, "n 2"]:
    """Positions of a graph's nodes in the drawing: on a spiral by rank around the query, moved
    together along edges, and apart where too close.
    """
    angle = 2.399963 * np.arange(n)  # the golden angle
    radius = 0.19 + 0.25 * np.sqrt((np.arange(n) + 1) / max(n, 1))
    begin = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    at = begin.copy()
    scale = weights / max(float(weights.max(initial=0)), 1e-9)
    joined = np.maximum(np.bincount(edges.ravel(), minlength=n), 1)[:, None]
    for step in range(240):
        apart = at[:, None] - at[None]
        length = np.maximum(np.linalg.norm(apart, axis=2), 1e-6)
        move = 0.4 * ((np.maximum(0.13 - length, 0) / length)[:, :, None] * apart).sum(axis=1)
        if step < 160:  # the last steps only make room
            pull = np.zeros_like(at)
            along = (at[edges[:, 1]] - at[edges[:, 0]]) * scale[:, None]
            np.add.at(pull, edges[:, 0], along)
            np.add.at(pull, edges[:, 1], -along)
            move += 0.03 * pull / joined + 0.03 * (begin - at)
        at += move
        length = np.linalg.norm(at, axis=1, keepdims=True)
        at *= np.clip(length, 0.16, 0.45) / np.maximum(length, 1e-6)
    return SCREEN * (at + 0.5)


def histogram(
    score: Float32[np.ndarray, " g"], threshold: float | None, first: float | None, name: str
) -> str:
    """A histogram of the scores of all images, with counts on a logarithmic scale.

    Args:
        score: of each gallery image; infinite ones are left out.
        threshold: drawn as a line, None where there is none.
        first: the score of the first image, drawn as a line; None where there is none.
        name: what a score is called.
    """
    finite = score[np.isfinite(score)].astype(np.float64)
    if not len(finite):
        return ""
    low, high = float(finite.min()), float(finite.max())
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    high = high if high > low else low + 1
    count, edges = np.histogram(finite, BINS, (low, high))
    height = np.log10(1 + count) / np.log10(1 + count.max())
    left = 8.0
    floor = HEIGHT - 42.0
    step = (WIDTH - 16) / BINS

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - 16)

    parts = [
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)} of all images">'
    ]
    for number, images in enumerate(count.tolist()):
        top = floor - (floor - 40) * float(height[number])
        parts.append(
            f'<rect x="{left + number * step:.1f}" y="{top:.1f}" width="{step - 1:.1f}" '
            f'height="{floor - top:.1f}">'
            f"<title>{images:,} images from {edges[number]:.4f} to "
            f"{edges[number + 1]:.4f}</title></rect>"
        )
    parts.append(f'<line class="axis" x1="{left}" y1="{floor}" x2="{WIDTH - 8}" y2="{floor}"/>')
    for value, anchor in ((low, "start"), (high, "end")):
        parts.append(
            f'<text x="{across(value):.1f}" y="{floor + 18}" '
            f'text-anchor="{anchor}">{value:.3f}</text>'
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(name)}</text>'
    )
    for value, line, label_y in ((threshold, "threshold", 15), (first, "first", 34)):
        if value is not None:
            x = across(value)
            anchor = "start" if x < WIDTH / 2 else "end"
            parts.append(
                f'<line class="{line}" x1="{x:.1f}" y1="{label_y + 2}" x2="{x:.1f}" y2="{floor}"/>'
            )
            shift = 4 if anchor == "start" else -4
            parts.append(
                f'<text x="{x + shift:.1f}" y="{label_y}" text-anchor="{anchor}">{line} '
                f"{value:.4f}</text>"
            )
    return "\n".join([*parts, "</svg>"])


def scatter(
    at: Float64[np.ndarray, "n 2"], items: Sequence[str], groups: Sequence[str | None]
) -> str:
    """A map: a dot an image, coloured by its identity, linked to its page.

    Args:
        at: float64 [n, 2], positions in any unit.
        items: of the images.
        groups: their identities, None where they have none.
    """
    low, high = at.min(axis=0), at.max(axis=0)
    place = 14 + (at - low) / np.maximum(high - low, 1e-9) * (SCREEN - 28)
    names = {
        name: number
        for number, name in enumerate(sorted({name for name in groups if name is not None}))
    }
    parts = [
        f'<svg class="map" viewBox="0 0 {SCREEN} {SCREEN}" role="img" aria-label="map of the '
        f'gallery">'
    ]
    for (x, y), item, group in zip(place.tolist(), items, groups, strict=True):
        # hues a golden angle apart, so that identities that follow each other differ
        colour = (
            "var(--muted)" if group is None else f"hsl({names[group] * 137.508 % 360:.0f} 60% 48%)"
        )
        title = escape(item) + ("" if group is None else f", identity {escape(group)}")
        parts.append(
            f'<a href="/view?item={quote(item, safe="")}"><circle cx="{x:.1f}" cy="{y:.1f}" '
            f'r="4.5" style="fill:{colour}">'
            f"<title>{title}</title></circle></a>"
        )
    return "\n".join([*parts, "</svg>"])


def _node(
    x: float, y: float, picture: str | None, colour: str, title: str, link: str | None
) -> str:
    box = f'x="{x - SIDE / 2:.1f}" y="{y - SIDE / 2:.1f}" width="{SIDE}" height="{SIDE}"'
    fit = 'preserveAspectRatio="xMidYMid slice"'
    image = "" if picture is None else f'<image href="{escape(picture)}" {box} {fit}/>'
    frame = f'<rect class="node" {box} rx="3" style="stroke:{colour}"/>'
    whole = f'<g><title>{escape(title)}</title><rect class="back" {box}/>{image}{frame}</g>'
    return (
        whole
        if link is None
        else f'<a href="{escape(link)}" aria-label="{escape(title)}">{whole}</a>'
    )


def _colour(probability: float | None) -> str:
    if probability is None:
        return "var(--muted)"
    return f"color-mix(in oklab, var(--right) {100 * probability:.0f}%, var(--wrong))"
