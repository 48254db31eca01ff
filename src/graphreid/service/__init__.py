"""A gallery over HTTP."""

from graphreid.service.app import LOOPBACK, build
from graphreid.service.engine import Engine
from graphreid.service.guard import Limits

__all__ = ["LOOPBACK", "Engine", "Limits", "build"]
