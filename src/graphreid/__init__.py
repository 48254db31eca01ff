"""Instance retrieval made better with graph context."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphreid.features.features_file import load_features, load_vectors
    from graphreid.gallery import Gallery
    from graphreid.methods import METHODS, Cosine, KReciprocal
    from graphreid.methods.persistence import load, save
    from graphreid.methods.spec import parse
    from graphreid.metrics.evaluate import evaluate
    from graphreid.metrics.protocol import Protocol, Rule
    from graphreid.metrics.report import Report
    from graphreid.ranking import rank
    from graphreid.resources import Resources
    from graphreid.types import DistanceBlock, Features, Labels, Ranking, drop_junk

__version__ = version("graphreid")

_HOME = {
    "METHODS": "methods",
    "Resources": "resources",
    "Cosine": "methods",
    "DistanceBlock": "types",
    "Features": "types",
    "Gallery": "gallery",
    "KReciprocal": "methods",
    "Labels": "types",
    "Ranking": "types",
    "Protocol": "metrics.protocol",
    "Report": "metrics.report",
    "Rule": "metrics.protocol",
    "drop_junk": "types",
    "evaluate": "metrics.evaluate",
    "load": "methods.persistence",
    "load_features": "features.features_file",
    "load_vectors": "features.features_file",
    "parse": "methods.spec",
    "rank": "ranking",
    "save": "methods.persistence",
}

__all__ = [
    "METHODS",
    "Cosine",
    "DistanceBlock",
    "Features",
    "Gallery",
    "KReciprocal",
    "Labels",
    "Protocol",
    "Ranking",
    "Report",
    "Resources",
    "Rule",
    "drop_junk",
    "evaluate",
    "load",
    "load_features",
    "load_vectors",
    "parse",
    "rank",
    "save",
]


def __getattr__(name: str) -> Any:
    """Names are imported when they are used: `graphreid --help` does not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'graphreid' has no attribute {name!r}")
    return getattr(import_module(f"graphreid.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """What `dir(graphreid)` and a tab show: the names above, before any of them was imported."""
    return __all__
