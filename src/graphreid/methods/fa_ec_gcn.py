"""FA-GCN and EC-GCN together: vectors aggregated over the whole graph, then each link judged on
them.

d*(p, g) = d(p, g) + lam d_g(p, g) (Eq. 13): d is FA-GCN's distance, and d_g = 1 - the probability
that EC-GCN, on FA-GCN's vectors, gives the link; 1 for an image that it does not judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from torch import Tensor

from graphreid.gallery import Gallery
from graphreid.methods.ec_gcn.method import ECGCN
from graphreid.methods.fa_gcn.method import FAGCN, Distance
from graphreid.methods.fitted import need_fitted
from graphreid.methods.link_prediction.calibration import Lam
from graphreid.options import build, flat_options
from graphreid.protocols import ONLINE, TRANSDUCTIVE, Explanation, fingerprint
from graphreid.resources import Resources
from graphreid.training.precision import Precision
from graphreid.types import DistanceBlock, Features, Labels, drop_junk

SHARED = ("distance", "setting", "identity_weight", "tau", "include_self", "patience", "seed")
"""Options of FA-GCN that have the same name here; the others begin with fa_."""
Parts = tuple[FAGCN, ECGCN, tuple[str, str]]
"""The two methods, and what their values are kept under."""


@final
@dataclass(eq=False)
class FAECGCN:
    """FA-GCN, and EC-GCN on its vectors.

    Options are those of `ECGCN`, with `metric` by the distance; and those of `FAGCN`: `fa_k` is its
    k, and so on, while setting, distance, identity_weight, tau and include_self keep their names.
    patience and seed are of both.
    """

    setting: str = ONLINE
    distance: Distance = "mahalanobis"
    lam: Lam = 1.0
    fa_k: int = 7
    fa_layers: int = 1
    identity_weight: float = 0.0
    tau: float = 0.07
    include_self: bool = False
    fa_optimizer: Literal["adam", "adamw"] = "adamw"
    fa_rate: float = 1e-3
    fa_weight_decay: float = 0.01
    fa_schedule: Literal["steps", "cosine"] = "cosine"
    fa_batch: int | None = 64
    fa_epochs: int = 20
    sampler: Literal["rpgs", "hgs"] = "rpgs"
    k1: int = 50
    k2: int = 10
    gamma: float = 1.5
    links: int = 10
    self_loops: bool = True
    layers: int = 3
    width: int | None = None
    loss: Literal["focal", "ce"] = "ce"
    alpha: float | None = 0.25
    focus: float = 2.0
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: Literal["steps", "cosine", "constant"] = "cosine"
    batch: int = 16
    queries: int | None = 2500
    epochs: int = 2
    patience: int | None = None
    noise: float = 0.0
    calibrate: bool = True
    precision: Precision = "auto"
    seed: int = 0

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])
    _kept: Parts | None = field(init=False, repr=False, default=None)

    name: ClassVar[str] = "fa-ec-gcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = frozenset({ONLINE, TRANSDUCTIVE})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            **{
                key if key in SHARED else f"fa_{key}": value
                for key, value in FAGCN.presets["paper"].items()
            },
            **ECGCN.presets["paper"],
        }
    }

    def __post_init__(self) -> None:
        self._parts()

    @property
    def unscored_offset(self) -> float:
        """lam: what is added to FA-GCN's distance of an image without a link probability."""
        return self.lam_ if self.lam == "auto" else self.lam

    @property
    def min_distance(self) -> float:
        """0: neither FA-GCN's distance nor lam (1 - probability) is below it."""
        return 0.0

    def _parts(self) -> tuple[FAGCN, ECGCN]:
        """The two, not fitted.

        Raises:
            ValueError: a value out of its range.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        names = flat_options(FAGCN())
        fa = build(FAGCN, **{name: own[name if name in SHARED else f"fa_{name}"] for name in names})
        second = {name: own[name] for name in flat_options(ECGCN()) if name != "metric"}
        return fa, build(ECGCN, metric=fa.metric, **second)

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "FAECGCN":
        """Learn from labelled embeddings, forgetting what was learned before; returns itself.

        Args:
            train: FA-GCN is fitted on these images, and EC-GCN on the vectors that it gives them;
                `labels` theirs.
            validation: images of other identities: of both methods the best weights by their mAP
                are kept.
            resources: device, memory, threads, progress.
            folder: gets a checkpoint of each of the two; where there are any, training goes on from
                them.

        Raises:
            ValueError: no identity has two images, an identity is in both sets, or lam is "auto"
                and there is no validation.
        """
        fa, ec = self._parts()
        if self.lam == "auto" and validation is None:
            raise ValueError(
                "lam='auto' is chosen on validation identities: give them, or a number"
            )

        def aggregated(features: Features, known: Labels) -> tuple[Features, Labels]:
            features, known = drop_junk(features, known)
            return fa.transform(features, Gallery(features), resources=resources)[1], known

        first, second = (None if folder is None else folder / name for name in ("fa", "ec"))
        fa.fit(train, labels, validation=validation, resources=resources, folder=first)
        held = None if validation is None else aggregated(*validation)
        ec.fit(*aggregated(train, labels), validation=held, resources=resources, folder=second)
        self.state_ = {
            f"{name}.{key}": value
            for name, part in (("fa", fa), ("ec", ec))
            for key, value in part.state_.items()
        }
        self.lam_, self.calibration_, self._kept = ec.lam_, ec.calibration_, None
        both = {
            key: ec.record_[key]
            for key in ("images", "identities", "precision", "epochs", "mAP_of_epochs")
        }
        seconds = round(fa.record_["seconds"] + ec.record_["seconds"], 1)
        self.record_ = {**both, "seconds": seconds, "fa": fa.record_, "ec": ec.record_}
        if validation is not None:
            # what the two are worth together, beside the embeddings and FA-GCN alone
            before, after = fa.record_["validation"], ec.record_["validation"]
            known = {"input": before["input"], "fa": before["mAP"]}
            self.record_["validation"] = known | {
                key: after[key] for key in ("mAP", "lam", "best_lam", "queries")
            }
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks.

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        ec, queries, images = self._aggregated(query, gallery, resources)
        yield from ec.distances(
            queries, images, resources=resources
        )  # d(p, g) + lam (1 - probability) (Eq. 13)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """EC-GCN's graph of one query; ranks before are FA-GCN's.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        ec, queries, images = self._aggregated(query, gallery, resources)
        return ec.explain(queries, images, resources=resources)

    def _aggregated(
        self, query: Features, gallery: Gallery, resources: Resources | None
    ) -> tuple[ECGCN, Features, Gallery]:
        """EC-GCN, and the queries and the gallery by FA-GCN; the gallery's online vectors are kept
        with it.
        """
        need_fitted(self)
        if self._kept is None:
            fa, ec = self._parts()
            for name, part in (("fa.", fa), ("ec.", ec)):
                part.state_ = {
                    key.removeprefix(name): value
                    for key, value in self.state_.items()
                    if key.startswith(name)
                }
            ec.lam_, ec.calibration_ = self.lam_, self.calibration_
            self._kept = fa, ec, fingerprint(self)
        fa, ec, key = self._kept
        fa.setting, fa.distance, ec.lam = self.setting, self.distance, self.unscored_offset  # type: ignore[assignment]
        queries, features = fa.transform(query, gallery, resources=resources)
        if self.setting == ONLINE:
            return (
                ec,
                queries,
                gallery.derived((*key, self.distance), lambda: Gallery(features, metric=fa.metric)),
            )
        return ec, queries, Gallery(features, metric=fa.metric)
