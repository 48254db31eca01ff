"""An embedder with the network of another toolkit's checkpoint; it can't be trained further."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, final

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from graphreid.datasets.images import Images
from graphreid.models.checkpoints.architectures import Architecture, ToolkitNetwork
from graphreid.models.extraction import Extractor, blocks
from graphreid.resources import Resources
from graphreid.seeding import seeded
from graphreid.types import Features


@final
@dataclass(eq=False)
class ImportedEmbedder(Architecture):
    """An embedder made of an imported checkpoint; its options are its architecture.

    Attributes:
        flip_average: average the vectors of the image and its mirror image, as layumi's toolkit
            does.
    """

    flip_average: bool = False

    network_: ToolkitNetwork | None = field(default=None, init=False, repr=False)

    def fields(self) -> dict[str, Any]:
        """All options by name."""
        return {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.init
        }

    def fit(self, *_: Any, **__: Any) -> NoReturn:
        """Not supported.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "an imported checkpoint is not trained further: use 'graphreid train --weights' on its "
            "backbone's weights"
        )

    def embed(self, images: Images, *, resources: Resources | None = None) -> Features:
        """Compute the embeddings of images, float32 [n, d], not normalised.

        Raises:
            ValueError: no network is loaded, or an image can't be read.
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
        """Embeddings of images `start` to n - 1, one block at a time (see `extraction.blocks`).

        Raises:
            ValueError: no network is loaded, or an image can't be read.
        """
        network, size = self.fitted()
        extractor = Extractor(network, flip_average=self.flip_average, resample=self.resample)
        yield from blocks(extractor, images, size, start=start, batch=batch, resources=resources)

    def fitted(self) -> tuple[ToolkitNetwork, tuple[int, int]]:
        """The network, and (height, width) of its images.

        Raises:
            ValueError: no network is loaded.
        """
        if self.network_ is None:
            raise ValueError(
                "no checkpoint is imported yet: use 'graphreid import-checkpoint', or load a run"
            )
        return self.network_, (self.height, self.width)

    @property
    def entries(self) -> int:
        """Dimensions of an embedding, d."""
        return self.fitted()[0].neck.num_features

    def columns(self, _: Float32[np.ndarray, "n d"], /) -> dict[str, np.ndarray]:
        """Further columns of a features file for these vectors: none."""
        return {}

    def adopt(self, network: ToolkitNetwork) -> "ImportedEmbedder":
        """Use a network of this architecture, with its weights; returns self."""
        self.network_ = network.eval()
        return self

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights by name and (empty) metadata, for a file."""
        network, _ = self.fitted()
        return {name: value.contiguous() for name, value in network.state_dict().items()}, {}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Load the result of `state`.

        Raises:
            ValueError: tensors of another network.
        """
        del metadata
        with seeded(0):  # what is drawn here is replaced
            network = ToolkitNetwork(self)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"weights of another network than {self.backbone}: {str(error).splitlines()[1]}"
            ) from None
        self.adopt(network)
