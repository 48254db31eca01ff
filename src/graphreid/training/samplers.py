"""Batch samplers: P identities with K images of each."""

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from graphreid.seeding import generator


def pk_batches(
    identity: Int64[np.ndarray, " n"], *, identities: int, images: int, seed: int, epoch: int
) -> list[NDArray[np.intp]]:
    """Sample the batches of an epoch as the bag-of-tricks baseline does (Hermans et al. 2017,
    section 2, PK batches).

    Each identity's images are shuffled and cut into groups of K, and a remainder is dropped; an
    identity with fewer than K images gives one group, drawn with replacement. A batch has one group
    of each of P random identities. The epoch ends when fewer than P identities have groups left, so
    most images are used once.

    Args:
        identity: of each image.
        identities: P, at least 2.
        images: K, at least 2.
        seed: of the draw.
        epoch: index of the epoch; each is drawn independently.

    Returns:
        Arrays of P * K row indices; the images of an identity are adjacent.

    Raises:
        ValueError: P or K is below 2, or there are fewer than P identities.
    """
    if identities < 2 or images < 2:
        raise ValueError(
            f"a batch of {identities} identities x {images} images: a triplet needs at least 2 x 2"
        )
    names, inverse = np.unique(identity, return_inverse=True)
    if len(names) < identities:
        raise ValueError(
            f"a batch wants {identities} identities, and there are {len(names)} to train on: write "
            f"fewer (batch_identities)"
        )
    draw = generator(seed, epoch)
    order = np.argsort(inverse, kind="stable")
    groups: list[list[NDArray[np.intp]]] = []
    for rows in np.split(order, np.cumsum(np.bincount(inverse))[:-1]):
        if len(rows) < images:
            groups.append([draw.choice(rows, images)])
        else:
            mixed = draw.permutation(rows)[: len(rows) // images * images]
            groups.append(list(mixed.reshape(-1, images)))
    left = np.arange(len(names))
    batches: list[NDArray[np.intp]] = []
    while len(left) >= identities:
        chosen = draw.choice(left, identities, replace=False)
        batches.append(np.concatenate([groups[row].pop() for row in chosen.tolist()]))
        left = left[[bool(groups[row]) for row in left.tolist()]]
    return batches


def hard_identity_batches(
    identity: Int64[np.ndarray, " n"],
    vectors: Float32[np.ndarray, "n d"],
    *,
    identities: int,
    images: int,
    seed: int,
    epoch: int,
) -> list[NDArray[np.intp]]:
    """Sample batches of identities that are hard to tell apart; about n / (P K) of them.

    A batch has a random identity and P - 1 of the 2 P identities whose mean vectors are most
    similar to its own, with K images of each; images of an identity with fewer than K are repeated.

    Args:
        identity: of each image.
        vectors: of each image, of unit length.
        identities: P.
        images: K.
        seed: of the draw.
        epoch: index of the epoch; each is drawn independently.

    Returns:
        Arrays of P * K row indices; the images of an identity are adjacent.
    """
    draw = generator(seed, epoch)
    names, inverse = np.unique(identity, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    centres = np.stack([vectors[each].mean(axis=0) for each in rows])
    batches: list[NDArray[np.intp]] = []
    count = max(1, len(identity) // (identities * images))
    firsts = np.concatenate([draw.permutation(len(names)) for _ in range(-(-count // len(names)))])[
        :count
    ]
    for first in firsts.tolist():
        likeness = centres @ centres[first]
        likeness[first] = -np.inf
        near = np.argsort(-likeness, kind="stable")[: min(2 * identities, len(names) - 1)]
        chosen = [first, *draw.choice(near, min(identities - 1, len(near)), replace=False).tolist()]
        batches.append(
            np.concatenate(
                [draw.choice(rows[one], images, replace=len(rows[one]) < images) for one in chosen]
            )
        )
    return batches
