"""Checks for methods of your own, the same that this package's methods pass; they need pytest.

import pytest
from graphreid.testing import reranker_checks

@pytest.mark.parametrize("check", reranker_checks(MyMethod, {"k": 5}))
def test_my_method(check):
    check()
"""

import pytest

# a failing check shows the values that it compared
pytest.register_assert_rewrite("graphreid.testing.rerankers", "graphreid.testing.learned")

from graphreid.testing.data import all_distances, blobs, labelled  # noqa: E402  # rewritten first
from graphreid.testing.learned import learned_checks  # noqa: E402
from graphreid.testing.rerankers import reranker_checks  # noqa: E402

__all__ = ["all_distances", "blobs", "labelled", "learned_checks", "reranker_checks"]
