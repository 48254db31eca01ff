import numpy as np
import pytest
import torch

from graphreid.types import DISTRACTOR, JUNK, NORMAL, Features, Labels, codes, drop_junk, positions


def test_a_value_has_one_code_in_every_file() -> None:
    assert codes(np.array(["17", "-1", "0"]), "camera").tolist() == [17, -1, 0]
    assert codes(np.array([17, -1, 0]), "camera").tolist() == [17, -1, 0]
    assert codes([2.0, 3.0], "identity").tolist() == [2, 3]
    named = codes(["c1", "017", "c1", "front"], "camera")
    assert named[0] == named[2] == codes(["x", "c1"], "camera")[1]
    assert len(set(named.tolist())) == 3
    assert (named >= 2**40).all()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([[1]], "one value a row"),
        ([1.5], "integers or text"),
        (["a", " "], "empty in row 1"),
        ([True], "integers or text"),
    ],
)
def test_ids_that_are_none_are_refused(values: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        codes(values, "camera")  # type: ignore[arg-type]


def test_features_are_checked_at_birth() -> None:
    good = np.ones((3, 2), np.float32)
    bad = good.copy()
    bad[1, 0] = np.inf
    zero = good.copy()
    zero[2] = 0
    for vectors, says in (
        (np.ones(3), "shape"),
        (np.ones((0, 2)), "empty"),
        (np.array([["a"]]), "numbers"),
        (bad, "row 1"),
        (zero, "row 2.*--zero keep"),
    ):
        with pytest.raises(ValueError, match=says):
            Features(vectors)
    assert Features(zero, zero="keep").vectors[2].sum() == 0
    with pytest.raises(ValueError, match="items has 2"):
        Features(good, items=["a", "b"])
    with pytest.raises(ValueError, match=r"'a' stands in rows 0 and 2"):
        Features(good, items=["a", "b", "a"])
    with pytest.raises(ValueError, match="camera has 1"):
        Features(good, camera=[1])


def test_a_large_vector_is_not_taken_for_infinity() -> None:
    assert Features(np.full((2, 4), 1e30, np.float32)).vectors[0, 0] == np.float32(1e30)


def test_features_take_any_float_and_name_images_by_object() -> None:
    one, other = Features(np.ones((2, 2))), Features(torch.ones(2, 2, dtype=torch.float64).numpy())
    assert one.vectors.dtype == np.float32
    assert not set(one.items.tolist()) & set(other.items.tolist())
    assert one.take(np.array([1])).items[0] == one.items[1]


def test_roles() -> None:
    labels = Labels([-1, 0, 5])
    assert labels.role.tolist() == [JUNK, NORMAL, NORMAL]
    assert Labels([1, 2], role=["normal", "distractor"]).role.tolist() == [NORMAL, DISTRACTOR]
    with pytest.raises(ValueError, match="'bad' in row 1"):
        Labels([1, 2], role=["normal", "bad"])
    with pytest.raises(ValueError, match="role must be one of"):
        Labels([1, 2], role=[0, 7])
    with pytest.raises(ValueError, match="role has 1"):
        Labels([1, 2], role=["junk"])
    with pytest.raises(ValueError, match="camera has 3"):
        Labels([1, 2], camera=[1, 2, 3])


def test_drop_junk() -> None:
    features, labels = drop_junk(
        Features(np.ones((3, 2)), camera=[1, 2, 3]), Labels([-1, 4, 5], [1, 2, 3])
    )
    assert labels.identity.tolist() == [4, 5]
    assert features.camera is not None
    assert features.camera.tolist() == [2, 3]
    with pytest.raises(ValueError, match="give one each"):
        drop_junk(features, Labels([1]))
    with pytest.raises(ValueError, match="all 2 images are junk"):
        drop_junk(features, Labels([-1, -1]))


def test_places_are_where_values_stand_and_minus_one_where_they_do_not():
    names = np.array(["c", "a", "b"])
    assert positions(names, np.array(["a", "zz", "c", "a", ""])).tolist() == [1, -1, 0, 1, -1]
    assert positions(np.array([7, 3]), np.array([3, 9, 7])).tolist() == [1, -1, 0]
    assert positions(names[:0], names).tolist() == [-1, -1, -1]
    assert positions(names, names[:0]).shape == (0,)
