"""The HTTP interface of a gallery."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import fastapi
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic_core import to_json
from starlette.middleware import Middleware

from graphreid import __version__
from graphreid.explanation_json import ExplanationGraph
from graphreid.server import schema
from graphreid.server.middleware import AccessMiddleware, Limits, RequestMetrics
from graphreid.server.service import (
    ConflictError,
    GalleryService,
    MissingError,
    NewImage,
    QuerySource,
    row_of,
)

_DESCRIPTION = f"""A gallery of images: search it, change it, and see how a method ranked it.

Schema version {schema.SCHEMA_VERSION} (also in `/health`) of graphreid {__version__}. New names in
version 2: a match has `within_threshold`; the graph of a query has edges with `source` and
`target`, nodes with `rank_before`, `rank_after` and `query_weight`, and its query is `query`.
"""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.Error, "description": description}
    for status, description in (
        (400, "not a request that is understood"),
        (401, "the token is missing or wrong"),
        (413, "larger than the limit"),
        (422, "a value that can't be used; the reason says which"),
        (503, "too many requests are in progress"),
    )
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": schema.Error, "description": "not in the gallery"}
}
_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": schema.Error, "description": "in the gallery already"}
}


def build_app(
    service: GalleryService,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    local: bool = True,
    hosts: tuple[str, ...] = LOOPBACK,
) -> FastAPI:
    """The service as an ASGI application, without the viewer: `graphreid.server.viewer.pages.mount`
    adds its pages.

    Args:
        service: the gallery and its methods.
        limits: the largest requests that are served.
        token: what every request must send; None for none.
        local: answer only requests for one of `hosts`, so that no page of another origin can reach
            the service by a host name of its own.
        hosts: the host names of this machine itself.
    """
    limits = limits or Limits()
    metrics = RequestMetrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        service.warm_up()
        yield
        service.gallery.save_index()

    access = Middleware(
        AccessMiddleware,
        limits=limits,
        token=token,
        metrics=metrics,
        hosts=hosts if local else None,
    )
    app = FastAPI(
        title="graphreid",
        version=str(schema.SCHEMA_VERSION),
        description=_DESCRIPTION,
        lifespan=lifespan,
        middleware=[access],
        responses=_ERRORS,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
    )
    _add_error_handlers(app)
    _add_search(app, service, limits)
    _add_items(app, service, limits)
    _add_state(app, service, metrics)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Errors as a status and a reason of one line."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        # without the value itself: it can be large, or no JSON
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return JSONResponse({"detail": "; ".join(problems[:5])}, 422)

    @app.exception_handler(ValueError)
    async def refused(_: Request, error: ValueError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        status = 422
        if isinstance(error, MissingError):
            status = 404
        elif isinstance(error, ConflictError):
            status = 409
        return JSONResponse({"detail": " ".join(str(error).split())}, status)


def _add_search(app: FastAPI, service: GalleryService, limits: Limits) -> None:
    first = next(iter(service.methods))

    @app.post("/search", responses=_NOT_FOUND)
    def search(request: schema.SearchRequest) -> schema.SearchResult:  # pyright: ignore[reportUnusedFunction]
        """The gallery's nearest images to a query, and whether the query is known."""
        if request.top > limits.top:
            raise ValueError(f"top is {request.top}: ask for at most {limits.top}")
        method = request.method or first
        result = service.search(_source(request), method, request.top)
        threshold = service.threshold(method)
        return schema.SearchResult(
            method=method,
            version=result.version,
            images=result.images,
            threshold=None if threshold is None else threshold.threshold,
            unknown=result.unknown,
            matches=[schema.Match(**asdict(match)) for match in result.matches],
        )

    @app.get("/explain", responses=_NOT_FOUND)
    def explain_item(  # pyright: ignore[reportUnusedFunction]
        item: Annotated[str, fastapi.Query(description="an item of the gallery, as the query")],
        method: Annotated[
            str,
            fastapi.Query(description="one of those that /health names; if not given, the first"),
        ] = "",
    ) -> ExplanationGraph:
        """The graph that a method made of an image of the gallery."""
        return service.explain(QuerySource(item=item), method or first)

    @app.post("/explain", responses=_NOT_FOUND)
    def explain(request: schema.Query) -> ExplanationGraph:  # pyright: ignore[reportUnusedFunction]
        """The graph that a method made of a query: nodes, weighted edges, link probabilities, ranks
        before and after.
        """
        graph = service.explain(_source(request), request.method or first)
        # a vector or an image has no item
        return graph if request.item else graph.model_copy(update={"query": "query"})


def _source(request: schema.Query) -> QuerySource:
    return QuerySource(request.vector, request.image, request.item, request.camera)


def _add_items(app: FastAPI, service: GalleryService, limits: Limits) -> None:
    @app.post("/items", status_code=201, responses=_CONFLICT)
    def add(request: schema.NewItems) -> schema.Change:  # pyright: ignore[reportUnusedFunction]
        """Add images, all or none; they are on disk when this answers."""
        if len(request.items) > limits.items:
            raise ValueError(f"{len(request.items)} items: add at most {limits.items} at once")
        images = [
            NewImage(
                item=new.item,
                vector=new.vector,
                image=new.image,
                identity=new.identity,
                camera=new.camera,
                path=new.path,
                extra=None if new.extra is None else _extra(new.extra),
            )
            for new in request.items
        ]
        return schema.Change(images=len(images), version=service.add(images))

    @app.get("/items/{item:path}", responses=_NOT_FOUND)
    def show(item: str) -> schema.Item:  # pyright: ignore[reportUnusedFunction]
        """An image of the gallery."""
        snapshot = service.gallery.snapshot()
        row = row_of(snapshot, item)
        texts = {name: column[row] for name, column in snapshot.texts.items()}
        return schema.Item(
            item=item,
            identity=texts["identity"],
            camera=texts["camera"],
            path=texts["path"],
            extra=json.loads(texts["extra"] or "{}"),
            vector=snapshot.searchable().features.vectors[row].tolist(),
        )

    @app.delete("/items/{item:path}", responses=_NOT_FOUND)
    def remove(item: str) -> schema.Change:  # pyright: ignore[reportUnusedFunction]
        """Remove an image."""
        return schema.Change(images=1, version=service.remove(item))


def _add_state(app: FastAPI, service: GalleryService, request_metrics: RequestMetrics) -> None:
    @app.get("/health")
    def health() -> schema.Health:  # pyright: ignore[reportUnusedFunction]
        """That the service is up, and what it serves."""
        snapshot = service.gallery.snapshot()
        return schema.Health(
            status="ok",
            schema_version=schema.SCHEMA_VERSION,
            images=len(snapshot),
            version=snapshot.version,
            width=service.gallery.config.width,
            methods=list(service.methods),
            takes_images=service.takes_images,
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:  # pyright: ignore[reportUnusedFunction]
        """Counts and latencies of requests, in the text format of Prometheus."""
        snapshot = service.gallery.snapshot()
        return request_metrics.text(images=len(snapshot), version=snapshot.version)


def _extra(extra: dict[str, Any]) -> str:
    """A JSON object as text, that an answer can hold again."""
    try:
        to_json([[[[[[[[extra]]]]]]]])  # as deep as in an answer
    except ValueError:
        raise ValueError(
            "extra is nested too deep, or has text that is no Unicode: it could not be given back"
        ) from None
    try:
        return json.dumps(extra, allow_nan=False)
    except ValueError:
        raise ValueError("extra has a number that is not finite: JSON has none") from None
