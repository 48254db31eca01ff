"""A gallery on disk that grows while it is searched: a LanceDB table, and neighbour lists that are kept beside it."""

from graphreid.living.answers import Answer, Match, online, respond, told
from graphreid.living.living import LivingGallery, Snapshot
from graphreid.living.store import MARK, PICTURES, Config
from graphreid.living.threshold import Threshold, choose, threshold_of, thresholds
from graphreid.living.why import Edge, Graph, Node, why

__all__ = [
    "MARK",
    "PICTURES",
    "Answer",
    "Config",
    "Edge",
    "Graph",
    "LivingGallery",
    "Match",
    "Node",
    "Snapshot",
    "Threshold",
    "choose",
    "online",
    "respond",
    "threshold_of",
    "thresholds",
    "told",
    "why",
]
