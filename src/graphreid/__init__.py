"""Instance retrieval made better with graph context."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphreid.resources import Resources
    from graphreid.features.features_file import load_features, load_vectors
    from graphreid.metrics.evaluation import Report, Rule, evaluate
    from graphreid.gallery import Gallery
    from graphreid.ranking import rank
    from graphreid.methods import METHODS, Cosine, KReciprocal
    from graphreid.methods.persistence import load, parse, save
    from graphreid.types import DistanceBlock, Features, Labels, Ranking, drop_junk

__version__ = version("graphreid")

_HOME = {
    "METHODS": "rerankers",
    "Resources": "compute",
    "Cosine": "rerankers",
    "DistanceBlock": "types",
    "Features": "types",
    "Gallery": "gallery",
    "KReciprocal": "rerankers",
    "Labels": "types",
    "Ranking": "types",
    "Report": "evaluation",
    "Rule": "evaluation",
    "drop_junk": "types",
    "evaluate": "evaluation",
    "load": "storage",
    "load_features": "data.features",
    "load_vectors": "data.features",
    "parse": "storage",
    "rank": "ranking",
    "save": "storage",
}

__all__ = [
    "METHODS",
    "Resources",
    "Cosine",
    "DistanceBlock",
    "Features",
    "Gallery",
    "KReciprocal",
    "Labels",
    "Ranking",
    "Report",
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
