"""What stands before every request: how many there are, its size, who asks and for what, and how it
went (counted).
"""

import hmac
import json
import re
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "graphreid-token"
OPEN = ("/health", "/login", "/static/")
"""Where no token is asked for."""
EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: edges of the counts in /metrics."""
HEADERS = (
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
    """What a request may ask for.

    Attributes:
        body: bytes of a request.
        top: images in an answer.
        items: images added by one request.
        requests: in progress at once.
    """

    body: int = 32 * 2**20
    top: int = 1000
    items: int = 1000
    requests: int = 64


class TooLargeError(Exception):
    """A request's body is beyond the limit."""


class Counts:
    """How many requests there were, how they ended and how long they took."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._ended: Counter[tuple[str, str, int]] = Counter()
        self._within: Counter[tuple[str, float]] = Counter()
        self._seconds: dict[str, float] = {}
        self._many: Counter[str] = Counter()

    def add(self, verb: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        with self._turn:
            self._ended[verb, route, status] += 1
            self._many[route] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds
            for edge in EDGES:
                if seconds <= edge:
                    self._within[route, edge] += 1

    def text(self, **gauges: int) -> str:
        """In the text format of Prometheus."""
        with self._turn:
            lines = ["# TYPE graphreid_requests_total counter"]
            for (verb, route, status), count in sorted(self._ended.items()):
                labels = f'method="{verb}",route="{route}",status="{status}"'
                lines.append(f"graphreid_requests_total{{{labels}}} {count}")
            lines.append("# TYPE graphreid_request_seconds histogram")
            for route in sorted(self._many):
                head = f'graphreid_request_seconds_bucket{{route="{route}",le='
                lines += [f'{head}"{edge}"}} {self._within[route, edge]}' for edge in EDGES]
                lines.append(f'{head}"+Inf"}} {self._many[route]}')
                lines.append(
                    f'graphreid_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
                )
                lines.append(
                    f'graphreid_request_seconds_count{{route="{route}"}} {self._many[route]}'
                )
        unit = 1 if sys.platform == "darwin" else 1024
        gauges["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        for name, value in gauges.items():
            lines += [f"# TYPE graphreid_{name} gauge", f"graphreid_{name} {value}"]
        return "\n".join(lines) + "\n"


class Guard:
    """Refuses requests that are too many (503), too large (413), to another name (400) or without
    the token (401); counts all.

    Args:
        app: what answers the others.
        limits: the largest body, and how many requests.
        token: what must be sent, as `Authorization: Bearer TOKEN` or in the cookie of the viewer's
            log-in; None for nothing.
        counts: where requests are counted.
        names: what the service may be called in a request; None for anything.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        token: str | None,
        counts: Counts,
        names: Collection[str] | None = None,
    ) -> None:
        self._app, self._limits, self._token, self._counts, self._names = (
            app,
            limits,
            token,
            counts,
            names,
        )
        self._going = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        headers = dict(scope["headers"])
        self._going += 1
        try:
            if self._going > self._limits.requests:
                await _refuse(
                    answer,
                    headers,
                    503,
                    f"{self._limits.requests} requests are in progress: come again",
                )
                return
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > self._limits.body:
                raise TooLargeError
            if self._names is not None and _host(headers) not in self._names:
                await _refuse(
                    answer,
                    headers,
                    400,
                    f"this service is not called that: ask for {' or '.join(self._names)}",
                )
            elif (
                self._token is not None
                and not scope["path"].startswith(OPEN)
                and not self._known(headers, self._token)
            ):
                await _refuse(
                    answer,
                    headers,
                    401,
                    "the token is missing or wrong: send it as 'Authorization: Bearer TOKEN'",
                )
            else:
                await self._app(scope, await self._whole(receive), answer)
        except TooLargeError:
            await _refuse(
                answer,
                headers,
                413,
                f"the request is too large: send at most {self._limits.body:,} bytes",
            )
        finally:
            self._going -= 1
            route = getattr(scope.get("route"), "path", "other")
            self._counts.add(scope["method"], route, status, time.perf_counter() - begin)

    async def _whole(self, receive: Receive) -> Receive:
        """The body, read before anything is done with it, as the first message of what is given
        back.
        """
        parts: list[bytes] = []
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            parts.append(message.get("body", b""))
            if sum(map(len, parts)) > self._limits.body:
                raise TooLargeError
        first = [
            message
            if message["type"] == "http.disconnect"
            else {"type": "http.request", "body": b"".join(parts)}
        ]

        async def again() -> Message:
            return first.pop() if first else await receive()

        return again

    def _known(self, headers: dict[bytes, bytes], token: str) -> bool:
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            cookie = None
        return same(given, token) or (
            cookie is not None and same(cookie.value.encode("latin-1"), token)
        )


def same(given: bytes, token: str) -> bool:
    """Whether a token is the right one, in a time that does not say how much of it is."""
    return hmac.compare_digest(given, token.encode())


def _host(headers: dict[bytes, bytes]) -> str:
    """The name that a request calls the service by, without the port."""
    return re.sub(r":\d*$", "", headers.get(b"host", b"").decode("latin-1")).lower()


async def _refuse(send: Send, headers: dict[bytes, bytes], status: int, why: str) -> None:
    if status == 401 and b"text/html" in headers.get(b"accept", b""):
        await send(
            {"type": "http.response.start", "status": 303, "headers": [(b"location", b"/login")]}
        )
        await send({"type": "http.response.body", "body": b""})
        return
    body = json.dumps({"detail": why}).encode()
    kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    more = [(b"www-authenticate", b"Bearer")] if status == 401 else [(b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *more]})
    await send({"type": "http.response.body", "body": body})
