"""Evaluation: which images count, metrics and their intervals."""

import re
from collections.abc import Iterable

from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.cmc import CMC
from graphreid.metrics.inverse_negative_penalty import InverseNegativePenalty
from graphreid.metrics.macro_average_precision import MacroAveragePrecision
from graphreid.metrics.map_at_r import MAPAtR
from graphreid.metrics.metric import Metric
from graphreid.metrics.r_precision import RPrecision
from graphreid.metrics.recall import Recall
from graphreid.metrics.reciprocal_rank import ReciprocalRank
from graphreid.plugins import Registry

METRICS: Registry[type[Metric]] = Registry(
    "metrics",
    {
        kind.text: kind
        for kind in (
            AveragePrecision,
            CMC,
            InverseNegativePenalty,
            Recall,
            RPrecision,
            MAPAtR,
            ReciprocalRank,
            MacroAveragePrecision,
        )
    },
)
"""All metrics by how they are written, and those of plugins by the name of the entry point. To add
one, write its file and its line here.
"""

DEFAULT: tuple[Metric, ...] = (AveragePrecision(), CMC(1), InverseNegativePenalty())
"""Those that `evaluate` gives where none are asked for."""


def parse_metric(text: str) -> Metric:
    """The metric of a text such as "mAP" or "rank-10", in capitals or not.

    Raises:
        ValueError: no such metric.
    """
    for kind in METRICS.values():
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d+)", re.escape(kind.text))
        if found := re.fullmatch(pattern, text.strip(), re.IGNORECASE):
            return kind(**{name: int(value) for name, value in found.groupdict().items()})
    known = ", ".join(kind.text.replace("{k}", "K") for kind in METRICS.values())
    raise ValueError(f"metric {text!r} is not known: choose from {known}")


def metrics_of(given: str | Iterable[Metric | str]) -> tuple[Metric, ...]:
    """Metrics given as values or as texts ("mAP,rank-5", or one each), each once.

    Raises:
        ValueError: none is given, or one that is not known.
    """
    if isinstance(given, str):
        given = given.split(",")
    metrics = dict.fromkeys(parse_metric(each) if isinstance(each, str) else each for each in given)
    if not metrics:
        raise ValueError("no metric is asked for: name at least one")
    return tuple(metrics)
