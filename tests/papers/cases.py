"""Embeddings in a folder, and tables of methods that take no time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from graphreid.gallery import Gallery, RetrievalSet
from graphreid.metrics.protocol import Protocol
from graphreid.papers.fits import Setup
from graphreid.papers.inputs import load_inputs
from graphreid.papers.pages import publish
from graphreid.papers.paper import TABLES, Claim, Row, Table
from graphreid.papers.runner import run_table
from graphreid.papers.store import Store
from graphreid.papers.table import Filled, fill
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

    version: ClassVar[int] = 1
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


def setup(folder: Path, work: Path, **given: Any) -> Setup:
    """What tables of a folder's embeddings run on; the store is in WORK/results."""
    return Setup(
        load_inputs(folder, given.pop("name", "toys")),
        work,
        work / "results",
        Protocol(),
        Resources(),
        given.pop("given", {}),
        given.pop("preset", None),
        0,
    )


GRID = {"k1": (3, 6), "lam": (0.3, 1.0)}
TABLE = Table(
    id="toys/table1",
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
LEARNED = Table(
    id="toys/fig1",
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
LISTS = Table(
    id="toys/fig2",
    title="lists",
    kind="lists",
    columns=("mAP",),
    rows=(Row("baseline", "cosine"), Row("k-reciprocal", "k-reciprocal:k1=6,k2=2")),
)


def made(tmp_path: Path, table: Table, name: str = "toys", **more: Any) -> tuple[Path, Filled]:
    """A table's page, and the table with its numbers; the store is in TMP_PATH/work/results."""
    folder = tmp_path / "in"
    on = setup(folder if folder.exists() else write_inputs(folder), tmp_path / "work", name=name)
    results = run_table(table, on, seeds=2, say=lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TABLES, table.id, table)
        page = publish(table, results, on, command="graphreid papers reproduce x", **more)
    store = Store.read(on.results)
    return page, fill(table, store.made[name, table.id], store)


def some_rows(name: str, *rows: str) -> Table:
    """A paper's table with some of its rows, and with the claims that are about them."""
    table = TABLES[name]
    claims = tuple(claim for claim in table.claims if {claim.better, claim.worse} <= set(rows))
    return replace(table, rows=tuple(row for row in table.rows if row.name in rows), claims=claims)


def publish_rows(tmp_path: Path, table: Table, given: dict[str, Any]) -> Path:
    """The page of a paper's table, made with methods of these options."""
    on = setup(write_inputs(tmp_path / "in"), tmp_path / "work", given=given)
    results = run_table(table, on, seeds=1, say=lambda line: None)
    return publish(table, results, on, command="x")
