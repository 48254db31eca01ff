import pytest

import graphreid
from graphreid.metrics.protocol import PROTOCOLS, Protocol


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="ap is 'median'"):
        Protocol(ap="median")
    with pytest.raises(ValueError, match="at least one image"):
        Protocol(listed=0)


def test_the_former_name_is_the_same_class() -> None:
    with pytest.warns(DeprecationWarning, match="Rule is graphreid.metrics.protocol.Protocol now"):
        former = graphreid.Rule
    assert former is graphreid.Protocol
    assert former(camera="keep") == PROTOCOLS["no-camera"]
