from collections.abc import Callable

import pytest
from graphreid_centred import Centred

from graphreid.testing import reranker_checks


@pytest.mark.parametrize("check", reranker_checks(Centred, {"share": 0.5}))
def test_it_keeps_what_all_rerankers_promise(check: Callable[[], None]) -> None:
    check()
