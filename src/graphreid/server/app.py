"""The HTTP interface of a gallery."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic_core import to_json
from starlette.middleware import Middleware

from graphreid import __version__
from graphreid.explanation_json import ExplanationGraph
from graphreid.server import schema
from graphreid.server.middleware import Counts, Guard, Limits
from graphreid.server.service import ConflictError, Engine, MissingError, QuerySource, row_of

_DESCRIPTION = f"""A gallery of images: search it, change it, and see how a method ranked it.

Schema version {schema.SCHEMA_VERSION} (also in `/health`) of graphreid {__version__}. In version 2
the graph of a query has edges with `source` and `target`, nodes with `rank_before`, `rank_after`
and `query_weight`, and its query is called `query`.
"""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.Problem, "description": what}
    for status, what in (
        (400, "not a request that is understood"),
        (401, "the token is missing or wrong"),
        (413, "larger than the limit"),
        (422, "a value that can't be used; the reason says which"),
        (503, "too many requests are in progress"),
    )
}
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": schema.Problem, "description": "not in the gallery"}
}
_THERE: dict[int | str, dict[str, Any]] = {
    409: {"model": schema.Problem, "description": "in the gallery already"}
}


def build(
    engine: Engine,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    local: bool = True,
    names: tuple[str, ...] = LOOPBACK,
) -> FastAPI:
    """The service as an ASGI application, without the viewer: `graphreid.server.viewer.pages.mount`
    adds its pages.

    Args:
        engine: the gallery and its methods.
        limits: what a request may ask for.
        token: what every request must send; None for nothing.
        local: answer only to the names of this machine itself, so that no page of another origin
            can reach it by a name of its own.
        names: those.
    """
    limits, counts = limits or Limits(), Counts()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        engine.warm()
        yield
        engine.living.keep_lists()

    middleware = [
        Middleware(Guard, limits=limits, token=token, counts=counts, names=names if local else None)
    ]
    app = FastAPI(
        title="graphreid",
        version=str(schema.SCHEMA_VERSION),
        description=_DESCRIPTION,
        lifespan=life,
        middleware=middleware,
        responses=_REFUSALS,
        docs_url=None,  # these pages load their scripts from elsewhere
        redoc_url=None,
    )
    _refusals(app)
    _search(app, engine, limits)
    _items(app, engine, limits)
    _state(app, engine, counts)
    return app


def _refusals(app: FastAPI) -> None:
    """Reasons, in one line each."""

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        # the value itself stays away: it can be large, or no JSON
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return JSONResponse({"detail": "; ".join(problems[:5])}, 422)

    @app.exception_handler(ValueError)
    async def refused(_: Request, error: ValueError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        status = (
            404
            if isinstance(error, MissingError)
            else 409
            if isinstance(error, ConflictError)
            else 422
        )
        return JSONResponse({"detail": " ".join(str(error).split())}, status)


def _search(app: FastAPI, engine: Engine, limits: Limits) -> None:
    @app.post("/search", responses=_MISSING)
    def search(asked: schema.Search) -> schema.Reply:  # pyright: ignore[reportUnusedFunction]
        """The gallery's nearest images to a query, and whether the query is known."""
        if asked.top > limits.top:
            raise ValueError(f"top is {asked.top}: ask for at most {limits.top}")
        method = asked.method or next(iter(engine.methods))
        answer = engine.search(
            QuerySource(asked.vector, asked.image, asked.item, asked.camera), method, asked.top
        )
        threshold = engine.threshold(method)
        return schema.Reply(
            method=method,
            version=answer.version,
            images=answer.images,
            threshold=None if threshold is None else threshold.threshold,
            unknown=answer.unknown,
            matches=[schema.Found(**asdict(match)) for match in answer.matches],
        )

    @app.get("/explain", responses=_MISSING)
    def explain(  # pyright: ignore[reportUnusedFunction]
        item: Annotated[str, Query(description="an item of the gallery, as the query")],
        method: Annotated[
            str, Query(description="one of those that /health names; if not given, the first")
        ] = "",
    ) -> ExplanationGraph:
        """The graph that a method made of an image of the gallery."""
        return graph(QuerySource(item=item), method)

    @app.post("/explain", responses=_MISSING)
    def explain_any(asked: schema.Query) -> ExplanationGraph:  # pyright: ignore[reportUnusedFunction]
        """The graph that a method made of a query: nodes, weighted edges, probabilities, ranks
        before and after.
        """
        return graph(QuerySource(asked.vector, asked.image, asked.item, asked.camera), asked.method)

    def graph(query: QuerySource, method: str) -> ExplanationGraph:
        made = engine.explain(query, method or next(iter(engine.methods)))
        # an image or a vector has no item of its own
        return made if query.item else made.model_copy(update={"query": "query"})


def _items(app: FastAPI, engine: Engine, limits: Limits) -> None:
    @app.post("/items", status_code=201, responses=_THERE)
    def add(asked: schema.Entries) -> schema.Changed:  # pyright: ignore[reportUnusedFunction]
        """Add images, all or none; they are on disk when this answers."""
        if len(asked.items) > limits.items:
            raise ValueError(f"{len(asked.items)} items: add at most {limits.items} at once")
        entries: list[dict[str, Any]] = [
            dict(entry) for entry in asked.items
        ]  # a dump would code images again
        for entry in entries:
            entry["extra"] = None if entry["extra"] is None else _text(entry["extra"])
        return schema.Changed(images=len(entries), version=engine.add(entries))

    @app.get("/items/{item:path}", responses=_MISSING)
    def show(item: str) -> schema.Item:  # pyright: ignore[reportUnusedFunction]
        """An image of the gallery."""
        snapshot = engine.living.snapshot()
        row = row_of(snapshot, item)
        texts = {name: column[row] for name, column in snapshot.texts.items()}
        vector = snapshot.searchable().features.vectors[row].tolist()
        return schema.Item(
            item=item,
            identity=texts["identity"],
            camera=texts["camera"],
            path=texts["path"],
            extra=json.loads(texts["extra"] or "{}"),
            vector=vector,
        )

    @app.delete("/items/{item:path}", responses=_MISSING)
    def remove(item: str) -> schema.Changed:  # pyright: ignore[reportUnusedFunction]
        """Remove an image."""
        return schema.Changed(images=1, version=engine.remove(item))


def _state(app: FastAPI, engine: Engine, counts: Counts) -> None:
    @app.get("/health")
    def health() -> schema.Health:  # pyright: ignore[reportUnusedFunction]
        """That the service is up, and what it serves."""
        snapshot = engine.living.snapshot()
        return schema.Health(
            status="ok",
            schema_version=schema.SCHEMA_VERSION,
            images=len(snapshot),
            version=snapshot.version,
            width=engine.living.config.width,
            methods=list(engine.methods),
            takes_images=engine.takes_images,
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:  # pyright: ignore[reportUnusedFunction]
        """Counts and times of requests, in the text format of Prometheus."""
        snapshot = engine.living.snapshot()
        return counts.text(images=len(snapshot), version=snapshot.version)


def _text(extra: dict[str, Any]) -> str:
    try:
        to_json(
            [[[[[[[[extra]]]]]]]]
        )  # as deep in an answer, so that no answer fails because of it
    except ValueError:
        raise ValueError(
            "extra is nested too deep, or has text that is no Unicode: it could not be given back"
        ) from None
    try:
        return json.dumps(extra, allow_nan=False)
    except ValueError:
        raise ValueError("extra has a number that is not finite: JSON has none") from None
