"""What a table is made on: a folder with the embeddings of fit, validation, query and gallery."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from graphreid.features.features_file import load_columns, load_features
from graphreid.types import JUNK, NORMAL, Features, Labels, drop_junk

PARTS: tuple[Literal["fit", "validation", "query", "gallery"], ...] = (
    "fit",
    "validation",
    "query",
    "gallery",
)
PROVENANCE = "provenance.json"
"""What made the embeddings, where it is known: an object of its own choosing, copied into every
run.
"""


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one part, junk left out except among the queries.

    Attributes:
        features, labels: the images.
        digest: of vectors, items, identities, cameras and roles.
        junk: images left out.
        seen: the share of them whose identity the embedder was trained on, or None where the file
            does not say.
        paths: text [n], the image files, or None.
    """

    features: Features
    labels: Labels
    digest: str
    junk: int
    seen: float | None
    paths: NDArray[Any] | None

    def summary(self) -> dict[str, Any]:
        """What a run keeps of it."""
        return {
            "digest": self.digest,
            "images": len(self.features),
            "identities": len(np.unique(self.labels.identity)),
            "junk": self.junk,
            "seen": self.seen,
        }


@dataclass(frozen=True, eq=False)
class Inputs:
    """The parts that are there, by name; query and gallery always are.

    Attributes:
        name: the data set's, by which the papers' numbers are matched.
        folder: where they were read.
        parts: from "fit", "validation", "query" and "gallery".
        provenance: what made the embeddings, or None.
    """

    name: str
    folder: Path
    parts: Mapping[str, Part]
    provenance: dict[str, Any] | None

    def part(self, name: str) -> Part:
        """One part.

        Raises:
            ValueError: it is not there.
        """
        if name not in self.parts:
            raise ValueError(
                f"{self.folder}: no {name}.npz, which this table needs: fit.npz to fit methods, "
                "validation.npz to choose their"
                " settings, both of other identities than query and gallery"
            )
        return self.parts[name]


def is_embeddings(folder: Path) -> bool:
    """Whether a folder holds embeddings (query.npz at least); otherwise it should be a data
    folder.
    """
    return _file(folder, "query") is not None


def load_inputs(folder: Path, name: str) -> Inputs:
    """The embeddings in a folder: x.npz or a features folder x, for each part x.

    Raises:
        ValueError: no query or gallery, a file that `load_features` refuses, an identity that is in
            two of fit, validation and query, or a provenance.json that is no object.
    """
    files = {part: file for part in PARTS if (file := _file(folder, part)) is not None}
    for part in ("query", "gallery"):
        if part not in files:
            raise ValueError(
                f"{folder}: no {part}.npz: give a folder with fit, validation, query and gallery, "
                "or a data folder"
            )
    parts = {part: _part(file, keep_junk=part == "query") for part, file in files.items()}
    _check_apart(folder, parts)
    return Inputs(name, folder, parts, _provenance(folder / PROVENANCE))


def _file(folder: Path, part: str) -> Path | None:
    found = (
        path for path in (folder / f"{part}.npz", folder / part / "vectors.npy") if path.is_file()
    )
    file = next(found, None)
    return file.parent if file is not None and file.name == "vectors.npy" else file


def _provenance(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(
            f"{file}: not readable as JSON ({error}): correct it, or remove it"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: it must be an object, {{...}}, which is copied into every run")
    return cast(dict[str, Any], content)


def _part(file: Path, *, keep_junk: bool) -> Part:
    features, labels = load_features(file)
    columns = load_columns(file)
    kept, kept_labels = (features, labels) if keep_junk else drop_junk(features, labels)
    return Part(
        features=kept,
        labels=kept_labels,
        digest=_digest(features, labels),
        junk=len(features) - len(kept),
        seen=float(
            np.mean(np.isin(np.char.lower(columns["seen"].astype(str)), ("true", "1", "1.0")))
        )
        if "seen" in columns
        else None,
        paths=columns["path"][np.ones(len(labels), bool) if keep_junk else labels.role != JUNK]
        if "path" in columns
        else None,
    )


def _digest(features: Features, labels: Labels) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for array in (features.vectors, labels.identity, labels.camera, labels.role):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    digest.update("\n".join(features.items.tolist()).encode())
    return digest.hexdigest()


def _check_apart(folder: Path, parts: Mapping[str, Part]) -> None:
    """Refuse identities that would be both fitted on, or chosen by, and evaluated with."""
    names = [name for name in ("fit", "validation", "query") if name in parts]
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            mine, theirs = (
                part.labels.identity[part.labels.role == NORMAL]
                for part in (parts[one], parts[other])
            )
            both = np.intersect1d(mine, theirs)
            if len(both):
                raise ValueError(
                    f"{folder}: {len(both)} identities are in both {one} and {other} "
                    f"({int(both[0])} is"
                    " one): a method must not be fitted or chosen on those it is evaluated with; "
                    "where"
                    " only the numbers are alike, rename them"
                )
