"""A gallery on disk that grows while it is searched: a LanceDB table, and neighbour lists that are kept beside it."""

from graphreid.living.answers import Answer, Match, online, respond, told
from graphreid.living.living import LivingGallery, Snapshot
from graphreid.living.store import Config, require
from graphreid.living.threshold import Threshold, choose, threshold_of, thresholds

__all__ = [
    "Answer",
    "Config",
    "LivingGallery",
    "Match",
    "Snapshot",
    "Threshold",
    "choose",
    "online",
    "require",
    "respond",
    "threshold_of",
    "thresholds",
    "told",
]
