"""Every method keeps what all re-rankers promise. A method in METHODS is checked without being
named here; if slow to fit, it has options in SMALL.
"""

from collections.abc import Callable

import numpy as np
import pytest

from graphreid.gallery import Gallery
from graphreid.methods import METHODS
from graphreid.methods.spec import parse
from graphreid.testing import reranker_checks
from graphreid.types import Features
from tests.support import SMALL, all_distances, blobs


@pytest.mark.parametrize(
    "check",
    [
        check
        for name, kind in METHODS.items()
        # FA+EC starts from FA-GCN's distances
        for check in reranker_checks(kind, SMALL.get(name), own_base=name == "fa-ec-gcn")
    ],
)
def test_a_method_keeps_what_all_promise(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    "text",
    [
        "aqe:n={}",
        "ca-jaccard:k1_inter={}",
        "ca-jaccard:k1_intra={},setting=online",
        "diffusion:kd={}",
        "diffusion:truncation={}",
        "gnn-reranking:k1={}",
        "k-reciprocal:k1={}",
        "k-reciprocal:k1={},setting=online",
        "random-walk:K={}",
    ],
)
def test_any_number_beyond_the_set_stands_for_all_of_it(text: str) -> None:
    query, gallery = blobs(0)
    all_of_it = all_distances(parse(text.format(200)), query, Gallery(gallery))
    np.testing.assert_array_equal(
        all_distances(parse(text.format(10**20)), query, Gallery(gallery)), all_of_it
    )


def test_methods_that_make_a_graph_of_a_query_explain() -> None:
    explains = {name for name, kind in METHODS.items() if hasattr(kind, "explain")}
    assert explains == {
        "cagcn",
        "ec-gcn",
        "fa-ec-gcn",
        "fa-gcn",
        "ffgnn",
        "hrnet",
        "k-reciprocal",
        "sggnn",
    }


def test_nan_is_refused() -> None:
    vectors = np.ones((5, 4), np.float32)
    vectors[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2"):
        Features(vectors)
