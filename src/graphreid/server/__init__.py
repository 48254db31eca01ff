"""A gallery on disk as an HTTP service, with a viewer for a browser."""

from graphreid.server.app import LOOPBACK, build_app
from graphreid.server.middleware import Limits
from graphreid.server.service import GalleryService

__all__ = ["LOOPBACK", "GalleryService", "Limits", "build_app"]
