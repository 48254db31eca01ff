"""What methods share that predict which images show the query's identity, and add lam (1 -
probability) to a distance.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.methods.fitted import record
from graphreid.methods.link_prediction.candidates import Judging, answers, explained
from graphreid.methods.link_prediction.validation import UNCALIBRATED, Auto, Validation
from graphreid.protocols import Explanation
from graphreid.resources import Resources
from graphreid.training.precision import Precision, trained_in
from graphreid.types import DistanceBlock, Features, Labels


class Weighted:
    """Distances to which lam (1 - probability) was added.

    Attributes:
        lam: the weight, or "auto": `lam_`, which validation identities decided.
    """

    lam: float | Auto
    lam_: float

    @property
    def unscored_offset(self) -> float:
        """lam: what is added to the base distance of an image that is not judged."""
        return self.lam if self.lam != "auto" else self.lam_

    @property
    def min_distance(self) -> float:
        """0: neither the base distance nor lam (1 - probability) is below it."""
        return 0.0


class Linked(Weighted, ABC):
    """A method with one network that judges the images of a query's graph.

    Attributes:
        calibrate: fit slope and offset of the logit on the validation identities.
    """

    name: ClassVar[str]
    calibrate: bool
    state_: dict[str, Tensor]
    calibration_: list[float]
    precision: Precision
    record_: dict[str, Any]
    _kept: Any

    @abstractmethod
    def judging(self, retrieval_set: RetrievalSet) -> Judging:
        """The network at work on a pool.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: d + lam (1 - probability) (CAGCN, Eq.
        5; EC-GCN, Eq. 13).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        yield from answers(
            self.judging(RetrievalSet(query, gallery, resources=resources)),
            self.unscored_offset,
            self.calibration_,
            self.name,
        )

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """The graph of one query: what each node hears, its probability, and its rank before and
        after.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        return explained(
            self.judging(RetrievalSet(query, gallery, resources=resources)),
            self.unscored_offset,
            self.calibration_,
        )

    def learned(
        self,
        network: nn.Module,
        labels: Labels,
        history: Sequence[Mapping[str, float]],
        held: Validation | None,
    ) -> None:
        """Take a network that was trained; calibration and lam follow the validation identities,
        where there are any.
        """
        self.state_ = {key: value.detach().cpu() for key, value in network.state_dict().items()}
        self.calibration_, self.lam_, self._kept = (
            [*UNCALIBRATED],
            1.0 if self.lam == "auto" else self.lam,
            None,
        )
        device = next(network.parameters()).device
        self.record_ = record(labels, history, trained_in(self.precision, device))
        if held is not None:
            settled = held.settle(
                self.judging(held.retrieval_set), self.lam, calibrate=self.calibrate
            )
            self.calibration_, self.lam_, self._kept = settled.calibration, settled.lam, None
            self.record_["validation"] = settled.record
