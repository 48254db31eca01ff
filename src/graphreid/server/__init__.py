"""A gallery over HTTP."""

from graphreid.server.app import LOOPBACK, build
from graphreid.server.middleware import Limits
from graphreid.server.service import Engine

__all__ = ["LOOPBACK", "Engine", "Limits", "build"]
