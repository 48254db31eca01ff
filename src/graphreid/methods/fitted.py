"""The network of a fitted method from its weights, and the record of a fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from graphreid.gallery import RetrievalSet
from graphreid.types import Labels

N = TypeVar("N", bound=nn.Module)


def need_fitted(method: Any) -> None:
    """Check that a method is fitted.

    Raises:
        ValueError: it is not.
    """
    if not hasattr(method, "state_"):
        raise ValueError(f"{method.name} is not fitted: fit it, or load a file of 'graphreid fit'")


def restored(build: Callable[[], N], state: dict[str, Tensor], method: str) -> N:
    """The network that `build` makes, with the weights of `state`; no random number is drawn.

    Raises:
        ValueError: the weights do not fit the network.
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
    """Check that vectors are as wide as those that a method was fitted on.

    Raises:
        ValueError: they are not.
    """
    width = retrieval_set.gallery.features.width
    if width != wanted:
        raise ValueError(
            f"vectors are {width} wide, and {method} was fitted on {wanted}: fit it again, or "
            f"embed as before"
        )


def record(
    labels: Labels, history: Sequence[Mapping[str, float]], precision: Literal["bf16", "fp32"]
) -> dict[str, Any]:
    """Facts of a fit, a JSON object.

    Args:
        labels: of the images fitted on.
        history: of the training loop, a record an epoch.
        precision: of the training.
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
