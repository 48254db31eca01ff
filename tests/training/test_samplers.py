import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphreid.training.samplers import hard_identity_batches, pk_batches

IDENTITY = np.repeat([7, 3, 11, 5, 2, 9], [8, 3, 12, 4, 9, 1])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=4, max_size=12),
    st.integers(2, 4),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_batches_are_p_by_k(counts: list[int], p: int, k: int, epoch: int):
    identity = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    batches = pk_batches(identity, identities=p, images=k, seed=1, epoch=epoch)
    assert batches
    for rows in batches:
        names = identity[rows].reshape(p, k)
        assert (names == names[:, :1]).all()
        assert len(np.unique(names[:, 0])) == p
    used = np.concatenate(batches)
    for name, count in enumerate(counts):
        own = used[identity[used] == name]
        if count >= k:  # without replacement, and never more groups than there are
            assert len(np.unique(own)) == len(own)
        else:
            assert len(own) in (0, k)
    # it ends only when fewer than P identities have groups left
    left = [
        max(count // k, 1) - (identity[used] == name).sum() // k
        for name, count in enumerate(counts)
    ]
    assert sum(rest > 0 for rest in left) < p


def test_seeded_by_epoch():
    first, again, other, reseeded = (
        pk_batches(IDENTITY, identities=3, images=2, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 4), (0, 4), (0, 5), (1, 4))
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    for different in (other, reseeded):
        assert not np.array_equal(np.concatenate(first)[:12], np.concatenate(different)[:12])


def test_few_images_are_drawn_with_replacement():
    batches = pk_batches(IDENTITY, identities=6, images=4, seed=0, epoch=0)
    rows = np.concatenate(batches)
    assert (rows[IDENTITY[rows] == 9] == len(IDENTITY) - 1).all()
    assert (IDENTITY[rows] == 9).sum() == 4


def test_what_is_refused():
    with pytest.raises(ValueError, match="wants 7 identities, and there are 6"):
        pk_batches(IDENTITY, identities=7, images=2, seed=0, epoch=0)
    with pytest.raises(ValueError, match="at least 2 x 2"):
        pk_batches(IDENTITY, identities=1, images=4, seed=0, epoch=0)


def test_near_batches_hold_identities_that_look_alike() -> None:
    rng = np.random.default_rng(0)
    # twelve identities on a circle, the fifth of them with three images only
    identity = np.concatenate([np.repeat(np.arange(12), 5), [30, 30, 30]])
    angle = identity / 12 * 2 * np.pi + 0.01 * rng.standard_normal(len(identity))
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    batches = hard_identity_batches(identity, vectors, identities=3, images=4, seed=0, epoch=0)
    assert len(batches) == len(identity) // 12
    for batch in batches:
        names = identity[batch].reshape(3, 4)
        assert (names == names[:, :1]).all()
        assert len(set(names[:, 0].tolist())) == 3
        # 30 stands where 6 does; six of the eleven or twelve others are near
        apart = np.abs((names[1:, 0] - names[0, 0] + 6) % 12 - 6)
        assert (apart <= 3).all()
        whole = [rows for rows in batch.reshape(3, 4) if identity[rows[0]] != 30]
        assert all(len(set(rows.tolist())) == 4 for rows in whole)
    again = hard_identity_batches(identity, vectors, identities=3, images=4, seed=0, epoch=0)
    other = hard_identity_batches(identity, vectors, identities=3, images=4, seed=0, epoch=1)
    assert all((one == two).all() for one, two in zip(batches, again, strict=True))
    assert not all((one == two).all() for one, two in zip(batches, other, strict=True))
    # fewer identities than a batch wants: all there are
    few = hard_identity_batches(
        identity[:15], vectors[:15], identities=5, images=4, seed=0, epoch=0
    )
    assert [len(batch) for batch in few] == [12]
