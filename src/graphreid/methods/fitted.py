"""The network of a fitted method, from what it has learned, and the facts of its fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from graphreid.gallery import RetrievalSet
from graphreid.types import Labels

N = TypeVar("N", bound=nn.Module)


def need_fitted(method: Any) -> None:
    """Raises ValueError where a method has learned nothing yet."""
    if not hasattr(method, "state_"):
        raise ValueError(f"{method.name} is not fitted: fit it, or load a file of 'graphreid fit'")


def restored(build: Callable[[], N], state: dict[str, Tensor], method: str) -> N:
    """The network that `build` makes, with these weights; no random number is drawn.

    Raises:
        ValueError: the weights are those of another network.
    """
    with torch.device("meta"):
        network = build()
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError:
        raise ValueError(
            f"the network of a fitted {method} can't be changed: fit it again with those options"
        ) from None
    return network


def need_width(retrieval_set: RetrievalSet, wanted: int, method: str) -> None:
    """Raises ValueError where the pool's vectors are not as wide as those that were fitted on."""
    width = retrieval_set.gallery.features.width
    if width != wanted:
        raise ValueError(
            f"vectors are {width} wide, and {method} was fitted on {wanted}: fit it again, or "
            f"embed as before"
        )


def record(
    labels: Labels, history: Sequence[Mapping[str, float]], precision: Literal["bf16", "fp32"]
) -> dict[str, Any]:
    """Facts of a fit: images, identities, precision of the training, epochs with their mAP on
    validation identities, seconds without validation.
    """
    facts: dict[str, Any] = {
        "images": len(labels),
        "identities": len(np.unique(labels.identity)),
        "precision": precision,
    }
    facts |= {
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
    }
    return facts | {
        "mAP_of_epochs": [round(epoch["score"], 5) for epoch in history if "score" in epoch]
    }
