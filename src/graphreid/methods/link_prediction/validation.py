"""Validation of methods that give link probabilities: leave-one-out on identities of their own, by
the common re-ID rule.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.knn.exact import Metric
from graphreid.methods.link_prediction.candidates import GRAPHS, Judging, answers
from graphreid.metrics.average_precision import AveragePrecision
from graphreid.metrics.metric import mean
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.ranks import RankCounter
from graphreid.metrics.relevance import Relevance
from graphreid.resources import Resources, slices
from graphreid.seeding import generator
from graphreid.types import NORMAL, DistanceBlock, Features, Labels, drop_junk

LAMS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Weights of the predicted distance that lam="auto" chooses from; 0 is the input's own order."""
UNCALIBRATED = (1.0, 0.0)
"""Slope and offset of a network's own logits."""
Auto = Literal["auto"]
QUERIES = 2000
"""Queries of a validation, at most; more would cost minutes in each epoch and hardly move the
mean.
"""


@dataclass(frozen=True)
class Settled:
    """What validation identities decided after a fit.

    Attributes:
        calibration: slope and offset of the logit.
        lam: weight of the predicted distance.
        record: the mAP of the input and of the method, in [0, 1], the weight that would be best,
            and the mAP with each.
    """

    calibration: list[float]
    lam: float
    record: dict[str, Any]


class Validation:
    """Images of identities that are not fitted on: each in turn is the query, the others are its
    gallery.

    Args:
        features: the images, and `labels` theirs; junk is left out.
        train: what is fitted on, and `fitted` its labels.
        seed: of the choice of QUERIES queries, where there are more.
        resources: for the searches.
        metric: what the distance of two vectors is.

    Attributes:
        retrieval_set: queries and gallery.

    Raises:
        ValueError: lengths or widths that differ, or an identity is in both sets.
    """

    def __init__(
        self,
        features: Features,
        labels: Labels,
        train: Features,
        fitted: Labels,
        *,
        seed: int,
        resources: Resources,
        metric: Metric = "cosine",
    ) -> None:
        features, self.labels = drop_junk(features, labels)
        if features.width != train.width:
            raise ValueError(
                f"vectors are {features.width} wide in validation and {train.width} in train: "
                f"embed both with one network"
            )
        both = np.intersect1d(_identities(self.labels), _identities(fitted))
        if len(both):
            raise ValueError(
                f"{len(both)} identities are in both train and validation: validate on others than "
                f"those fitted on"
            )
        self.queries = np.arange(len(features))
        if len(features) > QUERIES:
            self.queries = np.sort(
                generator(seed, 0, 0, 6).choice(len(features), QUERIES, replace=False)
            )
        self.retrieval_set = RetrievalSet(
            features.take(self.queries), Gallery(features, metric=metric), resources=resources
        )

    def calibration(self, judging: Judging) -> list[float]:
        """Slope and offset of the logits that fit best which nodes show their query's identity."""
        logits: list[NDArray[np.float32]] = []
        right: list[NDArray[np.bool_]] = []
        for part in slices(0, self.retrieval_set.query_count, GRAPHS):
            nodes, logit, _ = judging.judge(part)
            real = nodes >= 0
            logits.append(logit[real])
            right.append(self._right(part, nodes)[real])
        return [*platt(np.concatenate(logits).astype(np.float64), np.concatenate(right))]

    def _right(self, part: slice, nodes: Int32[np.ndarray, "b n"]) -> Bool[np.ndarray, "b n"]:
        """Which nodes (gallery rows) show the identity of their query, in whatever camera."""
        identity = self.labels.identity[self.queries[part], None]
        return (self.labels.identity[nodes] == identity) & (self.labels.role[nodes] == NORMAL)

    def scores(self, blocks: Iterable[DistanceBlock], lams: Sequence[float]) -> list[float]:
        """The mAP of d_o + lam (1 - probability) for each lam.

        Args:
            blocks: d_o with the probabilities, which is what a method gives with lam 0.
            lams: the weights.

        Raises:
            ValueError: no query has a positive.
        """
        query = self.labels.take(self.queries)
        relevance = Relevance(query, self.labels, own=self.retrieval_set.own, protocol=MARKET)
        counters = [RankCounter(relevance) for _ in lams]
        for block in blocks:
            probability = np.float32(0) if block.probability is None else block.probability
            for counter, each in zip(counters, lams, strict=True):
                counter.add(
                    DistanceBlock(
                        block.start, block.distance + np.float32(each) * (1 - probability)
                    )
                )
        return [mean(AveragePrecision(), counter.result()) for counter in counters]

    def score(self, blocks: Iterable[DistanceBlock]) -> float:
        """The mAP of distances as they are.

        Raises:
            ValueError: no query has a positive.
        """
        query = self.labels.take(self.queries)
        counter = RankCounter(
            Relevance(query, self.labels, own=self.retrieval_set.own, protocol=MARKET)
        )
        for block in blocks:
            counter.add(block)
        return mean(AveragePrecision(), counter.result())

    def record(self, score: float) -> dict[str, Any]:
        """A method's mAP beside its input's, for what is kept of a fit."""
        retrieval_set = self.retrieval_set
        plain = self.score(
            retrieval_set.distance_block(start, retrieval_set.block(start, stop))
            for start, stop in retrieval_set.blocks()
        )
        return {"input": round(plain, 5), "mAP": round(score, 5), "queries": len(self.queries)}

    def best(self, judging: Judging, lam: float | Auto) -> float:
        """The mAP of a network in training, with the best weight where it is to be chosen."""
        return max(
            self.scores(
                answers(judging, 0.0, UNCALIBRATED, "validation"), LAMS if lam == "auto" else (lam,)
            )
        )

    def settle(self, judging: Judging, lam: float | Auto, *, calibrate: bool) -> Settled:
        """Calibration first, then the weight, where they are to be chosen."""
        calibration = self.calibration(judging) if calibrate else [*UNCALIBRATED]
        lams = LAMS if lam == "auto" else tuple(sorted({0.0, lam}))
        scores = [
            round(score, 5)
            for score in self.scores(answers(judging, 0.0, calibration, "validation"), lams)
        ]
        best = lams[int(np.argmax(scores))]
        chosen = best if lam == "auto" else lam
        record = {
            "input": scores[0],
            "mAP": scores[lams.index(chosen)],
            "lam": chosen,
            "best_lam": best,
        }
        record |= {
            "queries": len(self.queries),
            "mAP_of_lam": [[*pair] for pair in zip(lams, scores, strict=True)],
        }
        return Settled(calibration, chosen, record)


def _identities(labels: Labels) -> Int64[np.ndarray, " m"]:
    return np.unique(labels.identity[labels.role == NORMAL])


def platt(logit: Float64[np.ndarray, " m"], right: Bool[np.ndarray, " m"]) -> tuple[float, float]:
    """Slope and offset with which sigmoid(slope logit + offset) fits best what is right: logistic
    regression (Platt 1999).

    Returns:
        (slope, offset); (1, 0) where all are right, or none.
    """
    from scipy.optimize import minimize  # noqa: PLC0415  # start-up would pay for it
    from scipy.special import expit  # noqa: PLC0415

    if right.all() or not right.any():
        return 1.0, 0.0
    sign = np.where(right, 1.0, -1.0)
    columns = np.stack([logit, np.ones(len(logit))], axis=1) * sign[:, None]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = columns @ weights
        apart = weights - (1.0, 0.0)
        # where one threshold parts all, the slope would grow without end
        held = 1e-6 * float(apart @ apart)
        slope = -(columns * expit(-margin)[:, None]).mean(axis=0) + 2e-6 * apart
        return float(np.logaddexp(0, -margin).mean()) + held, slope

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return float(slope), float(offset)
