"""The only place that touches global random state. Seeding wraps the whole of a `fit`, and puts
back what was there.
"""

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Within it every generator starts from `seed`; after it each is where it was before.

    Raises:
        ValueError: `seed` is not in 0 .. 2^32 - 1.
    """
    _check(seed)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # libraries draw from it
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
        if devices:
            torch.cuda.set_rng_state_all(devices)


def generator(seed: int, *keys: int) -> np.random.Generator:
    """A generator of its own for each `keys` (an epoch, a query, a camera), independent of the
    order of use.

    Raises:
        ValueError: `seed` is not in 0 .. 2^32 - 1.
    """
    _check(seed)
    return np.random.default_rng([seed, *keys])


def _check(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}: it must be between 0 and {2**32 - 1}")
