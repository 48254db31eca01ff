"""A network that another toolkit trained: it only embeds."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, final

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from graphreid.datasets.images import Images
from graphreid.models.checkpoints.architectures import Anatomy, ToolkitNetwork
from graphreid.models.extraction import Extractor, blocks
from graphreid.resources import Resources
from graphreid.seeding import seeded
from graphreid.types import Features


@final
@dataclass(eq=False)
class Imported(Anatomy):
    """The network of an imported checkpoint; its hyper-parameters are its anatomy.

    Attributes:
        flip_average: a vector is the mean of the image's and its mirror image's. Of the toolkits
            only layumi's does so.
    """

    flip_average: bool = False

    network_: ToolkitNetwork | None = field(default=None, init=False, repr=False)

    def fields(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.init
        }

    def fit(self, *_: Any, **__: Any) -> NoReturn:
        """Refused.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "an imported checkpoint is not trained further: use 'graphreid train --weights' on its "
            "backbone's weights"
        )

    def embed(self, images: Images, *, resources: Resources | None = None) -> Features:
        """A vector for each image, float32 [n, d], in their order, not normalised.

        Raises:
            ValueError: there is no network yet, or an image that can't be read.
        """
        vectors = np.concatenate([*self.blocks(images, resources=resources)])
        return Features(vectors, images.items, images.camera)  # type: ignore[arg-type]  # text is coded there

    def blocks(
        self,
        images: Images,
        *,
        start: int = 0,
        batch: int | None = None,
        resources: Resources | None = None,
    ) -> Iterator[Float32[np.ndarray, "b d"]]:
        """The vectors of images start .. n-1, a block at a time (see `extraction.blocks`).

        Raises:
            ValueError: there is no network yet, or an image that can't be read.
        """
        network, size = self.fitted()
        extractor = Extractor(network, flip_average=self.flip_average, resample=self.resample)
        yield from blocks(extractor, images, size, start=start, batch=batch, resources=resources)

    def fitted(self) -> tuple[ToolkitNetwork, tuple[int, int]]:
        """The network and its images' (height, width).

        Raises:
            ValueError: there is none yet.
        """
        if self.network_ is None:
            raise ValueError(
                "no checkpoint is imported yet: use 'graphreid import-checkpoint', or load a run"
            )
        return self.network_, (self.height, self.width)

    @property
    def entries(self) -> int:
        """Entries of a vector, d; of a network that was adopted."""
        return self.fitted()[0].neck.num_features

    def columns(self, _: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """What stands beside these vectors in a features file, by column: nothing."""
        return {}

    def adopt(self, network: ToolkitNetwork) -> "Imported":
        """Take a network of this anatomy, with its weights; returns itself."""
        self.network_ = network.eval()
        return self

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights by name, for a file."""
        network, _ = self.fitted()
        return {name: value.contiguous() for name, value in network.state_dict().items()}, {}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `state` gave.

        Raises:
            ValueError: tensors of another network.
        """
        del facts
        with seeded(0):  # what is drawn here is replaced
            network = ToolkitNetwork(self)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"weights of another network than {self.backbone}: {str(error).splitlines()[1]}"
            ) from None
        self.adopt(network)
