"""The viewer's drawings, as SVG that the page holds itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np
from jaxtyping import Float32, Float64, Int64

from graphreid.protocols import Explanation
from graphreid.types import Neighbors

BINS, WIDE, HIGH = 48, 640, 220
NODES, EDGES, AROUND = 24, 120, 10
"""Images and edges in a drawn graph, at most; and neighbours of an image that make edges where a
method makes none.
"""
SIDE, SCREEN = 46, 640
"""Units of a thumbnail and of the whole drawing."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A graph to draw.

    Attributes:
        nodes: int64 [n], gallery rows.
        edges: int64 [e, 2], places in `nodes`.
        weights: float32 [e].
        probability: float32 [n], that a node shows the query's identity; None where nothing says
            so.
        heard: float32 [n], how much the query hears each node; None where it is no node.
        words: a line on each node.
        own: whether these are the method's own edges, or the gallery's neighbour lists.
    """

    nodes: Int64[np.ndarray, " n"]
    edges: Int64[np.ndarray, "e 2"]
    weights: Float32[np.ndarray, " e"]
    probability: Float32[np.ndarray, " n"] | None
    heard: Float32[np.ndarray, " n"] | None
    words: Sequence[str]
    own: bool


def of_method(made: Explanation) -> Drawn:
    """The images that a method puts first in its graph of a query, and the heaviest edges between
    them.
    """
    order = np.argsort(made.after, kind="stable")[:NODES]
    place = np.full(len(made.nodes), -1, np.int64)
    place[order] = np.arange(len(order))
    both = (place[made.edges] >= 0).all(axis=1) & (made.edges[:, 0] != made.edges[:, 1])
    heavy = np.flatnonzero(both)[np.argsort(-made.weights[both], kind="stable")[:EDGES]]
    probability = None if made.probability is None else made.probability[order]
    words = [
        f"rank {before} before, {after} after"
        for before, after in zip(made.before[order], made.after[order], strict=True)
    ]
    heard = None if made.heard is None else made.heard[order]
    if heard is not None:
        words = [
            f"{word}, heard by the query: {weight:.4f}"
            for word, weight in zip(words, heard.tolist(), strict=True)
        ]
    return Drawn(
        made.nodes[order],
        place[made.edges[heavy]],
        made.weights[heavy],
        probability,
        heard,
        words,
        own=True,
    )


def of_lists(
    rows: Int64[np.ndarray, " n"], distance: Float32[np.ndarray, " n"], near: Neighbors
) -> Drawn:
    """A method's first images, joined where one is in the other's neighbour list."""
    rows, distance = rows[:NODES], distance[:NODES]
    place = {row: number for number, row in enumerate(rows.tolist())}
    found: dict[tuple[int, int], float] = {}
    for row, number in place.items():
        for other, apart in zip(
            near.index[row, :AROUND].tolist(), near.distance[row, :AROUND].tolist(), strict=True
        ):
            if other in place:
                found[number, place[other]] = 1 / (1 + apart)
    edges = np.array(list(found), np.int64).reshape(-1, 2)
    words = [
        f"rank {rank}, distance {apart:.4f}" for rank, apart in enumerate(distance.tolist(), 1)
    ]
    return Drawn(
        rows, edges, np.array(list(found.values()), np.float32), None, None, words, own=False
    )


def graph(drawn: Drawn, items: Sequence[str], query: str | None) -> str:
    """A drawing with thumbnails for nodes; the query is in the middle.

    Args:
        drawn: what to draw.
        items: the item of each node.
        query: the address of the query's picture, None where it has none.
    """
    at = layout(len(drawn.nodes), drawn.edges, drawn.weights)
    middle = SCREEN / 2
    low, high = (
        edge(np.append(at, [[middle, middle]], axis=0), axis=0) for edge in (np.min, np.max)
    )
    (left, top), (wide, tall) = low - SIDE, high - low + 2 * SIDE
    shape = f"{left:.0f} {top:.0f} {wide:.0f} {tall:.0f}"
    parts = [f'<svg class="graph" viewBox="{shape}" role="img" aria-label="graph of the query">']
    loudest = 0.0 if drawn.heard is None else float(drawn.heard.max(initial=1e-9))
    for number, (x, y) in enumerate(at.tolist()):
        colour = _colour(None if drawn.probability is None else float(drawn.probability[number]))
        # where the query is a node, its spokes are its edges
        width = (
            ""
            if drawn.heard is None
            else f";stroke-width:{0.4 + 2.6 * float(drawn.heard[number]) / loudest:.2f}"
        )
        line = (
            f'<line class="spoke" x1="{middle}" y1="{middle}" x2="{x:.1f}" y2="{y:.1f}" '
            f'style="stroke:{colour}{width}"/>'
        )
        parts.append(line)
    names = [escape(item) for item in items]
    most = float(drawn.weights.max(initial=1e-9))
    for (one, other), weight in zip(drawn.edges.tolist(), drawn.weights.tolist(), strict=True):
        (x1, y1), (x2, y2) = at[one], at[other]
        share = weight / most
        parts.append(
            f'<line class="edge" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke-width="{0.6 + 2.4 * share:.2f}"'
            f' stroke-opacity="{0.2 + 0.7 * share:.2f}"><title>{names[one]} hears {names[other]}: '
            f"weight"
            f" {weight:.4f}</title></line>"
        )
    for number, ((x, y), item) in enumerate(zip(at.tolist(), items, strict=True)):
        chance = None if drawn.probability is None else float(drawn.probability[number])
        says = f"{item}: {drawn.words[number]}" + (
            "" if chance is None else f", link probability {chance:.3f}"
        )
        name = quote(item, safe="")
        parts.append(
            _node(x, y, f"/picture?item={name}", _colour(chance), says, f"/view?item={name}")
        )
    parts.append(_node(middle, middle, query, "var(--link)", "the query", None))
    return "\n".join([*parts, "</svg>"])


def layout(
    n: int, edges: Int64[np.ndarray, "e 2"], weights: Float32[np.ndarray, " e"]
) -> Float64[np.ndarray, "n 2"]:
    """Places in the drawing: on a spiral by rank around the query, drawn together along edges, and
    apart where too close.
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
    """Scores of all images, their counts on a logarithmic scale, with the threshold and the first
    image's score.
    """
    finite = score[np.isfinite(score)].astype(np.float64)
    if not len(finite):
        return ""
    low, high = float(finite.min()), float(finite.max())
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    high = high if high > low else low + 1
    count, edges = np.histogram(finite, BINS, (low, high))
    tall = np.log10(1 + count) / np.log10(1 + count.max())
    left, floor, step = 8.0, HIGH - 42.0, (WIDE - 16) / BINS

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDE - 16)

    parts = [
        f'<svg class="histogram" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(name)} '
        f'of all images">'
    ]
    for number, many in enumerate(count.tolist()):
        top = floor - (floor - 40) * float(tall[number])
        parts.append(
            f'<rect x="{left + number * step:.1f}" y="{top:.1f}" width="{step - 1:.1f}" '
            f'height="{floor - top:.1f}">'
            f"<title>{many:,} images from {edges[number]:.4f} to "
            f"{edges[number + 1]:.4f}</title></rect>"
        )
    parts.append(f'<line class="axis" x1="{left}" y1="{floor}" x2="{WIDE - 8}" y2="{floor}"/>')
    for value, anchor in ((low, "start"), (high, "end")):
        parts.append(
            f'<text x="{across(value):.1f}" y="{floor + 18}" '
            f'text-anchor="{anchor}">{value:.3f}</text>'
        )
    parts.append(f'<text x="{WIDE / 2}" y="{HIGH - 4}" text-anchor="middle">{escape(name)}</text>')
    for value, kind, says, high_up in (
        (threshold, "threshold", "threshold", 15),
        (first, "first", "first", 34),
    ):
        if value is not None:
            x = across(value)
            anchor = "start" if x < WIDE / 2 else "end"
            parts.append(
                f'<line class="{kind}" x1="{x:.1f}" y1="{high_up + 2}" x2="{x:.1f}" y2="{floor}"/>'
            )
            shift = 4 if anchor == "start" else -4
            parts.append(
                f'<text x="{x + shift:.1f}" y="{high_up}" text-anchor="{anchor}">{says} '
                f"{value:.4f}</text>"
            )
    return "\n".join([*parts, "</svg>"])


def scatter(
    at: Float64[np.ndarray, "n 2"], items: Sequence[str], groups: Sequence[str | None]
) -> str:
    """A map: a dot an image, coloured by its identity; each leads to its page."""
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
        says = escape(item) + ("" if group is None else f", identity {escape(group)}")
        parts.append(
            f'<a href="/view?item={quote(item, safe="")}"><circle cx="{x:.1f}" cy="{y:.1f}" '
            f'r="4.5" style="fill:{colour}">'
            f"<title>{says}</title></circle></a>"
        )
    return "\n".join([*parts, "</svg>"])


def _node(x: float, y: float, picture: str | None, colour: str, says: str, link: str | None) -> str:
    box = f'x="{x - SIDE / 2:.1f}" y="{y - SIDE / 2:.1f}" width="{SIDE}" height="{SIDE}"'
    fit = 'preserveAspectRatio="xMidYMid slice"'
    image = "" if picture is None else f'<image href="{escape(picture)}" {box} {fit}/>'
    frame = f'<rect class="node" {box} rx="3" style="stroke:{colour}"/>'
    whole = f'<g><title>{escape(says)}</title><rect class="back" {box}/>{image}{frame}</g>'
    return (
        whole
        if link is None
        else f'<a href="{escape(link)}" aria-label="{escape(says)}">{whole}</a>'
    )


def _colour(probability: float | None) -> str:
    if probability is None:
        return "var(--muted)"
    return f"color-mix(in oklab, var(--right) {100 * probability:.0f}%, var(--wrong))"
