"""Instance retrieval made better with graph context.

import graphreid as gr

query, query_labels = gr.load_features("query.npz")
gallery, gallery_labels = gr.load_features("gallery.npz")
report = gr.evaluate(gr.KReciprocal(), query, gallery, query_labels, gallery_labels)
print(report.mean_ap())
"""

import warnings
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphreid import methods, metrics
    from graphreid.features.features_file import load_features, load_vectors, save_features
    from graphreid.gallery import Gallery
    from graphreid.methods import METHODS, Cosine, KReciprocal
    from graphreid.methods.persistence import load, save
    from graphreid.methods.spec import MethodSpec, parse
    from graphreid.metrics import METRICS
    from graphreid.metrics.evaluate import evaluate
    from graphreid.metrics.protocol import Protocol
    from graphreid.metrics.report import Report
    from graphreid.ranking import rank
    from graphreid.resources import Resources
    from graphreid.types import (
        DistanceBlock,
        Explanation,
        Features,
        Labels,
        Ranking,
        drop_junk,
    )

__version__ = version("graphreid")

_MODULES = {
    "METHODS": "methods",
    "METRICS": "metrics",
    "Cosine": "methods",
    "DistanceBlock": "types",
    "Explanation": "types",
    "Features": "types",
    "Gallery": "gallery",
    "KReciprocal": "methods",
    "Labels": "types",
    "MethodSpec": "methods.spec",
    "Protocol": "metrics.protocol",
    "Ranking": "types",
    "Report": "metrics.report",
    "Resources": "resources",
    "drop_junk": "types",
    "evaluate": "metrics.evaluate",
    "load": "methods.persistence",
    "load_features": "features.features_file",
    "load_vectors": "features.features_file",
    "parse": "methods.spec",
    "rank": "ranking",
    "save": "methods.persistence",
    "save_features": "features.features_file",
}
"""The module of each public name."""

_FORMER = {
    "Compute": ("Resources", "resources"),
    "LivingGallery": ("PersistentGallery", "store"),
    "Rule": ("Protocol", "metrics.protocol"),
}
"""Names of the version before: what they are called now, and the module. They go with the next."""

__all__ = [
    "METHODS",
    "METRICS",
    "Cosine",
    "DistanceBlock",
    "Explanation",
    "Features",
    "Gallery",
    "KReciprocal",
    "Labels",
    "MethodSpec",
    "Protocol",
    "Ranking",
    "Report",
    "Resources",
    "drop_junk",
    "evaluate",
    "load",
    "load_features",
    "load_vectors",
    "methods",
    "metrics",
    "parse",
    "rank",
    "save",
    "save_features",
]


def __getattr__(name: str) -> Any:
    """Names are imported when they are used: `graphreid --help` does not wait for torch."""
    if name in _MODULES:
        return getattr(import_module(f"graphreid.{_MODULES[name]}"), name)
    if name in ("methods", "metrics"):
        return import_module(f"graphreid.{name}")
    if name not in _FORMER:
        raise AttributeError(f"module 'graphreid' has no attribute {name!r}")
    new, module = _FORMER[name]
    warnings.warn(
        f"graphreid.{name} is graphreid.{module}.{new} now, and goes with the next version",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module(f"graphreid.{module}"), new)


def __dir__() -> list[str]:
    """What `dir(graphreid)` and a tab show: the names above, before any of them was imported."""
    return __all__
