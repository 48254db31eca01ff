"""The re-rankers: one method, one file. What is not in METHODS can't be named on the command line, nor loaded."""

from graphreid.protocols import Reranker
from graphreid.rerankers.aqe import AQE
from graphreid.rerankers.ca_jaccard import CAJaccard
from graphreid.rerankers.cagcn import CAGCN
from graphreid.rerankers.chain import Chain
from graphreid.rerankers.cosine import Cosine
from graphreid.rerankers.dba import DBA
from graphreid.rerankers.diffusion import Diffusion
from graphreid.rerankers.ecn import ECN
from graphreid.rerankers.gnn_reranking import GNNReranking
from graphreid.rerankers.k_reciprocal import KReciprocal
from graphreid.rerankers.random_walk import RandomWalk
from graphreid.rerankers.sggnn import SGGNN

METHODS: dict[str, type[Reranker]] = {
    "cosine": Cosine,
    "aqe": AQE,
    "ca-jaccard": CAJaccard,
    "cagcn": CAGCN,
    "dba": DBA,
    "diffusion": Diffusion,
    "ecn": ECN,
    "gnn-reranking": GNNReranking,
    "k-reciprocal": KReciprocal,
    "random-walk": RandomWalk,
    "sggnn": SGGNN,
}

__all__ = [
    "AQE",
    "CAGCN",
    "DBA",
    "ECN",
    "METHODS",
    "SGGNN",
    "CAJaccard",
    "Chain",
    "Cosine",
    "Diffusion",
    "GNNReranking",
    "KReciprocal",
    "RandomWalk",
]
