"""The re-rankers: one method, one file. What is not in METHODS can't be named on the command line, nor loaded."""

from graphreid.protocols import Reranker
from graphreid.rerankers.cosine import Cosine
from graphreid.rerankers.k_reciprocal import KReciprocal

METHODS: dict[str, type[Reranker]] = {
    "cosine": Cosine,
    "k-reciprocal": KReciprocal,
}

__all__ = ["METHODS", "Cosine", "KReciprocal"]
