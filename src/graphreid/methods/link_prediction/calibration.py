"""What a link predictor chooses on validation identities: calibration of its logits, and lam."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from graphreid.methods.link_prediction.scoring import (
    GRAPHS,
    UNCALIBRATED,
    Scorer,
    distance_blocks,
)
from graphreid.methods.validation import Validation
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.metric import mean
from graphreid.metrics.ranks import RankCounter
from graphreid.resources import slices
from graphreid.types import NORMAL, DistanceBlock

LAMS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Weights of the predicted distance that lam="auto" chooses from; 0 is the order of the input."""
Lam = float | Literal["auto"]
"""The weight of 1 - probability; "auto": chosen on validation identities."""


@dataclass(frozen=True)
class Fusion:
    """How link probabilities become distances, as chosen on validation identities.

    Attributes:
        calibration: slope and offset of the logit.
        lam: weight of 1 - probability.
        record: mAP of the input and of the method, in [0, 1], the weight that would be best, and
            the mAP with each weight.
    """

    calibration: list[float]
    lam: float
    record: dict[str, Any]


def choose_fusion(scorer: Scorer, validation: Validation, lam: Lam, *, calibrate: bool) -> Fusion:
    """Calibration first, then lam, each where it is to be chosen.

    Args:
        scorer: of the validation's queries and gallery.
        validation: identities that the network was not fitted on.
        lam: a fixed weight, or "auto" for the best of LAMS.
        calibrate: fit slope and offset of the logit.
    """
    calibration = fit_calibration(scorer, validation) if calibrate else [*UNCALIBRATED]
    lams = LAMS if lam == "auto" else tuple(sorted({0.0, lam}))
    blocks = distance_blocks(scorer, 0.0, calibration, "validation")
    scores = [round(score, 5) for score in mean_aps(blocks, validation, lams)]
    best = lams[int(np.argmax(scores))]
    chosen = best if lam == "auto" else lam
    record = {
        "input": scores[0],
        "mAP": scores[lams.index(chosen)],
        "lam": chosen,
        "best_lam": best,
        "queries": len(validation.queries),
        "mAP_of_lam": [[*pair] for pair in zip(lams, scores, strict=True)],
    }
    return Fusion(calibration, chosen, record)


def best_mean_ap(scorer: Scorer, validation: Validation, lam: Lam) -> float:
    """The mAP of a network in training, with the best of LAMS where lam is "auto"."""
    blocks = distance_blocks(scorer, 0.0, UNCALIBRATED, "validation")
    return max(mean_aps(blocks, validation, LAMS if lam == "auto" else (lam,)))


def mean_aps(
    blocks: Iterable[DistanceBlock], validation: Validation, lams: Sequence[float]
) -> list[float]:
    """The mAP of d_o + lam (1 - probability) for each lam.

    Args:
        blocks: d_o with the probabilities, which is what a method gives with lam 0.
        validation: of their queries.
        lams: the weights.

    Raises:
        ValueError: no query has a positive.
    """
    counters = [RankCounter(validation.relevance) for _ in lams]
    for block in blocks:
        probability = np.float32(0) if block.probability is None else block.probability
        for counter, lam in zip(counters, lams, strict=True):
            distance = block.distance + np.float32(lam) * (1 - probability)
            counter.add(DistanceBlock(block.start, distance))
    return [mean(AveragePrecision(), counter.result()) for counter in counters]


def fit_calibration(scorer: Scorer, validation: Validation) -> list[float]:
    """Slope and offset of the logit, by Platt scaling on the nodes of all queries' graphs."""
    labels = validation.labels
    logits: list[NDArray[np.float32]] = []
    positive: list[NDArray[np.bool_]] = []
    for part in slices(0, validation.retrieval_set.query_count, GRAPHS):
        nodes, logit, _ = scorer.score(part)
        real = nodes >= 0
        identity = labels.identity[validation.queries[part], None]
        same = (labels.identity[nodes] == identity) & (labels.role[nodes] == NORMAL)
        logits.append(logit[real])
        positive.append(same[real])
    return [*platt(np.concatenate(logits).astype(np.float64), np.concatenate(positive))]


def platt(
    logit: Float64[np.ndarray, " m"], positive: Bool[np.ndarray, " m"]
) -> tuple[float, float]:
    """Platt scaling (1999): the logistic regression of `positive` on the logit.

    Returns:
        Slope and offset, so that sigmoid(slope logit + offset) is the calibrated probability;
        (1, 0) where all or none are positive.
    """
    from scipy.optimize import minimize  # noqa: PLC0415  # start-up would pay for it
    from scipy.special import expit  # noqa: PLC0415

    if positive.all() or not positive.any():
        return 1.0, 0.0
    sign = np.where(positive, 1.0, -1.0)
    columns = np.stack([logit, np.ones(len(logit))], axis=1) * sign[:, None]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = columns @ weights
        change = weights - (1.0, 0.0)
        # a small penalty: where one threshold separates all, the slope would grow without end
        penalty = 1e-6 * float(change @ change)
        slope = -(columns * expit(-margin)[:, None]).mean(axis=0) + 2e-6 * change
        return float(np.logaddexp(0, -margin).mean()) + penalty, slope

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return float(slope), float(offset)
