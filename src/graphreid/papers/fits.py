"""What happens before query and gallery are looked at: methods are fitted on the fit identities,
and options chosen on the validation identities.
"""

import itertools
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graphreid import peak_memory as memory
from graphreid.atomic_files import whole_file
from graphreid.gallery import Gallery
from graphreid.methods import METHODS
from graphreid.methods.persistence import save
from graphreid.methods.spec import MethodSpec, parse
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.protocol import Protocol
from graphreid.papers.inputs import Inputs
from graphreid.papers.paper import Grid, Value, with_options
from graphreid.papers.store import key_of
from graphreid.protocols import Learned, Reranker
from graphreid.resources import Resources

FITTED_FOLDER, CHOSEN_FOLDER, ORDERS_FOLDER = "fitted", "chosen", "orders"
"""Folders of the work folder: fits, choices, and the first gallery images of runs with ranked
lists.
"""


@dataclass(frozen=True, eq=False)
class Setup:
    """What all runs of one command share.

    Attributes:
        inputs: the embeddings.
        work: the folder for what is kept between runs.
        results: the folder of the store.
        protocol: which gallery images count.
        resources: where and with how much.
        given: options of every method that is fitted, such as fewer epochs, where a row has none of
            its own.
        preset: likewise, a preset of theirs; `given` comes before it.
        resident: bytes that were resident before anything was loaded; memory is counted from there.
        seed: of the embedder, where rows train their own.

    Raises:
        ValueError: the work folder's name can't stand in a METHOD text.
    """

    inputs: Inputs
    work: Path
    results: Path
    protocol: Protocol
    resources: Resources
    given: Mapping[str, Value]
    preset: str | None
    resident: int
    seed: int | None = None

    def __post_init__(self) -> None:
        if set(str(self.work)) & set(":+,"):
            raise ValueError(
                f"{self.work}: the work folder's name may not have ':', '+' or ',' in it: choose"
                " another --work"
            )
        for name in (FITTED_FOLDER, CHOSEN_FOLDER, ORDERS_FOLDER):
            (self.work / name).mkdir(parents=True, exist_ok=True)

    def digests(self, *names: str) -> dict[str, str]:
        """The digests of some parts."""
        return {name: self.inputs.part(name).digest for name in names}

    def peak_mb(self) -> float:
        """Megabytes of the peak since `memory.reset_peak`."""
        return round((memory.peak() - self.resident) / 2**20, 1)

    def validate(self, method: Reranker) -> float:
        """The mAP on validation identities: each image in turn is the query, the others its
        gallery.
        """
        part = self.inputs.part("validation")
        report = evaluate(
            method,
            part.features,
            Gallery(part.features),
            part.labels,
            part.labels,
            protocol=self.protocol,
            resources=self.resources,
        )
        return report.mean_ap()

    @cached_property
    def validation_input(self) -> float:
        """The mAP of the embeddings' own order there."""
        return self.validate(parse("cosine"))

    def fit_spec(self, text: str) -> MethodSpec:
        """What is fitted for a METHOD text, with the options and the preset that all fits have.

        Raises:
            ValueError: the method has no such preset.
        """
        spec = MethodSpec.parse(with_options(text, self.given))
        if self.preset is None:
            return spec
        method = spec.build()
        presets = method.presets if isinstance(method, Learned) else {}
        if self.preset not in presets:
            name = text.partition(":")[0]
            raise ValueError(
                f"{name} has no preset {self.preset!r}: it has {', '.join(presets) or 'none'}"
            )
        return spec.with_defaults(**presets[self.preset])


@dataclass(frozen=True)
class Fitted:
    """A fitted method's file, and what its fit cost."""

    file: Path
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Choice:
    """The best options of a grid on validation identities, their mAP, and how many were tried."""

    options: dict[str, Value]
    mAP: float  # noqa: N815  # the metric's name
    tried: int

    @property
    def text(self) -> str:
        """The options as a METHOD text has them."""
        return ",".join(f"{name}={value}" for name, value in self.options.items())


def seeded(spec: MethodSpec, seed: int) -> MethodSpec | None:
    """The method with that seed, or None where it has none."""
    has_seed = "seed" in spec.steps[-1].all_options
    return spec.with_defaults(seed=seed) if has_seed else None


def versions(spec: str) -> list[int]:
    """The version of each method of a METHOD text, raised when the method's numbers change."""
    return [kind.version for kind in MethodSpec.parse(spec).kinds]


def learned(text: str) -> dict[str, Any]:
    """What the methods of a METHOD text have learned beside tensors, by method."""
    found: dict[str, Any] = {}
    for step in MethodSpec.parse(text).steps:
        kept = {
            key.removesuffix("_"): value
            for key, value in vars(step.build()).items()
            if key.endswith("_") and key != "state_" and not key.startswith("_")
        }
        if kept:
            found[next(name for name, kind in METHODS.items() if kind is step.kind)] = kept
    return found


def is_fitted(setup: Setup, spec: str) -> bool:
    """Whether `fitted` would only read files."""
    return _fit_files(setup, spec)[1].is_file()


def fitted(setup: Setup, spec: str) -> Fitted:
    """The method fitted, or taken from an earlier fit with the same options, data and version.

    Args:
        setup: what it is fitted on.
        spec: its METHOD text with all options.
    """
    file, known = _fit_files(setup, spec)
    if not known.is_file():
        fit, validation = setup.inputs.part("fit"), setup.inputs.part("validation")
        method = parse(spec)
        partial = file.with_suffix(".partial")  # its checkpoint, to go on after an interruption
        more: dict[str, Any] = {"folder": partial} if isinstance(method, Learned) else {}
        memory.reset_peak()
        start = time.perf_counter()
        held = (validation.features, validation.labels)
        method.fit(fit.features, fit.labels, validation=held, resources=setup.resources, **more)
        cost = {"seconds": round(time.perf_counter() - start, 3), "peak_mb": setup.peak_mb()}
        save(method, file)
        shutil.rmtree(partial, ignore_errors=True)
        with whole_file(known) as temporary:  # last: a fit with it is whole
            temporary.write_text(json.dumps(cost) + "\n")
    return Fitted(file, **json.loads(known.read_text()))


def _fit_files(setup: Setup, spec: str) -> tuple[Path, Path]:
    digests = setup.digests("fit", "validation")
    key = key_of({"method": spec, "versions": versions(spec), "data": digests})
    base = setup.work / FITTED_FOLDER / key
    return base.with_suffix(".safetensors"), base.with_suffix(".json")


def choose(setup: Setup, text: str, grid: Grid, *, spec: str, fit: str | None) -> Choice:
    """The options with the best mAP on validation identities, the first of equals.

    Args:
        setup: what they are chosen on.
        text: the METHOD text they are added to.
        grid: values of each option.
        spec: the METHOD text with all options written out.
        fit: that of the method fitted in it, or None.
    """
    used = ("validation",) if fit is None else ("fit", "validation")
    plan = {"method": spec, "versions": versions(spec), "fit": fit, "grid": grid}
    key = key_of({**plan, "protocol": str(setup.protocol), "data": setup.digests(*used)})
    file = setup.work / CHOSEN_FOLDER / f"{key}.json"
    if not file.is_file():
        tried = [dict(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())]
        shown = setup.resources.track(f"choosing {', '.join(grid)}", tried, len(tried))
        scores = [setup.validate(parse(with_options(text, each))) for each in shown]
        best = max(range(len(tried)), key=scores.__getitem__)
        choice = Choice(tried[best], scores[best], len(tried))
        with whole_file(file) as temporary:
            temporary.write_text(json.dumps(asdict(choice)) + "\n")
    return Choice(**json.loads(file.read_text()))
