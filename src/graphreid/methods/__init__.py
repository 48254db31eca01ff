"""The re-rankers. What is not in METHODS can't be named on the command line, nor loaded."""

from graphreid.methods.aqe import AQE
from graphreid.methods.ca_jaccard import CAJaccard
from graphreid.methods.cagcn.method import CAGCN
from graphreid.methods.chain import Chain
from graphreid.methods.cosine import Cosine
from graphreid.methods.dba import DBA
from graphreid.methods.diffusion import Diffusion
from graphreid.methods.ec_gcn.method import ECGCN
from graphreid.methods.ecn import ECN
from graphreid.methods.fa_ec_gcn import FAECGCN
from graphreid.methods.fa_gcn.method import FAGCN
from graphreid.methods.ffgnn.method import FFGNN
from graphreid.methods.gnn_reranking import GNNReranking
from graphreid.methods.hrnet.method import HRNet
from graphreid.methods.hub import Hub
from graphreid.methods.k_reciprocal import KReciprocal
from graphreid.methods.parts import Parts
from graphreid.methods.random_walk import RandomWalk
from graphreid.methods.sggnn.method import SGGNN
from graphreid.plugins import Registry
from graphreid.protocols import Reranker

METHODS: Registry[type[Reranker]] = Registry(
    "methods",
    {
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
        "hub": Hub,
        "k-reciprocal": KReciprocal,
        "parts": Parts,
        "random-walk": RandomWalk,
        "sggnn": SGGNN,
    },
)
"""Every re-ranker by name, those of plugins too."""

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
    "Hub",
    "KReciprocal",
    "Parts",
    "RandomWalk",
]
