"""A gallery on disk that grows while it is searched: a LanceDB table, and neighbour lists that are
kept beside it.
"""

from graphreid.store.explain import explain
from graphreid.store.persistent_gallery import PersistentGallery, Snapshot
from graphreid.store.search import Answer, Match, online, respond, told
from graphreid.store.table import MARK, PICTURES, Config
from graphreid.store.thresholds import Threshold, choose, threshold_of, thresholds

__all__ = [
    "MARK",
    "PICTURES",
    "Answer",
    "Config",
    "Match",
    "PersistentGallery",
    "Snapshot",
    "Threshold",
    "choose",
    "explain",
    "online",
    "respond",
    "threshold_of",
    "thresholds",
    "told",
]
