"""The middleware in front of the service: limits, host names, the token, and request metrics."""

import hmac
import json
import re
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

# the names of ASGI
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN_COOKIE = "graphreid-token"  # noqa: S105  # the cookie's name
PUBLIC_PATHS = ("/health", "/login", "/static/")
"""Beginnings of paths that need no token."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: the upper bounds of the latency histogram in /metrics."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri "
        b"'none'; form-action 'self'",
    ),
)


@dataclass(frozen=True)
class Limits:
    """The largest requests that are served.

    Attributes:
        body: bytes of a request.
        top: images in a search result.
        items: images that one request adds.
        requests: in progress at once.
    """

    body: int = 32 * 2**20
    top: int = 1000
    items: int = 1000
    requests: int = 64


class TooLargeError(Exception):
    """A request's body is beyond the limit."""


class RequestMetrics:
    """Counts and latencies of requests, for Prometheus."""

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "graphreid_requests",
            "Requests by their outcome.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "graphreid_request_seconds",
            "Latency of requests.",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._images = Gauge("graphreid_images", "Images in it.", registry=self._registry)
        self._version = Gauge("graphreid_version", "Of the gallery.", registry=self._registry)
        self._memory = Gauge(
            "graphreid_peak_memory_bytes", "Of the process.", registry=self._registry
        )

    def add(self, verb: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(verb, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, *, images: int, version: int) -> str:
        """All metrics in the text format of Prometheus.

        Args:
            images: in the gallery.
            version: of the gallery.
        """
        self._images.set(images)
        self._version.set(version)
        unit = 1 if sys.platform == "darwin" else 1024
        self._memory.set(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
        return generate_latest(self._registry).decode()


class AccessMiddleware:
    """Refuses requests that are too many (503), too large (413), to another host name (400) or
    without the token (401); measures all.

    Args:
        app: answers the requests that are let through.
        limits: the largest body, and how many requests.
        token: what a request must send, as `Authorization: Bearer TOKEN` or in the cookie that the
            viewer's log-in sets; None for none.
        metrics: where requests are counted.
        hosts: host names that the service answers to; None for any.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        token: str | None,
        metrics: RequestMetrics,
        hosts: Collection[str] | None = None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._token = token
        self._metrics = metrics
        self._hosts = hosts
        self._in_progress = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        headers = dict(scope["headers"])
        self._in_progress += 1
        try:
            refusal = self._refusal(scope["path"], headers)
            if refusal is None:
                body = await self._read_body(receive)
                await self._app(scope, body, send_with_headers)
            else:
                await _refuse(send_with_headers, headers, *refusal)
        except TooLargeError:
            await _refuse(send_with_headers, headers, *self._too_large())
        finally:
            self._in_progress -= 1
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.add(scope["method"], route, status, time.perf_counter() - start)

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Status and reason, where a request is refused by its headers."""
        if self._in_progress > self._limits.requests:
            return 503, f"{self._limits.requests} requests are in progress: come again"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limits.body:
            return self._too_large()
        if self._hosts is not None and _host(headers) not in self._hosts:
            hosts = " or ".join(self._hosts)
            return 400, f"this service is not called that: ask for {hosts}"
        needs_token = self._token is not None and not path.startswith(PUBLIC_PATHS)
        if needs_token and not self._has_token(headers):
            return 401, "the token is missing or wrong: send it as 'Authorization: Bearer TOKEN'"
        return None

    def _too_large(self) -> tuple[int, str]:
        return 413, f"the request is too large: send at most {self._limits.body:,} bytes"

    async def _read_body(self, receive: Receive) -> Receive:
        """Read the whole body, before anything is done with it.

        Returns:
            A `receive` that gives the body in one message.

        Raises:
            TooLargeError: it is beyond the limit.
        """
        parts: list[bytes] = []
        size = 0
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.body:
                raise TooLargeError
        if message["type"] != "http.disconnect":
            message = {"type": "http.request", "body": b"".join(parts)}
        messages = [message]

        async def receive_body() -> Message:
            return messages.pop() if messages else await receive()

        return receive_body

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        token = self._token or ""
        if is_token(headers.get(b"authorization", b"").removeprefix(b"Bearer "), token):
            return True
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(TOKEN_COOKIE)
        except CookieError:
            return False
        return cookie is not None and is_token(cookie.value.encode("latin-1"), token)


def is_token(given: bytes, token: str) -> bool:
    """Whether a token is the right one, in a time that does not tell how much of it is."""
    return hmac.compare_digest(given, token.encode())


def _host(headers: dict[bytes, bytes]) -> str:
    """The host name that a request asks for, without the port."""
    return re.sub(r":\d*$", "", headers.get(b"host", b"").decode("latin-1")).lower()


async def _refuse(send: Send, headers: dict[bytes, bytes], status: int, reason: str) -> None:
    if status == 401 and b"text/html" in headers.get(b"accept", b""):
        await send(
            {"type": "http.response.start", "status": 303, "headers": [(b"location", b"/login")]}
        )
        await send({"type": "http.response.body", "body": b""})
        return
    body = json.dumps({"detail": reason}).encode()
    answer = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer") if status == 401 else (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": body})
