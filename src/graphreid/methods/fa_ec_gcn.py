"""FA-GCN and EC-GCN together: link prediction on vectors that were aggregated in the whole graph.

d*(p, g) = d(p, g) + lam d_g(p, g) (Eq. 13): d is FA-GCN's distance, and d_g = 1 - the probability
that EC-GCN, on FA-GCN's vectors, gives the link; 1 for an image that it gives none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from torch import Tensor

from graphreid.gallery import Gallery
from graphreid.methods.ec_gcn.method import ECGCN
from graphreid.methods.fa_gcn.method import FAGCN
from graphreid.methods.fitting import need_fitted
from graphreid.options import check_options, nested, with_options
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Explanation, Features, Labels, drop_junk

SHARED = ("distance", "setting", "identity_weight", "tau", "include_self", "patience", "seed")
"""Options of FA-GCN that have the same flat name here; the others begin with fa_. Of these,
patience and seed are EC-GCN's too.
"""
METRIC = ("metric",)
"""Options of EC-GCN that follow from FA-GCN's distance."""


@final
@dataclass(eq=False)
class FAECGCN:
    """FA-GCN, and EC-GCN on its vectors.

    `PAPER` is as published for Market-1501.

    Attributes:
        fa: FA-GCN. In METHOD texts `fa_k` is its k, and so on; setting, distance,
            identity_weight, tau and include_self keep their names.
        ec: EC-GCN, with its names; its `metric` is that of FA-GCN's distance. Both have one
            patience and one seed.

    Raises:
        ValueError: patience or seed differ.
    """

    fa: FAGCN = field(default_factory=FAGCN, metadata=nested(prefix="fa_", unprefixed=SHARED))
    ec: ECGCN = field(default_factory=ECGCN, metadata=nested(without=METRIC))

    state_: dict[str, Tensor] = field(init=False, repr=False)
    lam_: float = field(init=False, repr=False)
    calibration_: list[float] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])

    name: ClassVar[str] = "fa-ec-gcn"
    version: ClassVar[int] = 1
    settings: ClassVar[frozenset[str]] = FAGCN.settings
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    PAPER: ClassVar[dict[str, Any]] = {
        **{name if name in SHARED else f"fa_{name}": value for name, value in FAGCN.PAPER.items()},
        **ECGCN.PAPER,
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": PAPER}

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def setting(self) -> Literal["online", "transductive"]:
        """FA-GCN's."""
        return self.fa.setting

    @property
    def unscored_offset(self) -> float:
        """lam: what is added to FA-GCN's distance of an image without a link probability."""
        return self.lam_ if self.ec.lam == "auto" else self.ec.lam

    @property
    def min_distance(self) -> float:
        """0: neither FA-GCN's distance nor lam (1 - probability) is below it."""
        return 0.0

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
        if self.ec.lam == "auto" and validation is None:
            raise ValueError(
                "lam='auto' is chosen on validation identities: give them, or a number"
            )
        fa = with_options(self.fa)
        ec = with_options(self.ec, metric=fa.metric)

        def aggregated(features: Features, known: Labels) -> tuple[Features, Labels]:
            features, known = drop_junk(features, known)
            return fa.transform(features, Gallery(features), resources=resources)[1], known

        folders = (None, None) if folder is None else (folder / "fa", folder / "ec")
        fa.fit(train, labels, validation=validation, resources=resources, folder=folders[0])
        ec.fit(
            *aggregated(train, labels),
            validation=None if validation is None else aggregated(*validation),
            resources=resources,
            folder=folders[1],
        )
        self.fa, self.ec = fa, ec
        self.state_ = {
            f"{name}.{key}": value
            for name, half in (("fa", fa), ("ec", ec))
            for key, value in half.state_.items()
        }
        self.lam_ = ec.lam_
        self.calibration_ = ec.calibration_
        self.record_ = self._record()
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        """Distances of every query to the gallery, in blocks: d(p, g) + lam (1 - probability)
        (Eq. 13).

        Raises:
            ValueError: not fitted, or vectors of another width than those fitted on.
        """
        fa, ec = self._halves()
        queries, images = fa.aggregated(query, gallery, resources=resources)
        yield from ec.distances(queries, images, resources=resources)

    def explain(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Explanation:
        """EC-GCN's graph of one query; ranks before are FA-GCN's.

        Raises:
            ValueError: not one query, not fitted, or vectors of another width.
        """
        fa, ec = self._halves()
        queries, images = fa.aggregated(query, gallery, resources=resources)
        return ec.explain(queries, images, resources=resources)

    def _halves(self) -> tuple[FAGCN, ECGCN]:
        """The two, fitted; after a load they get what was learned here."""
        need_fitted(self)
        for name, half in (("fa.", self.fa), ("ec.", self.ec)):
            if not hasattr(half, "state_"):
                half.state_ = {
                    key.removeprefix(name): value
                    for key, value in self.state_.items()
                    if key.startswith(name)
                }
        self.ec.lam_, self.ec.calibration_ = self.lam_, self.calibration_
        return self.fa, self.ec

    def _record(self) -> dict[str, Any]:
        """What the two are worth together, beside the embeddings and FA-GCN alone."""
        fa, ec = self.fa.record_, self.ec.record_
        common = ("images", "identities", "precision", "epochs", "mAP_of_epochs")
        record: dict[str, Any] = {key: ec[key] for key in common}
        record["seconds"] = round(fa["seconds"] + ec["seconds"], 1)
        record |= {"fa": fa, "ec": ec}
        if "validation" in fa:
            before, after = fa["validation"], ec["validation"]
            chosen = {key: after[key] for key in ("mAP", "lam", "best_lam", "queries")}
            record["validation"] = {"input": before["input"], "fa": before["mAP"], **chosen}
        return record
