import numpy as np
import pytest
from numpy.typing import NDArray

from graphreid.distances.from_parts import PartDistances
from graphreid.gallery import Gallery
from graphreid.methods import Cosine, Parts
from graphreid.methods.spec import parse
from graphreid.protocols import DistanceSource, GivesDistances, TakesDistances
from graphreid.ranking import rank
from graphreid.resources import Resources
from graphreid.types import Features
from tests.references import icg as reference
from tests.support import all_distances

WIDTHS = (7, 4, 5, 4, 4, 4)
"""Whole, foreground, structure and three parts."""
PARTS = {"parts": 3, "width": 4, "fixed": 3}


def blocks(seed: int, n: int, name: str = "image", identities: int = 6) -> Features:
    """Blocks of unit length around one centre an identity, some of the parts missing."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((identities, sum(WIDTHS)))
    vectors = centres[rng.integers(0, identities, n)] + 0.8 * rng.standard_normal((n, sum(WIDTHS)))
    split = np.split(vectors, np.cumsum(WIDTHS)[:-1], axis=1)
    split = [block / np.linalg.norm(block, axis=1, keepdims=True) for block in split]
    for block in split[3:]:
        block[rng.random(n) < 0.3] = 0
    return Features(
        np.concatenate(split, 1),
        np.array([f"{name}{row}" for row in range(n)]),
        rng.integers(0, 3, n),
    )


def slow(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    cut = np.cumsum(WIDTHS)[:-1]
    split = [[np.split(row, cut) for row in side.astype(np.float64)] for side in (one, other)]
    return np.array([[reference.distance(q, g, 3) for g in split[1]] for q in split[0]])


def parted(query: Features, images: Features, resources: Resources | None = None) -> PartDistances:
    return PartDistances(query, Gallery(images), **PARTS, resources=resources)


def test_distances_are_equations_13_to_15():
    query, images = blocks(0, 9, "query"), blocks(1, 30)
    wanted = slow(query.vectors, images.vectors)
    got = all_distances(Parts(**PARTS), query, Gallery(images))
    np.testing.assert_allclose(got, wanted, atol=2e-6)
    # rows of another length mean the same
    np.testing.assert_allclose(
        all_distances(Parts(**PARTS), Features(query.vectors * 3), Gallery(images)),
        wanted,
        atol=2e-6,
    )
    # where every part is seen, they are cosines
    full = [Features(np.where(x.vectors == 0, 0.5, x.vectors)) for x in (query, images)]
    np.testing.assert_allclose(
        all_distances(Parts(**PARTS), full[0], Gallery(full[1])),
        all_distances(Cosine(), full[0], Gallery(full[1])),
        atol=2e-6,
    )


@pytest.mark.parametrize("memory", [None, 12_000])
def test_lists_are_those_of_all_distances(memory: int | None):
    query, images = blocks(0, 9, "query"), blocks(1, 40)
    some = parted(query, images, Resources(memory=memory))
    assert isinstance(some, DistanceSource)
    union = np.concatenate([images.vectors, query.vectors])
    for near, left, right, itself in (
        (some.neighbors(7, side="union"), union, union, True),
        (some.neighbors(7, side="gallery"), images.vectors, images.vectors, True),
        (some.neighbors(7, side="query"), query.vectors, images.vectors, False),
    ):
        distance = slow(left, right)
        np.testing.assert_allclose(near.farthest, distance.max(1), atol=2e-6)
        if itself:
            np.fill_diagonal(distance, np.inf)
        np.testing.assert_array_equal(
            near.index, np.argsort(distance, axis=1, kind="stable")[:, :7]
        )
        np.testing.assert_allclose(near.distance, np.sort(distance, axis=1)[:, :7], atol=2e-6)


def test_listed_pairs():
    query, images = blocks(0, 9, "query"), blocks(1, 40)
    some, rng = parted(query, images), np.random.default_rng(2)
    union = np.concatenate([images.vectors, query.vectors])
    every, inside, across = (
        slow(union, union),
        slow(images.vectors, images.vectors),
        slow(query.vectors, images.vectors),
    )
    i, j, p = (rng.integers(0, n, 50).astype(np.int32) for n in (49, 49, 9))
    a, b = (rng.integers(0, 40, 50).astype(np.int32) for _ in range(2))
    np.testing.assert_allclose(some.pairs(i, j, side="union"), every[i, j], atol=2e-6)
    np.testing.assert_allclose(some.pairs(a, b, side="gallery"), inside[a, b], atol=2e-6)
    np.testing.assert_allclose(some.pairs(p, b, side="query"), across[p, b], atol=2e-6)
    rows = rng.integers(0, 40, (5, 6)).astype(np.int32)
    np.testing.assert_allclose(some.among(rows), inside[rows[:, :, None], rows[:, None]], atol=2e-6)


def test_equal_distances_go_by_index_and_many_of_them_are_all_looked_at():
    one = blocks(3, 1).vectors
    images = Features(np.repeat(one, 60, axis=0))
    near = parted(blocks(4, 2, "query"), images).neighbors(5, side="gallery")
    assert near.index[0].tolist() == [1, 2, 3, 4, 5]
    assert near.index[59].tolist() == [0, 1, 2, 3, 4]


def test_queries_of_the_gallery_do_not_find_themselves():
    images = blocks(1, 30)
    some = parted(images.take(np.arange(4)), images)
    assert len(some.base) == 30
    near = some.neighbors(29, side="query")
    assert all(row not in near.index[row] for row in range(4))
    block = next(iter(Parts(**PARTS).distances(images.take(np.arange(4)), Gallery(images))))
    assert np.isposinf(np.diag(block.distance[:, :4])).all()


@pytest.mark.parametrize(
    "text",
    [
        "k-reciprocal",
        "k-reciprocal:setting=online",
        "ecn",
        "ecn:setting=online",
        "random-walk",
        "cosine",
    ],
)
def test_methods_start_from_it(text: str):
    query, gallery = blocks(0, 9, "query"), Gallery(blocks(1, 40))
    method, chain = parse(text), parse(f"parts:parts=3,width=4+{text}")
    assert isinstance(method, TakesDistances)
    direct = np.concatenate(
        [block.distance for block in method.from_distances(parted(query, gallery.features))]
    )
    got = all_distances(chain, query, gallery)
    np.testing.assert_array_equal(got, direct)
    assert not np.array_equal(got, all_distances(parse(text), query, gallery))
    assert rank(chain.distances(query, gallery), 5).order.shape == (9, 5)


def test_what_needs_vectors_is_refused_in_a_line():
    assert isinstance(Parts(), GivesDistances)
    with pytest.raises(
        ValueError, match=r"parts\+aqe: aqe needs vectors, and parts gives distances"
    ):
        parse("parts+aqe")
    with pytest.raises(ValueError, match="needs sums of vectors"):
        all_distances(
            parse("parts:parts=3,width=4+ecn:method=origdist"),
            blocks(0, 3, "query"),
            Gallery(blocks(1, 20)),
        )
    with pytest.raises(ValueError, match="too few for 5 parts of 256 entries"):
        all_distances(Parts(), blocks(0, 3, "query"), Gallery(blocks(1, 20)))
    with pytest.raises(ValueError, match="made of cosines"):
        all_distances(
            Parts(**PARTS), blocks(0, 3, "query"), Gallery(blocks(1, 20), metric="euclidean")
        )
    with pytest.raises(ValueError, match="parts must be at least 0"):
        Parts(parts=-1)


def test_a_growing_gallery_keeps_its_bits():
    images = blocks(1, 30)
    grown = Gallery(images.take(np.arange(20)))
    query = blocks(0, 5, "query")
    all_distances(Parts(**PARTS), query, grown)
    grown = grown.add(images.take(np.arange(20, 30)))
    np.testing.assert_array_equal(
        all_distances(Parts(**PARTS), query, grown),
        all_distances(Parts(**PARTS), query, Gallery(images)),
    )
