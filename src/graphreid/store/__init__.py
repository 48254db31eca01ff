"""A gallery on disk that is searched while it changes: a LanceDB table of images, a kNN index that
is updated instead of built anew, and open-set thresholds.
"""

from graphreid.store.explain import explain
from graphreid.store.persistent_gallery import PersistentGallery, Snapshot
from graphreid.store.search import Match, SearchResult, online_method, search, search_results
from graphreid.store.table import THUMBNAIL_PREFIX, THUMBNAILS, GalleryConfig
from graphreid.store.thresholds import Threshold, choose_threshold, find_threshold, load_thresholds

__all__ = [
    "THUMBNAILS",
    "THUMBNAIL_PREFIX",
    "GalleryConfig",
    "Match",
    "PersistentGallery",
    "SearchResult",
    "Snapshot",
    "Threshold",
    "choose_threshold",
    "explain",
    "find_threshold",
    "load_thresholds",
    "online_method",
    "search",
    "search_results",
]
