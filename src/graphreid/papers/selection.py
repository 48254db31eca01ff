"""What happens before the test identities are looked at: methods are fitted, and options chosen on
validation identities.
"""

import itertools
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graphreid import peak_memory as memory
from graphreid.atomic_files import whole_file
from graphreid.gallery import Gallery
from graphreid.methods.persistence import save
from graphreid.methods.spec import parse
from graphreid.metrics.evaluate import evaluate
from graphreid.metrics.protocol import Protocol
from graphreid.options import flat_options
from graphreid.papers import code
from graphreid.papers.inputs import Inputs
from graphreid.papers.recipe import Grid, Value, with_options
from graphreid.papers.records import key_of
from graphreid.protocols import Learned, Reranker
from graphreid.resources import Resources

FITTED, CHOSEN, RECORDS, ORDERS = "fitted", "chosen", "records", "orders"
"""Folders of the work folder."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What all runs of one command share.

    Attributes:
        inputs: the embeddings.
        work: the folder for what is kept between runs.
        rule: who counts as right.
        resources: where and with how much.
        given: options of every method that is fitted, such as fewer epochs, where a row has none of
            its own.
        preset: likewise, a preset of theirs; `given` comes before it.
        resident: bytes that were resident before anything was loaded; memory is counted from there.
        seed: of the embedder, where rows train their own; their records name it.

    Raises:
        ValueError: the work folder's name can't stand in a METHOD text, or it can't be made.
    """

    inputs: Inputs
    work: Path
    rule: Protocol
    resources: Resources
    given: Mapping[str, Value]
    preset: str | None
    resident: int
    seed: int | None = None

    def __post_init__(self) -> None:
        if set(str(self.work)) & set(":+,"):
            raise ValueError(
                f"{self.work}: the work folder's name may not have ':', '+' or ',' in it: choose "
                f"another --work"
            )
        for name in (FITTED, CHOSEN, RECORDS, ORDERS):
            (self.work / name).mkdir(parents=True, exist_ok=True)

    def data(self, *names: str) -> dict[str, str]:
        """The digests of some parts."""
        return {name: self.inputs.part(name).digest for name in names}

    def peak_mb(self) -> float:
        """Megabytes of the peak since `memory.reset_peak`."""
        return round((memory.peak() - self.resident) / 2**20, 1)

    def validate(self, method: Reranker) -> float:
        """The mAP on validation identities: each image in turn is the query, the others are its
        gallery.
        """
        part = self.inputs.part("validation")
        report = evaluate(
            method,
            part.features,
            Gallery(part.features),
            part.labels,
            part.labels,
            protocol=self.rule,
            resources=self.resources,
        )
        return report.mean_ap()

    @cached_property
    def validation_cosine(self) -> float:
        """The mAP of the embeddings' own order there."""
        return self.validate(parse("cosine"))


@dataclass(frozen=True)
class Fitted:
    """A fitted method's file, and what is known of its fit: {"seconds", "peak_mb"}."""

    file: Path
    facts: Mapping[str, float]


def fit_text(bench: Bench, text: str) -> str:
    """The METHOD text of a fit, with the options and the preset that all fits have.

    Raises:
        ValueError: the method has no such preset.
    """
    text = with_options(text, bench.given)
    if bench.preset is None:
        return text
    method = parse(text)
    presets = method.presets if isinstance(method, Learned) else {}
    if bench.preset not in presets:
        raise ValueError(
            f"{text.partition(':')[0]} has no preset {bench.preset!r}: it has "
            f"{', '.join(presets) or 'none'}"
        )
    return with_options(
        text,
        {key: "none" if value is None else value for key, value in presets[bench.preset].items()},
    )


def seeded_text(text: str, seed: int) -> str | None:
    """The METHOD text with that seed, or None where the method has none."""
    return with_options(text, {"seed": seed}) if "seed" in flat_options(parse(text)) else None


def parts(text: str) -> list[Reranker]:
    """The methods of a METHOD text, one or those of a chain."""
    return [parse(part) for part in text.split("+")]


def fields(text: str) -> dict[str, Any]:
    """All hyper-parameters of the methods in a METHOD text, by class."""
    return {
        type(method).__name__: {name: _plain(value) for name, value in flat_options(method).items()}
        for method in parts(text)
    }


def learned(text: str) -> dict[str, Any]:
    """The facts, not tensors, that the methods in a METHOD text have learned, by class."""
    facts: dict[str, Any] = {}
    for method in parts(text):
        facts[type(method).__name__] = {
            key.removesuffix("_"): value
            for key, value in vars(method).items()
            if key.endswith("_") and key != "state_" and not key.startswith("_")
        }
    return {name: values for name, values in facts.items() if values}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]  # pyright: ignore[reportUnknownVariableType]
    return value if isinstance(value, int | float | str | None) else repr(value)


def modules(text: str) -> list[str]:
    """The modules that the answers of a METHOD text come from: the methods' and the
    evaluation's.
    """
    chain = ["graphreid.methods.chain"] if "+" in text else []
    names = {type(method).__module__ for method in parts(text)}
    return sorted(
        {
            "graphreid.metrics.evaluate",
            *chain,
            *(name for name in names if name.startswith("graphreid.")),
        }
    )


def fit_key(bench: Bench, text: str) -> str:
    """The name of a fit: options, data and code."""
    return key_of(
        {
            "fields": fields(text),
            "data": bench.data("fit", "validation"),
            "code": code.digest(modules(text)),
        }
    )


def is_fitted(bench: Bench, text: str) -> bool:
    """Whether `fitted` would only read files."""
    return (bench.work / FITTED / f"{fit_key(bench, text)}.json").is_file()


def fitted(bench: Bench, text: str) -> Fitted:
    """The method fitted, or taken from an earlier run with the same options, data and code."""
    key = fit_key(bench, text)
    file, known = bench.work / FITTED / f"{key}.safetensors", bench.work / FITTED / f"{key}.json"
    if not known.is_file():
        fit, validation = bench.inputs.part("fit"), bench.inputs.part("validation")
        method = parse(text)
        partial = (
            bench.work / FITTED / f"{key}.partial"
        )  # its checkpoint, to go on after an interruption
        more: dict[str, Any] = {"folder": partial} if isinstance(method, Learned) else {}
        memory.reset_peak()
        start = time.perf_counter()
        held = (validation.features, validation.labels)
        method.fit(fit.features, fit.labels, validation=held, resources=bench.resources, **more)
        facts = {"seconds": round(time.perf_counter() - start, 3), "peak_mb": bench.peak_mb()}
        save(method, file)
        shutil.rmtree(partial, ignore_errors=True)
        with whole_file(known) as temporary:  # last: a fit with it is whole
            temporary.write_text(json.dumps(facts) + "\n")
    return Fitted(file, json.loads(known.read_text()))


def choose(bench: Bench, text: str, grid: Grid, *, fixed: str) -> dict[str, Any]:
    """The options with the best mAP on validation identities, the first of equals.

    Args:
        bench: what it runs on.
        text: the METHOD text they are added to.
        grid: values of each option.
        fixed: what `text` means, where it names a file: part of the choice's name.

    Returns:
        {"options": the best, "mAP": theirs, "tried": how many}.
    """
    plan = {
        "method": fixed,
        "grid": {name: list(values) for name, values in grid.items()},
        "rule": str(bench.rule),
    }
    key = key_of({**plan, "data": bench.data("validation"), "code": code.digest(modules(text))})
    file = bench.work / CHOSEN / f"{key}.json"
    if not file.is_file():
        tried = list(_combinations(grid))
        scores = [
            bench.validate(parse(with_options(text, each)))
            for each in bench.resources.track(f"choosing {', '.join(grid)}", tried, len(tried))
        ]
        best = max(range(len(tried)), key=scores.__getitem__)
        with whole_file(file) as temporary:
            temporary.write_text(
                json.dumps({"options": tried[best], "mAP": scores[best], "tried": len(tried)})
                + "\n"
            )
    return json.loads(file.read_text())


def _combinations(grid: Grid) -> Iterator[dict[str, Value]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))
