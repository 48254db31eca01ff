"""The re-rankers: one method, one file. What is not in METHODS can't be named on the command line, nor loaded."""

from graphreid.protocols import Reranker
from graphreid.rerankers.aqe import AQE
from graphreid.rerankers.ca_jaccard import CAJaccard
from graphreid.rerankers.cagcn import CAGCN
from graphreid.rerankers.chain import Chain
from graphreid.rerankers.cosine import Cosine
from graphreid.rerankers.dba import DBA
from graphreid.rerankers.diffusion import Diffusion
from graphreid.rerankers.ec_gcn import ECGCN
from graphreid.rerankers.ecn import ECN
from graphreid.rerankers.fa_ec_gcn import FAECGCN
from graphreid.rerankers.fa_gcn import FAGCN
from graphreid.rerankers.ffgnn import FFGNN
from graphreid.rerankers.gnn_reranking import GNNReranking
from graphreid.rerankers.hrnet import HRNet
from graphreid.rerankers.k_reciprocal import KReciprocal
from graphreid.rerankers.parts import Parts
from graphreid.rerankers.random_walk import RandomWalk
from graphreid.rerankers.sggnn import SGGNN

METHODS: dict[str, type[Reranker]] = {
    "cosine": Cosine,
    "aqe": AQE,
    "ca-jaccard": CAJaccard,
    "cagcn": CAGCN,
    "dba": DBA,
    "diffusion": Diffusion,
    "ec-gcn": ECGCN,
    "ecn": ECN,
    "fa-ec-gcn": FAECGCN,
    "fa-gcn": FAGCN,
    "ffgnn": FFGNN,
    "gnn-reranking": GNNReranking,
    "hrnet": HRNet,
    "k-reciprocal": KReciprocal,
    "parts": Parts,
    "random-walk": RandomWalk,
    "sggnn": SGGNN,
}

__all__ = [
    "AQE",
    "CAGCN",
    "DBA",
    "ECGCN",
    "ECN",
    "FAECGCN",
    "FAGCN",
    "FFGNN",
    "METHODS",
    "SGGNN",
    "CAJaccard",
    "Chain",
    "Cosine",
    "Diffusion",
    "GNNReranking",
    "HRNet",
    "KReciprocal",
    "Parts",
    "RandomWalk",
]
