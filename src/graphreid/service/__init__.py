"""A gallery over HTTP, and a viewer for it at the same address."""

from graphreid.service.app import build
from graphreid.service.engine import Engine
from graphreid.service.guard import Limits

__all__ = ["Engine", "Limits", "build"]
