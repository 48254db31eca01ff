"""A gallery over HTTP."""

from graphreid.server.app import LOOPBACK, build
from graphreid.server.service import Engine
from graphreid.server.middleware import Limits

__all__ = ["LOOPBACK", "Engine", "Limits", "build"]
