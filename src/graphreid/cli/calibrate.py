"""`graphreid calibrate`, and the file that it leaves in a run."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from graphreid.atomic_files import whole_file
from graphreid.cli.options import ResourceOptions
from graphreid.features.features_file import load_embedder_name, load_features
from graphreid.gallery import Gallery
from graphreid.methods.cosine import Cosine
from graphreid.metrics.evaluate import accumulate
from graphreid.metrics.open_set import ScoreHistograms
from graphreid.metrics.protocol import PROTOCOLS
from graphreid.metrics.relevance import Relevance
from graphreid.models import load_embedder, name_of
from graphreid.training.run_folder import MODEL, read_config
from graphreid.types import drop_junk

THRESHOLD = "threshold.json"


@dataclass(frozen=True)
class Threshold:
    """From which distance on two images are taken for two identities.

    Attributes:
        distance: 1 - cosine, in [0, 2]; a pair at most this far apart is taken for one identity.
        false_match_rate: share of the wrong pairs that it lets through, as measured.
        true_match_rate: share of the right pairs that it lets through, as measured.
        wrong_pairs: how many there were.
        right_pairs: how many there were.
        asked: the false-match rate that was asked for.
        rule: which pairs counted.
        model: digest of the run's weights.
    """

    distance: float
    false_match_rate: float
    true_match_rate: float
    wrong_pairs: int
    right_pairs: int
    asked: float
    rule: str
    model: str


def calibrate(
    *,
    model: Annotated[Path, Parameter(help="a run's folder; it gets threshold.json")],
    query: Annotated[
        Path, Parameter(help="features of the run, with identities that it was not trained on")
    ],
    gallery: Annotated[Path, Parameter(help="the same, of the images that they are compared with")],
    false_match_rate: Annotated[
        float, Parameter(help="share of the wrong pairs that may pass for right")
    ] = 1e-3,
    rule: Annotated[
        Literal["market", "no-camera"],
        Parameter(help="whether pairs of one camera and identity count"),
    ] = "market",
    options: ResourceOptions | None = None,
) -> None:
    """Choose the distance up to which two images are taken for one identity, for 'graphreid
    compare'.

    It is the largest at which at most this share of the wrong pairs passes. Both files must be
    vectors that 'graphreid embed' made with the run as 'compare' does, that is without --flip or
    --no-flip.
    """
    read_config(model)
    embedder = load_embedder(model / MODEL)
    entries = embedder.entries
    name = name_of(model / MODEL, flip=embedder.flip_average)
    queries, wanted = drop_junk(*load_features(query))
    images, found = drop_junk(*load_features(gallery))
    for path, features in ((query, queries), (gallery, images)):
        if features.width != entries:
            raise ValueError(
                f"{path}: vectors {features.width} wide, and the run's are {entries}: embed with it"
            )
        if load_embedder_name(path) not in (None, name):
            raise ValueError(
                f"{path}: made by another run, or with --flip or --no-flip: embed with {model}, "
                f"without them"
            )
    place = Gallery(images)
    relevance = Relevance(wanted, found, own=place.rows_of(queries.items), protocol=PROTOCOLS[rule])
    counts = ScoreHistograms(relevance, comparable=True)
    with (options or ResourceOptions()).resources() as resources:
        accumulate(Cosine(), queries, place, [counts], resources=resources)
    pairs = counts.result()
    right = int(pairs.right.sum())
    wrong = int(pairs.wrong.sum())
    if not right:
        raise ValueError(
            f"{query}, {gallery}: no pair of one identity counts: whether right ones pass could "
            f"not be said"
        )
    point = pairs.at_fmr(false_match_rate)
    threshold = Threshold(
        point.threshold,
        point.false,
        point.true,
        wrong,
        right,
        false_match_rate,
        rule,
        digest(model / MODEL),
    )
    with whole_file(model / THRESHOLD) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(threshold), indent=1) + "\n")
    print(
        f"{model / THRESHOLD}: distance {threshold.distance:.4f} lets {point.false:.4%} of "
        f"{wrong:,} wrong pairs pass,"
        f" and {point.true:.1%} of {right:,} right ones"
    )


def read_threshold(run: Path) -> Threshold | None:
    """The run's threshold, None where it was not calibrated.

    Raises:
        ValueError: the file is damaged, or was made for other weights.
    """
    file = run / THRESHOLD
    if not file.is_file():
        return None
    try:
        threshold = Threshold(**json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: not readable ({error}): calibrate again") from None
    if threshold.model != digest(run / MODEL):
        raise ValueError(f"{file}: made for other weights than {run / MODEL}: calibrate again")
    return threshold


def digest(file: Path) -> str:
    """A name for a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
