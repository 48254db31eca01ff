import numpy as np
import pytest

from graphreid.methods import validation
from graphreid.methods.validation import Validation
from graphreid.resources import Resources
from graphreid.types import Features, Labels
from tests.support import labelled


def held(fitted: Labels | None = None) -> Validation:
    _, (features, labels) = labelled(3, images=70)
    return Validation(
        features, labels, features, fitted or Labels([100, 101]), seed=0, resources=Resources()
    )


def test_identities_that_are_fitted_on_are_refused():
    with pytest.raises(ValueError, match="3 identities are in both"):
        held(Labels([0, 1, 2, 77]))


def test_vectors_of_another_width_are_refused():
    _, (features, labels) = labelled(3, images=70)
    narrow = Features(features.vectors[:, :3], features.items)
    with pytest.raises(ValueError, match="are 3 wide in validation and 16 in train"):
        Validation(narrow, labels, features, Labels([100, 101]), seed=0, resources=Resources())


def test_many_images_are_validated_with_some_queries(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(validation, "QUERIES", 30)
    each = held()
    assert len(each.queries) == 30
    assert len(each.retrieval_set.gallery) == 70
    np.testing.assert_array_equal(each.retrieval_set.own, each.queries)
    np.testing.assert_array_equal(each.queries, held().queries)
