"""`graphreid fit`."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphreid.cli.options import ResourceOptions
from graphreid.features.features_file import load_columns, load_features
from graphreid.gallery import Gallery
from graphreid.methods import METHODS, Cosine, KReciprocal
from graphreid.methods.persistence import save
from graphreid.methods.spec import MethodSpec
from graphreid.metrics.calibration import Calibration
from graphreid.metrics.evaluate import accumulate, evaluate
from graphreid.metrics.open_set import ScoreHistograms
from graphreid.metrics.protocol import MARKET
from graphreid.metrics.relevance import Relevance
from graphreid.metrics.report import Report
from graphreid.options import flat_options, option_from_text
from graphreid.protocols import Learned, Reranker
from graphreid.resources import Resources
from graphreid.seeding import generator
from graphreid.types import NORMAL, Features, Labels, drop_junk

Images = tuple[Features, Labels]
NO_GAIN = 3
"""Exit code of --require-gain."""


def fit(
    method: str,
    *,
    train: Annotated[Path, Parameter(help="features of the images to learn from, with identities")],
    out: Annotated[Path, Parameter(help="the fitted method, a .safetensors file")],
    validation: Annotated[
        Path | None, Parameter(help="features of other identities, to choose the best epoch by")
    ] = None,
    validation_share: Annotated[
        float | None,
        Parameter(
            help="without --validation: the share of train's identities to keep for it; 0.2 if not "
            "given"
        ),
    ] = None,
    preset: Annotated[
        str | None, Parameter(help="a method's settings by name, such as paper")
    ] = None,
    require_gain: Annotated[
        bool,
        Parameter(
            negative="",
            help="exit with 3 if the method is not better than its input on validation identities",
        ),
    ] = False,
    zero: Annotated[
        Literal["refuse", "keep"], Parameter(help="what to do with a vector of zeros")
    ] = "refuse",
    options: ResourceOptions | None = None,
    **settings: Annotated[str, Parameter(help="an option of the method, such as --layers 6")],
) -> int:
    """Fit a method that learns, on embeddings with identities.

    Every option of the method can be given as --OPTION VALUE (`--layers 6 --lam auto`), or within
    METHOD (`cagcn:layers=6`); `graphreid methods` lists them. After each epoch OUT.partial/ holds a
    checkpoint: the same command goes on with a fit that was interrupted, to the same result.

    Parameters
    ----------
    method
        NAME[:key=value,…], such as cagcn.
    """
    chosen = _chosen(method, preset, settings)
    if out.suffix != ".safetensors":
        raise ValueError(
            f"--out is {out}: give the file an ending of .safetensors, by which a fitted method is "
            f"known"
        )
    learn, held = _images(train, validation, validation_share, chosen, zero)
    if held is None and require_gain:
        raise ValueError(
            "--require-gain needs validation identities: give --validation, or a "
            "--validation-share above 0"
        )
    seen = {str(file): _seen(file) for file in (train, validation) if file is not None}
    partial = out.with_name(f"{out.name}.partial")
    with (options or ResourceOptions()).resources() as resources:
        fitted = chosen.fit(*learn, validation=held, resources=resources, folder=partial)
        chosen.record_["images_seen_by_the_embedder"] = seen
        save(fitted, out)
        shutil.rmtree(partial, ignore_errors=True)
        facts = chosen.record_
        print(
            f"{out}: {facts['images']} images, {facts['identities']} identities,"
            f" {facts['epochs']} epochs in {facts['precision']}, {facts['seconds']} s"
        )
        return (
            0 if held is None or _compared(fitted, held, resources) or not require_gain else NO_GAIN
        )


def _chosen(text: str, preset: str | None, settings: dict[str, str]) -> Learned:
    """The method of METHOD text, a preset and options; the later ones win where they differ."""
    spec = MethodSpec.parse(text)
    kind = spec.kinds[-1]
    plain = kind()
    if not isinstance(plain, Learned) or len(spec.steps) > 1 or spec.has_files:
        learned = (key for key, kind in METHODS.items() if isinstance(kind(), Learned))
        raise ValueError(f"{text!r} is no method that learns: choose one of {', '.join(learned)}")
    names = {key: key.replace("-", "_") for key in settings}
    given = {name: option_from_text(kind, name, settings[key]) for key, name in names.items()}
    spec = spec.with_options(**given)
    if preset is not None:
        if preset not in plain.presets:
            has = ", ".join(plain.presets) or "none"
            raise ValueError(f"{text} has no preset {preset!r}: it has {has}")
        spec = spec.with_defaults(**plain.presets[preset])
    return cast(Learned, spec.build())


def _images(
    train: Path,
    validation: Path | None,
    share: float | None,
    method: Learned,
    zero: Literal["refuse", "keep"],
) -> tuple[Images, Images | None]:
    """What to learn from, and what to validate on: another file, or identities of the same one."""
    if validation is not None and share is not None:
        raise ValueError("--validation and --validation-share exclude each other: give one of them")
    features, labels = drop_junk(*load_features(train, zero=zero))
    if validation is not None:
        return (features, labels), drop_junk(*load_features(validation, zero=zero))
    share = 0.2 if share is None else share
    if not 0 <= share < 1:
        raise ValueError(f"--validation-share is {share}: it must be at least 0 and less than 1")
    if not share:
        return (features, labels), None
    names = np.unique(labels.identity[labels.role == NORMAL])
    count = round(share * len(names))
    if count < 2 or len(names) - count < 2:
        raise ValueError(
            f"a validation share of {share:g} of {len(names)} identities is {count}: at least 2 "
            f"must be on either side"
        )
    seed = int(flat_options(method).get("seed", 0))
    kept = generator(seed, 0, 0, 2).permutation(names)[:count]
    away = np.isin(labels.identity, kept) & (labels.role == NORMAL)
    return (features.take(~away), labels.take(~away)), (features.take(away), labels.take(away))


def _seen(file: Path) -> int | None:
    """How many images are of identities that the embedder was trained on; None where the file does
    not say.
    """
    column = load_columns(file).get("seen")
    if column is None:
        return None
    count = int(np.isin(np.char.lower(column.astype(str)), ("true", "1", "1.0")).sum())
    if count:
        print(
            f"warning: {file}: the embedder was trained on the identities of {count} of "
            f"{len(column)} images, which are closer"
            " together than new ones' (graphreid train --holdout-identities 0.25, then embed "
            "--split fit)",
            file=sys.stderr,
        )
    return count


def _compared(method: Reranker, held: Images, resources: Resources) -> bool:
    """Show the method beside its input and k-reciprocal on validation identities; is it better than
    its input?
    """
    features, labels = held
    rows = (
        ("input (cosine)", Cosine()),
        (str(getattr(method, "name", "method")), method),
        ("k-reciprocal", KReciprocal()),
    )
    reports = [
        evaluate(each, features, Gallery(features), labels, labels, name=name, resources=resources)
        for name, each in rows
    ]
    table = Table(
        "validation identities",
        "mAP",
        "rank-1",
        "mAP less the input's",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for report in reports:
        low, high = report.interval()
        numbers = (
            f"{report.mean_ap():.3f} [{low:.3f}, {high:.3f}]",
            f"{report.cmc(1):.3f}",
            _gain(report, reports[0]),
        )
        table.add_row(*map(escape, (report.method, *numbers)))
    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)
    print(
        f"{reports[0].queries} queries, each among the other images; same identity and camera "
        f"removed. Intervals: 95 %."
    )
    calibration = _calibration(method, held, resources)
    if calibration is not None:
        print(
            f"link probabilities: calibration error {calibration.error:.3f}, Brier score "
            f"{calibration.brier:.3f}"
        )
    for line in _said(_facts(method)):
        print(line)
    gained = reports[1].difference(reports[0])[0] > 0
    if not gained:
        print(
            f"{reports[1].method} is not better than its input on validation identities: use the "
            f"input"
        )
    return gained


def _gain(report: Report, first: Report) -> str:
    if report is first:
        return "-"
    apart, (low, high) = report.difference(first)
    return f"{apart:+.3f} [{low:+.3f}, {high:+.3f}]"


def _said(facts: dict[str, Any]) -> Iterator[str]:
    """What else a fit found on validation identities."""
    if "mAP_of_distance" in facts:
        scores = facts["mAP_of_distance"].items()
        yield f"mAP by distance: {', '.join(f'{name} {score:.3f}' for name, score in scores)}"
    if "fa" in facts:
        yield f"mAP of fa-gcn alone: {facts['fa']:.3f}"
    if facts.get("best_lam") == 0:
        own = "fa-gcn" if "fa" in facts else "the input"
        yield (
            f"the best weight of the predicted distance is lam = 0 on validation identities: "
            f"{own}'s own order"
        )


def _facts(method: Reranker) -> dict[str, Any]:
    record: dict[str, Any] = getattr(method, "record_", {})
    return record.get("validation", {})


def _calibration(method: Reranker, held: Images, resources: Resources) -> Calibration | None:
    features, labels = held
    gallery = Gallery(features)
    relevance = Relevance(labels, labels, own=gallery.rows_of(features.items), protocol=MARKET)
    counts = ScoreHistograms(relevance, comparable=True)
    accumulate(method, features, gallery, [counts], resources=resources)
    return counts.result().calibration
