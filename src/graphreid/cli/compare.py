"""`graphreid compare`."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from graphreid.cli.calibrate import read_threshold
from graphreid.cli.options import ResourceOptions
from graphreid.datasets.images import Images
from graphreid.gallery import normalise
from graphreid.models import load_embedder
from graphreid.training.run_folder import MODEL, is_complete, read_config


def compare(
    first: Annotated[Path, Parameter(help="an image")],
    second: Annotated[Path, Parameter(help="another")],
    /,
    *,
    model: Annotated[Path, Parameter(help="a run's folder")],
    options: ResourceOptions | None = None,
) -> None:
    """Say how similar two images are to a run, and whether they show one identity where the run was
    calibrated.
    """
    read_config(model)
    if not is_complete(model):
        raise ValueError(
            f"{model}: its training has not ended: go on with the same 'graphreid train' command"
        )
    threshold = read_threshold(model)
    with (options or ResourceOptions()).resources() as resources:
        features = load_embedder(model / MODEL).embed(
            Images([first, second], np.array(["first", "second"])), resources=resources
        )
    one, other = normalise(features.vectors).astype(np.float64)
    similarity = float(np.clip(one @ other, -1, 1))
    print(f"similarity {similarity:.4f} (cosine), distance {1 - similarity:.4f}")
    if threshold is None:
        print(f"no verdict: {model} is not calibrated ('graphreid calibrate')")
        return
    same = 1 - similarity <= threshold.distance
    print(
        f"{'one identity' if same else 'two identities'}: the distance is "
        f"{'at most' if same else 'more than'}"
        f" {threshold.distance:.4f}, up to which {threshold.false_match_rate:.2%} of "
        f"{threshold.wrong_pairs:,} wrong pairs"
        f" and {threshold.true_match_rate:.1%} of {threshold.right_pairs:,} right ones are"
    )
