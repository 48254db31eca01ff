"""The report's figures, drawn by matplotlib as SVG in the colours of the page's style, light or
dark.
"""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from graphreid.metrics.open_set import Point, Separation
from graphreid.metrics.report import Report
from graphreid.report import heatmaps

METHOD_COLOURS = 9
"""Colours of methods in theme.css, --s0 to --s8; further methods have dashed lines."""
RANKS = 20
"""Ranks of a CMC curve."""
BARS = 60
IDENTITY_COLOURS = (
    "#4e79a7",
    "#f28e2b",
    "#e15759",
    "#5aa9a2",
    "#59a14f",
    "#b8960c",
    "#b07aa1",
    "#d4608a",
    "#9c755f",
    "#7f8790",
)

# colours that nothing else has: they become the page's own
_NAMES = (
    "ink",
    "muted",
    "rule",
    "right",
    "wrong",
    *(f"s{number}" for number in range(METHOD_COLOURS)),
)
_STYLE = {name: f"#0102{number + 16:02x}" for number, name in enumerate(_NAMES)}


def line_style(number: int) -> tuple[str, str]:
    """The colour of the method at a place, by its name in theme.css, and "solid" or "dashed"."""
    return f"s{number % METHOD_COLOURS}", "solid" if number < METHOD_COLOURS else "dashed"


def percent(rate: float) -> str:
    """0.001 as "0.1 %"."""
    return f"{100 * rate:g} %"


def cmc_curves(reports: Sequence[Report]) -> str:
    """Cumulative matching characteristics of each method, at ranks 1 to RANKS."""
    figure, axes = _figure(380, 240)
    ranks = np.array(reports[0].cmc_ranks(range(1, RANKS + 1)))
    low = 1.0
    for number, report in enumerate(reports):
        colour, line = line_style(number)
        shares = [report.cmc(int(k)) for k in ranks]
        low = min(low, shares[0])
        axes.plot(
            ranks,
            shares,
            color=_STYLE[colour],
            linestyle=line,
            linewidth=1.8,
            marker="o",
            markersize=2.6,
        )
    axes.set_xlabel("rank k")
    axes.set_ylabel("share of queries found by rank k")
    axes.set_xticks(reports[0].cmc_ranks([1, 5, 10, 15, 20]))
    axes.set_ylim(max(0.0, np.floor(low * 20 - 0.5) / 20), 1.005)
    return _svg(figure, "CMC curves: share of queries with a right image among the first k")


def roc_curves(separations: Sequence[tuple[int, Separation]]) -> str:
    """False non-match rate over false-match rate.

    Args:
        separations: (place, scores) of the methods whose scores compare between queries.
    """
    figure, axes = _figure(380, 240)
    left = 1e-2
    for number, separation in separations:
        colour, line = line_style(number)
        _, false, missed = separation.roc()
        lowest = max(1 / max(int(separation.wrong.sum()), 1), 1e-6)
        left = min(left, lowest)
        # at most 300 points, evenly along the logarithm of the rate
        wanted = np.geomspace(lowest, 1, 300)
        place = np.unique(np.clip(np.searchsorted(false, wanted, "right") - 1, 0, len(false) - 1))
        place = place[false[place] > 0]
        axes.plot(false[place], missed[place], color=_STYLE[colour], linestyle=line, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("false-match rate (FMR)")
    axes.set_ylabel("false non-match rate (FNMR)")
    return _svg(figure, "False non-match rate over false-match rate")


def score_histograms(
    number: int, separation: Separation, points: Sequence[tuple[float, Point]]
) -> str:
    """Histograms of the scores of right and of wrong pairs.

    Args:
        number: tells the page's histograms apart.
        separation: the scores.
        points: (false-match rate, threshold), drawn as lines.
    """
    figure, axes = _figure(380, 210)
    edges, right, wrong = separation.histogram(BARS)
    axes.stairs(right, edges, fill=True, color=_STYLE["right"], alpha=0.3)
    axes.stairs(wrong, edges, fill=True, color=_STYLE["wrong"], alpha=0.2)
    axes.stairs(right, edges, color=_STYLE["right"], linewidth=1.4)
    axes.stairs(wrong, edges, color=_STYLE["wrong"], linewidth=1.4, linestyle="dashed")
    top = max(float(right.max()), float(wrong.max()))
    axes.set_ylim(0, top * (1.3 if points else 1.05))
    # the highest line is the rightmost: its label, to its left, passes over the others
    for nth, (rate, point) in enumerate(points):
        height = 1.24 - 0.09 * nth
        axes.plot([point.threshold] * 2, [0, top * height], color=_STYLE["ink"], linewidth=0.9)
        axes.annotate(
            percent(rate),
            (point.threshold, top * height),
            xytext=(-3, -3),
            textcoords="offset points",
            ha="right",
            va="center",
            color=_STYLE["ink"],
        )
    axes.set_yticks([])
    axes.set_xlabel(separation.score)
    axes.set_ylabel("share of pairs")
    axes.grid(visible=False)
    return _svg(
        figure, f"Histograms of the {separation.score} of right pairs and of wrong pairs", number
    )


def embedding_map(
    number: int,
    place: Float64[np.ndarray, "n 2"],
    identity: Int64[np.ndarray, " n"],
    query: Bool[np.ndarray, " n"],
) -> str:
    """A t-SNE map: a colour and shape for each identity, rings for queries.

    Args:
        number: tells the page's maps apart.
        place: float64 [n, 2], positions.
        identity: int64 [n], numbered from 0.
        query: bool [n], which images are queries.
    """
    figure, axes = _figure(380, 320)
    for one in range(int(identity.max()) + 1):
        colour = IDENTITY_COLOURS[one % len(IDENTITY_COLOURS)]
        shape = "o" if one < len(IDENTITY_COLOURS) else "^"
        for ringed in (False, True):
            rows = (identity == one) & (query == ringed)
            axes.plot(
                place[rows, 0],
                place[rows, 1],
                linestyle="none",
                marker=shape,
                markersize=5.5 if ringed else 4,
                markerfacecolor=colour,
                markeredgecolor=_STYLE["ink"] if ringed else "none",
                markeredgewidth=1.0 if ringed else 0.0,
            )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.margins(0.04)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _svg(figure, "t-SNE map of the embeddings of twenty identities", number)


def heat_map(
    number: int, what: str, weights: Float32[np.ndarray, "n n"], identity: Int64[np.ndarray, " n"]
) -> str:
    """A heat map of edge weights; `number` tells the page's heat maps apart."""
    figure, axes = _figure(330, 300)
    heatmaps.draw_heatmap(axes, weights, identity)
    return _svg(figure, f"heat map of {what}", number)


def _figure(width: int, height: int) -> tuple[Any, Any]:
    """A figure of so many CSS pixels, and its axes."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # heavy, and an extra

    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    axes: Any = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_STYLE["rule"])
    axes.tick_params(
        colors=_STYLE["muted"], labelsize=11, length=3, color=_STYLE["rule"], which="both"
    )
    axes.grid(color=_STYLE["rule"], linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_STYLE["muted"])
        label.set_fontsize(11)
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Any, label: str, number: int = 0) -> str:
    """The drawing as an element for the page: the same bytes for the same figure, in the page's
    colours and type.

    `number` tells figures of one kind apart, so that no two elements of the page have one id.
    """
    from matplotlib import rc_context  # noqa: PLC0415

    stream = StringIO()
    with rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": f"{label} {number}", "axes.unicode_minus": True}
    ):
        figure.savefig(
            stream,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<style type="text/css">.*?</style>', "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[A-Za-z.]+_?[\w.]*_\d+"', "", text)
    head = re.search(r'viewBox="[^"]+"', text)
    body = text[text.index(">") + 1 :]
    for name, colour in _STYLE.items():
        body = body.replace(colour, f"var(--{name})")
    body = re.sub(
        r">\s+<", "><", re.sub(r"font(-family)?: [^;\"]*('[^']*'[^;\"]*)*;?", _font, body)
    ).strip()
    return f'<svg class="figure" {head[0] if head else ""} role="img" aria-label="{label}">{body}'


def _font(match: re.Match[str]) -> str:
    """Sizes stay; families are the page's."""
    size = re.search(r"[\d.]+px", match[0])
    return f"font-size: {size[0]};" if size else ""
