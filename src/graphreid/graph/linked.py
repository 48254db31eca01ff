"""What methods share that predict which images show the probe's identity, and add lam (1 - probability) to a distance."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from graphreid.compute import Compute
from graphreid.gallery import Gallery, Pool
from graphreid.graph.pairs import Judging, answers, explained
from graphreid.graph.validation import UNCALIBRATED, Auto, Validation
from graphreid.nn.fitted import record
from graphreid.protocols import Explanation
from graphreid.types import DistanceBlock, Features, Labels


class Weighted:
    """Distances to which lam (1 - probability) was added.

    Attributes:
        lam: the weight, or "auto": `lam_`, which validation identities decided.
    """

    lam: float | Auto
    lam_: float

    @property
    def tail(self) -> float:
        """lam: what is added to the base distance of an image that is not judged."""
        return self.lam if self.lam != "auto" else self.lam_

    @property
    def least(self) -> float:
        """0: neither the base distance nor lam (1 - probability) is below it."""
        return 0.0


class Linked(Weighted, ABC):
    """A method with one network that judges the images of a probe's graph.

    Attributes:
        calibrate: fit slope and offset of the logit on the validation identities.
    """

    name: ClassVar[str]
    calibrate: bool
    state_: dict[str, Tensor]
    calibration_: list[float]
    record_: dict[str, Any]
    _kept: Any

    @abstractmethod
    def judging(self, pool: Pool) -> Judging:
        """The network at work on a pool.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """

    def distances(self, query: Features, gallery: Gallery, *, compute: Compute | None = None) -> Iterator[DistanceBlock]:
        """Distances of every probe to the gallery, in blocks: d + lam (1 - probability) (CAGCN, Eq. 5; EC-GCN, Eq. 13).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        yield from answers(self.judging(Pool(query, gallery, compute=compute)), self.tail, self.calibration_, self.name)

    def explain(self, probe: Features, gallery: Gallery, *, compute: Compute | None = None) -> Explanation:
        """The graph of one probe: what each node hears, its probability, and its rank before and after.

        Raises:
            ValueError: not one probe, not fitted, or vectors of another width.
        """
        return explained(self.judging(Pool(probe, gallery, compute=compute)), self.tail, self.calibration_)

    def learned(
        self, network: nn.Module, labels: Labels, history: Sequence[Mapping[str, float]], held: Validation | None
    ) -> None:
        """Take a network that was trained; calibration and lam follow the validation identities, where there are any."""
        self.state_ = {key: value.detach().cpu() for key, value in network.state_dict().items()}
        self.calibration_, self.lam_, self._kept = [*UNCALIBRATED], 1.0 if self.lam == "auto" else self.lam, None
        self.record_ = record(labels, history)
        if held is not None:
            settled = held.settle(self.judging(held.pool), self.lam, calibrate=self.calibrate)
            self.calibration_, self.lam_, self._kept = settled.calibration, settled.lam, None
            self.record_["validation"] = settled.record
