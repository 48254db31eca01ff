"""What the service does with a gallery, for the HTTP interface and for the viewer alike."""

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
from graphreid.server.thumbnails import GalleryThumbnails, copy_path, small_copy
from graphreid.store import (
    PersistentGallery,
    SearchResult,
    Snapshot,
    Threshold,
    explain,
    find_threshold,
    online_method,
    search,
    search_results,
)
from graphreid.training.run_folder import MODEL, is_complete, read_config
from graphreid.types import Explanation, Features

MAX_PIXELS = 40_000_000
"""Pixels of an image that is sent; a larger one is refused before it is decoded."""


class MissingError(ValueError):
    """An item that is asked for is not in the gallery."""


class ConflictError(ValueError):
    """An item that is added is in the gallery already."""


@dataclass(frozen=True, eq=False)
class QuerySource:
    """A query, by one of three: a vector, the bytes of an image file, or an item of the gallery.

    Attributes:
        camera: of a vector or an image, for methods that use it.
    """

    vector: Sequence[float] | None = None
    image: bytes | None = None
    item: str | None = None
    camera: str | None = None


@dataclass(frozen=True, eq=False)
class NewImage:
    """An image to add, with a vector or the bytes of an image file; `extra` is a JSON object."""

    item: str
    vector: Sequence[float] | None = None
    image: bytes | None = None
    identity: str | None = None
    camera: str | None = None
    path: str | None = None
    extra: str | None = None


@dataclass(frozen=True, eq=False)
class MethodRanking:
    """One method's ranking of the whole gallery for a query.

    Attributes:
        method: its name in the service.
        result: the first images.
        distance: float32 [g], of every image; +inf where that is the query.
        score: float32 [g], what a threshold is compared with; +inf likewise.
    """

    method: str
    result: SearchResult
    distance: Float32[np.ndarray, " g"]
    score: Float32[np.ndarray, " g"]


class GalleryService:
    """A gallery with the methods that it is searched by.

    Searches take turns, because each uses all processors.

    Args:
        gallery: the gallery on disk.
        methods: METHOD texts; requests can name no others. A file is named without its folder.
        model: the training run that made the gallery's vectors, to embed images; None for none.
        resources: where and with how much.

    Raises:
        ValueError: a method that is unknown or not online, or a run that did not make the gallery's
            vectors.
    """

    def __init__(
        self,
        gallery: PersistentGallery,
        methods: Sequence[str] = ("cosine",),
        *,
        model: Path | None = None,
        resources: Resources | None = None,
    ) -> None:
        self.gallery = gallery
        self.resources = resources or Resources()
        self.methods: dict[str, Reranker] = {
            _without_folder(text): online_method(parse(text), text) for text in methods
        }
        if not methods or len(self.methods) < len(methods):
            raise ValueError(
                f"methods {', '.join(methods) or '(none)'}: name at least one, and each by another "
                f"name"
            )
        self.thumbnails = GalleryThumbnails(gallery.folder, gallery.config.images)
        self._embedder = None if model is None else _load_model(gallery, model)
        self._lock = threading.Lock()

    @property
    def takes_images(self) -> bool:
        """Whether image files can be searched for and added."""
        return self._embedder is not None

    def warm_up(self) -> None:
        """Compute what each method derives from the gallery, so that the first search does not wait
        for it.
        """
        snapshot = self.gallery.snapshot()
        if snapshot.gallery is not None:
            item = str(snapshot.gallery.features.items[0])
            for name in self.methods:
                self.search(QuerySource(item=item), name, 1)

    def method(self, name: str) -> Reranker:
        """A method of the service.

        Raises:
            ValueError: the service has no method of that name.
        """
        if name not in self.methods:
            raise ValueError(
                f"method {name!r} is not served: choose one of {', '.join(self.methods)}"
            )
        return self.methods[name]

    def search(self, source: QuerySource, name: str, top: int) -> SearchResult:
        """Search the gallery as it is now for one query.

        Raises:
            MissingError: an item that is not in the gallery.
            ValueError: an unknown method, or a query that can't be used.
        """
        method = self.method(name)
        snapshot = self.gallery.snapshot()
        query = self.query_features(source, snapshot)
        threshold = find_threshold(self.gallery, method)
        with self._lock:
            results = search(
                snapshot, method, query, top=top, threshold=threshold, resources=self.resources
            )
        return results[0]

    def rank(self, snapshot: Snapshot, query: Features, name: str, top: int) -> MethodRanking:
        """One method's ranking of a snapshot for a query.

        Raises:
            ValueError: an unknown method, or an empty gallery.
        """
        method = self.method(name)
        gallery = snapshot.searchable()
        with self._lock:
            block = next(iter(method.distances(query, gallery, resources=self.resources)))
        threshold = find_threshold(self.gallery, method)
        result = search_results(snapshot, query, rank([block], top), threshold)[0]
        distance = block.distance[0]
        score = distance if block.probability is None else 1 - block.probability[0]
        score = np.where(np.isinf(distance), np.float32(np.inf), score)
        return MethodRanking(name, result, distance, score)

    def explanation(self, snapshot: Snapshot, query: Features, name: str) -> Explanation | None:
        """A method's graph of a query in a snapshot; None where the method makes none."""
        method = self.method(name)
        if not isinstance(method, Explains):
            return None
        with self._lock:
            return method.explain(query, snapshot.searchable(), resources=self.resources)

    def threshold(self, name: str) -> Threshold | None:
        """A method's threshold; None where none was chosen."""
        return find_threshold(self.gallery, self.method(name))

    def explain(self, source: QuerySource, name: str) -> ExplanationGraph:
        """A method's graph of one query in the gallery as it is now.

        Raises:
            MissingError: an item that is not in the gallery.
            ValueError: the method makes no graph, or a query that can't be used.
        """
        method = self.method(name)
        if not isinstance(method, Explains):
            able = [text for text, each in self.methods.items() if isinstance(each, Explains)]
            advice = f"ask {able[0]}" if able else "no method here does"
            raise ValueError(f"{name} makes no graph of a query: {advice}")
        snapshot = self.gallery.snapshot()
        query = self.query_features(source, snapshot)
        with self._lock:
            return explain(snapshot, method, name, query, resources=self.resources)

    def query_features(self, source: QuerySource, snapshot: Snapshot) -> Features:
        """The query's vector.

        Raises:
            MissingError: an item that is not in the gallery.
            ValueError: not one of the three, or a value that can't be used.
        """
        match (source.vector, source.image, source.item):
            case (None, None, str(item)):
                if source.camera is not None:
                    raise ValueError("an item of the gallery has its own camera: leave camera out")
                return snapshot.searchable().features.take(np.array([row_of(snapshot, item)]))
            case (values, None, None) if values is not None:
                vector = _vector(values, self.gallery.config.width)
            case (None, bytes(image), None):
                vector = self.embed([image], ["query"]).vectors
            case _:
                raise ValueError("give a vector, an image or an item: one of the three")
        camera = None if source.camera is None else [source.camera]
        # without an item it gets one that no image of the gallery has
        return Features(vector, None, camera, self.gallery.config.zero)

    def embed(self, images: Sequence[bytes], items: Sequence[str]) -> Features:
        """Vectors of image files.

        Raises:
            ValueError: the service has no model, or a file that is no image or too large.
        """
        if self._embedder is None:
            raise ValueError("this service has no model and takes no images: send vectors")
        with tempfile.TemporaryDirectory() as folder:
            paths: list[Path] = []
            for number, data in enumerate(images):
                check_image(data)
                paths.append(Path(folder, f"image {number}"))
                paths[-1].write_bytes(data)
            given = Images(paths, np.array(items))
            with self._lock:
                try:
                    return self._embedder.embed(given, resources=self.resources)
                except ValueError as error:
                    raise ValueError(str(error).replace(f"{folder}/", "")) from None

    def add(self, images: Sequence[NewImage]) -> int:
        """Add images, all or none; returns the gallery's new version.

        Raises:
            ConflictError: an item that is in the gallery already.
            ValueError: a value that can't be used.
        """
        features = self._features(images)
        self._check_new_items(features)
        texts = {
            "identity": [image.identity for image in images],
            "camera": [image.camera for image in images],
            "path": [image.path for image in images],
            "extra": [image.extra for image in images],
        }
        copies: list[bytes] = []
        for row, image in enumerate(images):
            if image.image is not None and not image.path:
                copies.append(small_copy(image.image))
                texts["path"][row] = copy_path(copies[-1])
        try:
            version = self.gallery.add(features, texts)
        except ValueError:
            self._check_new_items(features)  # another request may have added it meanwhile
            raise
        for copy in copies:
            self.thumbnails.save_copy(copy)
        return version

    def _features(self, images: Sequence[NewImage]) -> Features:
        """The vectors of new images, given or embedded."""
        config = self.gallery.config
        if any((image.image is None) == (image.vector is None) for image in images):
            raise ValueError("give each image a vector or an image: one of the two")
        items = [image.item for image in images]
        vectors = np.zeros((len(images), config.width), np.float32)
        files = {row: image.image for row, image in enumerate(images) if image.image is not None}
        if files:
            embedded = self.embed([*files.values()], [items[row] for row in files])
            vectors[list(files)] = embedded.vectors
        for row, image in enumerate(images):
            if image.vector is not None:
                vectors[row] = _vector(image.vector, config.width)[0]
        return Features(vectors, np.array(items), zero=config.zero)

    def _check_new_items(self, features: Features) -> None:
        gallery = self.gallery.snapshot().gallery
        known = np.zeros(0) if gallery is None else gallery.rows_of(features.items) >= 0
        if known.any():
            item = str(features.items[known.argmax()])
            raise ConflictError(f"item {item!r} is in the gallery already: remove it first")

    def remove(self, item: str) -> int:
        """Remove an image; returns the gallery's new version.

        Raises:
            MissingError: it is not in the gallery.
        """
        row_of(self.gallery.snapshot(), item)
        try:
            return self.gallery.remove(np.array([item]))
        except ValueError as error:  # another request has removed it meanwhile
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
    """Refuse an image file that can't be read, or would take much memory.

    Raises:
        ValueError: either.
    """
    try:
        with Image.open(BytesIO(data)) as opened:
            width, height = opened.size
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        raise ValueError("the image is in no format that is known") from None
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"the image has {width} x {height} pixels: send at most {MAX_PIXELS // 10**6} million"
        )


def _without_folder(text: str) -> str:
    """A METHOD text without the folders of its files, which requests need not know."""
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


def _load_model(gallery: PersistentGallery, run: Path) -> Any:
    read_config(run)
    if not is_complete(run):
        raise ValueError(
            f"{run}: its training has not ended: go on with the same 'graphreid train' command"
        )
    embedder = load_embedder(run / MODEL)
    gallery.check_embedder(name_of(run / MODEL, flip=embedder.flip_average), str(run))
    return embedder
