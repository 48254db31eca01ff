"""Embeddings in a folder, and recipes of methods that take no time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.metrics.protocol import Protocol
from graphreid.papers.inputs import load_inputs
from graphreid.papers.publish import publish
from graphreid.papers.recipe import Claim, Recipe, Row
from graphreid.papers.run import run
from graphreid.papers.selection import Bench
from graphreid.resources import Resources
from graphreid.types import DistanceBlock, Features, Labels


@dataclass
class Sharpened:
    """A method that learns: distances of the vectors, with those entries left out that `fit` (its
    seed) chose.
    """

    keep: float = 0.9
    lam: float = 1.0
    seed: int = 0

    state_: dict[str, torch.Tensor] = field(init=False, repr=False)
    record_: dict[str, Any] = field(init=False, repr=False, default_factory=dict[str, Any])

    settings: ClassVar[frozenset[str]] = frozenset({"online"})
    takes: ClassVar[str] = "vectors"
    uses_camera: ClassVar[bool] = False
    comparable: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {"half": {"keep": 0.5, "lam": 3.0}}
    fits: ClassVar[list[int]] = []

    @property
    def setting(self) -> str:
        return "online"

    def fit(
        self,
        train: Features,
        labels: Labels,
        *,
        validation: tuple[Features, Labels] | None = None,
        resources: Resources | None = None,
        folder: Path | None = None,
    ) -> "Sharpened":
        assert folder is not None
        self.fits.append(self.seed)
        chosen: NDArray[Any] = np.random.default_rng(self.seed).random(train.width) < self.keep
        self.state_, self.record_ = {"chosen": torch.from_numpy(chosen)}, {"images": len(train)}
        return self

    def distances(
        self, query: Features, gallery: Gallery, *, resources: Resources | None = None
    ) -> Iterator[DistanceBlock]:
        retrieval_set = RetrievalSet(query, gallery, resources=resources)
        chosen = self.state_["chosen"].numpy()
        for start, stop in retrieval_set.blocks():
            extra = 1 - (retrieval_set.query_vectors[start:stop] * chosen) @ gallery.vectors.T
            yield retrieval_set.distance_block(
                start, retrieval_set.block(start, stop) + np.float32(self.lam) * extra
            )


def write_inputs(folder: Path, *, width: int = 8, seen: bool | None = None, **changes: Any) -> Path:
    """fit, validation, query and gallery of identities of their own (query's are the gallery's),
    hard enough for errors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((40, width))
    for name, first, count in (
        ("fit", 0, 60),
        ("validation", 10, 40),
        ("query", 20, 24),
        ("gallery", 20, 90),
    ):
        identity = first + np.arange(count) % 10
        vectors = centres[identity] + 1.1 * rng.standard_normal((count, width))
        columns: dict[str, Any] = {
            "identity": identity,
            "camera": np.arange(count) // 10 % 3,
            "item": [f"{name}{i}" for i in range(count)],
        }
        if seen is not None:
            columns["seen"] = np.full(count, seen)
        np.savez(
            folder / f"{name}.npz",
            **({"vectors": vectors.astype(np.float32)} | columns | changes.get(name, {})),
        )
    return folder


def bench(folder: Path, work: Path, **given: Any) -> Bench:
    return Bench(
        load_inputs(folder, given.pop("name", "toys")),
        work,
        Protocol(),
        Resources(),
        given.pop("given", {}),
        given.pop("preset", None),
        0,
    )


GRID = {"k1": (3, 6), "lam": (0.3, 1.0)}
TABLE = Recipe(
    id="toys/table1",
    source="Table 1",
    title="toys & trifles",
    columns=("mAP", "rank-1"),
    rows=(
        Row("baseline", "cosine", paper={"market1501": {"mAP": 85.4, "rank-1": 94.1}}),
        Row("k-reciprocal", "k-reciprocal:k1=6,k2=2", paper={"market1501": {"mAP": 91.6}}),
        Row("tuned", "k-reciprocal:k2=2,setting=online", grid=GRID),
        Row("nonesuch", fit="nonesuch", paper={"veri-776": {"mAP": 79.2}}),
    ),
    claims=(
        Claim("re-ranking helps", "k-reciprocal", "baseline"),
        Claim("rank-1 is kept", "k-reciprocal", "baseline", metric="rank-1", strict=False),
        Claim("the missing one is best", "nonesuch", "baseline"),
    ),
)
LEARNED = Recipe(
    id="toys/fig1",
    source="Fig. 1",
    title="the weight lam",
    kind="curve",
    axis="lam",
    columns=("mAP", "rank-1"),
    rows=(
        Row("baseline", "cosine"),
        Row("lam = 0", "{fitted}:lam=0", fit="sharpened", at=0.0),
        Row("lam = 2", "{fitted}:lam=2", fit="sharpened", at=2.0),
        Row("headline", fit="sharpened", headline=True),
    ),
)
LISTS = Recipe(
    id="toys/fig2",
    source="Fig. 2",
    title="lists",
    kind="lists",
    columns=("mAP",),
    rows=(Row("baseline", "cosine"), Row("k-reciprocal", "k-reciprocal:k1=6,k2=2")),
)


def made(
    tmp_path: Path, recipe: Recipe, name: str = "toys", **more: Any
) -> tuple[Path, dict[str, Any]]:
    """A recipe's page and its JSON."""
    folder = tmp_path / "in"
    on = bench(folder if folder.exists() else write_inputs(folder), tmp_path / "work", name=name)
    results = run(recipe, on, seeds=2, say=lambda line: None)
    page = publish(recipe, results, on, tmp_path / "out", command="graphreid reproduce x", **more)
    return page, json.loads(page.with_suffix(".json").read_text())
