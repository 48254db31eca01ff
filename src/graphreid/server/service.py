"""What a service can do with a gallery, whatever asks for it: the HTTP interface or the viewer."""

import re
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from PIL import Image

from graphreid.datasets.images import Images
from graphreid.explanation_json import ExplanationGraph
from graphreid.methods.spec import parse
from graphreid.models import load_embedder, name_of
from graphreid.protocols import Explains, Reranker
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.server.thumbnails import Pictures, path_of, shrunk
from graphreid.store import (
    Answer,
    PersistentGallery,
    Snapshot,
    Threshold,
    explain,
    online,
    respond,
    threshold_of,
    told,
)
from graphreid.training.run_folder import MODEL, is_complete, read_config
from graphreid.types import Explanation, Features

MOST_PIXELS = 40_000_000
"""Pixels of an image that is sent; more is refused before it is decoded."""


class MissingError(ValueError):
    """What is asked for is not in the gallery."""


class ConflictError(ValueError):
    """What is given is in the gallery already."""


@dataclass(frozen=True, eq=False)
class QuerySource:
    """What is searched for, by one of these: a vector, an image file's bytes, or an item of the
    gallery.

    A vector or an image may come with its camera, for methods that want one.
    """

    vector: Sequence[float] | None = None
    image: bytes | None = None
    item: str | None = None
    camera: str | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What one method says of a query.

    Attributes:
        method: as it is named.
        answer: the first images.
        distance: float32 [g], to every image; +inf where that is the query.
        score: float32 [g], what a threshold is set on; +inf likewise.
    """

    method: str
    answer: Answer
    distance: Float32[np.ndarray, " g"]
    score: Float32[np.ndarray, " g"]


class Engine:
    """A gallery with the methods that it is searched by. Work on it takes turns: it uses all
    processors by itself.

    Args:
        living: the gallery.
        methods: METHOD texts; nothing else can be asked for. A file is asked for by its name
            without its folder.
        model: the run that made the gallery's vectors, for images.
        resources: where and with how much.

    Raises:
        ValueError: a method that is not known or not online, or a run that did not make the
            gallery's vectors.
    """

    def __init__(
        self,
        living: PersistentGallery,
        methods: Sequence[str] = ("cosine",),
        *,
        model: Path | None = None,
        resources: Resources | None = None,
    ) -> None:
        self.living = living
        self.resources = resources or Resources()
        self.methods: dict[str, Reranker] = {
            _short(text): online(parse(text), text) for text in methods
        }
        if not methods or len(self.methods) < len(methods):
            raise ValueError(
                f"methods {', '.join(methods) or '(none)'}: name at least one, and each by another "
                f"name"
            )
        self.pictures = Pictures(living.folder, living.config.images)
        self._embedder = None if model is None else _embedder(living, model)
        self._turn = threading.Lock()

    @property
    def takes_images(self) -> bool:
        """Whether images can be searched for and added."""
        return self._embedder is not None

    def warm(self) -> None:
        """Make what each method keeps of the gallery, so that the first to ask does not wait for
        it.
        """
        snapshot = self.living.snapshot()
        if snapshot.gallery is not None:
            for text in self.methods:
                self.search(QuerySource(item=str(snapshot.gallery.features.items[0])), text, 1)

    def method(self, text: str) -> Reranker:
        """A method that is served.

        Raises:
            ValueError: it is not.
        """
        if text not in self.methods:
            raise ValueError(
                f"method {text!r} is not served: choose one of {', '.join(self.methods)}"
            )
        return self.methods[text]

    def search(self, one_query: QuerySource, method: str, top: int) -> Answer:
        """What the gallery as it is now says of a query."""
        chosen = self.method(method)
        snapshot = self.living.snapshot()
        query = self.features(one_query, snapshot)
        with self._turn:
            return respond(
                snapshot,
                chosen,
                query,
                top=top,
                threshold=threshold_of(self.living, chosen),
                resources=self.resources,
            )[0]

    def look(self, snapshot: Snapshot, query: Features, method: str, top: int) -> "Look":
        """All that one method says of a query in a snapshot, for people to look at."""
        chosen = self.method(method)
        with self._turn:
            block = next(
                iter(chosen.distances(query, snapshot.searchable(), resources=self.resources))
            )
        answer = told(snapshot, query, rank([block], top), threshold_of(self.living, chosen))[0]
        score = block.distance[0] if block.probability is None else 1 - block.probability[0]
        return Look(
            method,
            answer,
            block.distance[0],
            np.where(np.isinf(block.distance[0]), np.float32(np.inf), score),
        )

    def graph(self, snapshot: Snapshot, query: Features, method: str) -> Explanation | None:
        """The graph that a method made of a query; None where it makes none."""
        chosen = self.method(method)
        if not isinstance(chosen, Explains):
            return None
        with self._turn:
            return chosen.explain(query, snapshot.searchable(), resources=self.resources)

    def threshold(self, method: str) -> Threshold | None:
        """A served method's threshold, None where none was chosen."""
        return threshold_of(self.living, self.method(method))

    def explain(self, one_query: QuerySource, method: str) -> ExplanationGraph:
        """The graph of a query.

        Raises:
            ValueError: the method makes no graph.
        """
        chosen = self.method(method)
        if not isinstance(chosen, Explains):
            can = [text for text, each in self.methods.items() if isinstance(each, Explains)]
            raise ValueError(
                f"{method} makes no graph of a query: "
                f"{f'ask {can[0]}' if can else 'no method here does'}"
            )
        snapshot = self.living.snapshot()
        query = self.features(one_query, snapshot)
        with self._turn:
            return explain(snapshot, chosen, method, query, resources=self.resources)

    def features(self, query: QuerySource, snapshot: Snapshot) -> Features:
        """The query's vector.

        Raises:
            MissingError: an item that is not in the gallery.
            ValueError: not one of the three, or a value that can't be used.
        """
        match (query.vector, query.image, query.item):
            case (None, None, str(item)):
                if query.camera is not None:
                    raise ValueError("an item of the gallery has its own camera: leave camera out")
                return snapshot.searchable().features.take(np.array([row_of(snapshot, item)]))
            case (given, None, None) if given is not None:
                vector = _vector(given, self.living.config.width)
            case (None, bytes(image), None):
                vector = self.embed([image], ["query"]).vectors
            case _:
                raise ValueError("give a vector, an image or an item: one of the three")
        # without an item it gets one that no image of the gallery has
        return Features(
            vector, None, None if query.camera is None else [query.camera], self.living.config.zero
        )

    def embed(self, images: Sequence[bytes], items: Sequence[str]) -> Features:
        """Vectors of images.

        Raises:
            ValueError: the service has no model, or a file that is no image or a too large one.
        """
        if self._embedder is None:
            raise ValueError("this service has no model and takes no images: send vectors")
        with tempfile.TemporaryDirectory() as folder:
            paths: list[Path] = []
            for number, data in enumerate(images):
                check_image(data)
                paths.append(Path(folder, f"image {number}"))
                paths[-1].write_bytes(data)
            with self._turn:
                try:
                    return self._embedder.embed(
                        Images(paths, np.array(items)), resources=self.resources
                    )
                except ValueError as error:
                    raise ValueError(str(error).replace(f"{folder}/", "")) from None

    def add(self, entries: Sequence[dict[str, Any]]) -> int:
        """Add images; returns the table's version.

        Args:
            entries: of each image its `item`, its `vector` or `image`, and any of identity, camera,
                path and extra (as text).

        Raises:
            ConflictError: an item that is there already.
            ValueError: a value that can't be used.
        """
        width, items = self.living.config.width, [str(entry["item"]) for entry in entries]
        pictured = [row for row, entry in enumerate(entries) if entry.get("image") is not None]
        if any((entry.get("image") is None) == (entry.get("vector") is None) for entry in entries):
            raise ValueError("give each image a vector or an image: one of the two")
        vectors = np.zeros((len(entries), width), np.float32)
        if pictured:
            made = self.embed(
                [entries[row]["image"] for row in pictured], [items[row] for row in pictured]
            )
            vectors[pictured] = made.vectors
        for row, entry in enumerate(entries):
            if entry.get("image") is None:
                vectors[row] = _vector(entry["vector"], width)[0]
        features = Features(vectors, np.array(items), zero=self.living.config.zero)
        there = self.living.snapshot().gallery
        if there is not None and (there.rows_of(features.items) >= 0).any():
            item = items[int((there.rows_of(features.items) >= 0).argmax())]
            raise ConflictError(f"item {item!r} is in the gallery already: remove it first")
        texts = {
            name: [entry.get(name) for entry in entries]
            for name in ("identity", "camera", "path", "extra")
        }
        small = {row: shrunk(entries[row]["image"]) for row in pictured if not texts["path"][row]}
        for row, picture in small.items():
            texts["path"][row] = path_of(picture)
        try:
            version = self.living.add(features, texts)
        except ValueError as error:
            there = self.living.snapshot().gallery
            if (
                there is not None and (there.rows_of(features.items) >= 0).any()
            ):  # another was quicker
                raise ConflictError(str(error)) from None
            raise
        for picture in small.values():
            self.pictures.keep(picture)
        return version

    def remove(self, item: str) -> int:
        """Remove an image; returns the table's version.

        Raises:
            MissingError: it is not there.
        """
        row_of(self.living.snapshot(), item)
        try:
            return self.living.remove(np.array([item]))
        except ValueError as error:  # another was quicker
            raise MissingError(str(error)) from None


def row_of(snapshot: Snapshot, item: str) -> int:
    """The row of an item.

    Raises:
        MissingError: it is not in the gallery.
    """
    try:
        return snapshot.row(item)
    except ValueError as error:
        raise MissingError(str(error)) from None


def check_image(data: bytes) -> None:
    """Refuse what is no image, or would take much memory.

    Raises:
        ValueError: either.
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            width, height = opened.size
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        raise ValueError("the image is in no format that is known") from None
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"the image has {width} x {height} pixels: send at most {MOST_PIXELS // 10**6} million"
        )


def _short(text: str) -> str:
    """A METHOD text without the folders of its files, which are nobody's business."""
    return re.sub(r"[^+]*[/\\\\]", "", text)


def _vector(values: Sequence[float], width: int) -> NDArray[np.float32]:
    if len(values) != width:
        raise ValueError(
            f"the vector is {len(values)} wide and the gallery's are {width}: embed with the same "
            f"network"
        )
    with np.errstate(over="ignore"):
        vector = np.array([values], np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("the vector has a value that is no number of 32 bits: mend it")
    return vector


def _embedder(living: PersistentGallery, model: Path) -> Any:
    read_config(model)
    if not is_complete(model):
        raise ValueError(
            f"{model}: its training has not ended: go on with the same 'graphreid train' command"
        )
    network = load_embedder(model / MODEL)
    living.check_embedder(name_of(model / MODEL, flip=network.flip_average), str(model))
    return network
