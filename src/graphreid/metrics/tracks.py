"""Image to track: what is found is a track of the gallery, as near as its nearest image (VeRi-776's
other protocol).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray

from graphreid.metrics.ranks import RankCounter, Ranks
from graphreid.types import DistanceBlock, Labels


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of a gallery, in the order of their first images.

    Attributes:
        labels: of each track.
        of_image: int64 [g], the track of each image.
        images: int64 [t], how many it has.
    """

    labels: Labels
    of_image: Int64[np.ndarray, " g"]
    images: Int64[np.ndarray, " t"]

    @staticmethod
    def of(names: Shaped[np.ndarray, " g"], labels: Labels) -> "Tracks":
        """The tracks that the images' track names make.

        Raises:
            ValueError: lengths that differ, an image without a track, or one track with two
                identities, cameras or roles.
        """
        if len(names) != len(labels):
            raise ValueError(
                f"{len(names)} tracks for {len(labels)} gallery images: give each image its track"
            )
        text = names.astype(str)
        if (text == "").any():
            raise ValueError(
                f"the gallery's image in row {(text == '').argmax()} has no track: give each image "
                f"one"
            )
        _, first, number, count = np.unique(
            text, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        number = place[number.reshape(-1)]
        tracks = labels.take(first[order])
        columns = {"identities": "identity", "roles": "role"} | (
            {} if labels.camera is None else {"cameras": "camera"}
        )
        for what, column in columns.items():
            apart = getattr(labels, column) != getattr(tracks, column)[number]
            if apart.any():
                raise ValueError(
                    f"track {str(text[apart.argmax()])!r} has images of two {what}: a track is one "
                    f"visit to one camera"
                )
        return Tracks(tracks, number, count[order])

    def own(self, rows: Int64[np.ndarray, " q"]) -> Int64[np.ndarray, " q"]:
        """The track that has nothing but the image of a row, or -1; for queries that are in the
        gallery themselves.
        """
        alone = (rows >= 0) & (self.images[self.of_image[rows]] == 1)
        return np.where(alone, self.of_image[rows], -1)

    def nearest(self, block: DistanceBlock) -> DistanceBlock:
        """Distances to the tracks' nearest images."""
        order, start = self._grouped
        return DistanceBlock(
            block.start, np.minimum.reduceat(block.distance[:, order], start, axis=1)
        )

    @cached_property
    def _grouped(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images by their tracks, and where each track begins in them."""
        return np.argsort(self.of_image, kind="stable"), np.cumsum(self.images) - self.images


class ByTrack:
    """Counts the ranks of tracks: each is as near as its nearest image.

    Args:
        tracks: of the gallery.
        counter: counts them.
    """

    def __init__(self, tracks: Tracks, counter: RankCounter) -> None:
        self._tracks = tracks
        self._counter = counter

    def add(self, block: DistanceBlock) -> None:
        """Count a block of distances to images."""
        self._counter.add(self._tracks.nearest(block))

    def result(self) -> Ranks:
        """The ranks, once every query was counted."""
        return self._counter.result()
