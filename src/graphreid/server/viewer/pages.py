"""The viewer's pages: rendered here, whole, and readable without scripts; a script adds keys."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import FastAPI, File, Form, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from graphreid.graphs.explanation import ranks
from graphreid.seeding import generator
from graphreid.server.middleware import COOKIE, same
from graphreid.server.service import Engine, Look, MissingError, QuerySource, row_of
from graphreid.server.thumbnails import shrunk
from graphreid.server.viewer import svg as draw
from graphreid.store import Snapshot
from graphreid.types import Features

FOLDER = Path(__file__).parent
_STATIC = {"theme.css": FOLDER.parents[1] / "report", "style.css": FOLDER, "keys.js": FOLDER}
"""Files that any page may ask for, and the folder of each."""
PAGE, NAMES, MAPPED, UPLOADS = 60, 300, 600, 64
"""Images on a page of the gallery, names offered in a filter, images on the map, and uploaded
queries that are remembered.
"""
TOPS = (10, 25, 50)


@dataclass(frozen=True, eq=False)
class Uploaded:
    """A query that was sent: its vector, and its picture (WebP); neither is kept on disk."""

    features: Features
    picture: bytes


def mount(app: FastAPI, engine: Engine, token: str | None = None) -> FastAPI:
    """Add the pages to a service, which is given back.

    Args:
        app: the service, of `graphreid.server.build`.
        engine: the gallery and its methods, the service's own.
        token: what every request must send, the service's own; None for nothing.
    """
    uploads: OrderedDict[str, Uploaded] = OrderedDict()
    _files(app, engine, uploads)
    _gallery(app, engine)
    _query(app, engine, uploads)
    _login(app, token)
    return app


def _files(app: FastAPI, engine: Engine, uploads: OrderedDict[str, Uploaded]) -> None:
    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        if name not in _STATIC:
            return Response(status_code=404)
        return FileResponse(_STATIC[name] / name, headers={"cache-control": "max-age=3600"})

    @app.get("/picture", include_in_schema=False)
    def picture(item: str = "", upload: str = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        snapshot, sent = engine.living.snapshot(), uploads.get(upload)
        where = snapshot.texts["path"][row_of(snapshot, item)] if item else None
        made = None if where is None else engine.pictures.thumbnail(where)
        made = made if sent is None else sent.picture
        if made is None:
            return Response(_NONE, media_type="image/svg+xml")
        return Response(
            made, media_type="image/webp", headers={"cache-control": "private, max-age=600"}
        )


def _gallery(app: FastAPI, engine: Engine) -> None:
    maps: dict[int, str] = {}

    @app.get("/", include_in_schema=False)
    def index(  # pyright: ignore[reportUnusedFunction]
        camera: str = "",
        identity: str = "",
        item: str = "",
        page: Annotated[int, Query(ge=1, le=10**6)] = 1,
    ) -> Response:
        snapshot = engine.living.snapshot()
        rows = _filtered(snapshot, camera=camera, identity=identity, item=item)
        pages = max(1, -(-len(rows) // PAGE))
        shown = rows[(min(page, pages) - 1) * PAGE :][:PAGE]
        return _page(
            "gallery.html",
            engine,
            snapshot,
            tiles=[_tile(snapshot, row) for row in shown.tolist()],
            found=len(rows),
            page=min(page, pages),
            pages=pages,
            asked={"camera": camera, "identity": identity, "item": item},
            cameras=_names(snapshot, "camera"),
            identities=_names(snapshot, "identity"),
        )

    @app.get("/map", include_in_schema=False)
    def overview() -> Response:  # pyright: ignore[reportUnusedFunction]
        def answer() -> Response:
            snapshot = engine.living.snapshot()
            drawing = maps.get(snapshot.version)
            if drawing is None:
                drawing = _map(snapshot)
                maps.clear()
                maps[snapshot.version] = drawing
            return _page(
                "map.html",
                engine,
                snapshot,
                drawing=Markup(drawing),  # noqa: S704  # our own
                mapped=min(MAPPED, len(snapshot)),
            )

        return _told(engine, answer)


def _query(app: FastAPI, engine: Engine, uploads: OrderedDict[str, Uploaded]) -> None:
    @app.post("/view", include_in_schema=False)
    def upload(image: Annotated[bytes, File()], camera: Annotated[str, Form()] = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        def answer() -> Response:
            features = engine.features(
                QuerySource(image=image, camera=camera.strip() or None), engine.living.snapshot()
            )
            name = secrets.token_urlsafe(12)
            uploads[name] = Uploaded(features, shrunk(image))
            if len(uploads) > UPLOADS:
                uploads.popitem(last=False)
            return RedirectResponse(f"/view?upload={name}", 303)

        return _told(engine, answer)

    @app.get("/view", include_in_schema=False)
    def view(  # pyright: ignore[reportUnusedFunction]
        item: str = "",
        upload: str = "",
        method: str = "",
        top: Annotated[int, Query(ge=1, le=100)] = TOPS[0],
    ) -> Response:
        def answer() -> Response:
            snapshot = engine.living.snapshot()
            if upload:
                sent = uploads.get(upload)
                if sent is None:
                    raise MissingError("that image is not remembered any more: upload it again")
                here = f"upload={quote(upload, safe='')}"
                query, picture = sent.features, f"/picture?{here}"
                one_query: dict[str, Any] = {
                    "item": "uploaded image",
                    "picture": picture,
                    "identity": None,
                    "camera": None,
                }
            else:
                query = engine.features(QuerySource(item=item), snapshot)
                one_query = _tile(snapshot, row_of(snapshot, item))
                here = f"item={quote(item, safe='')}"
            looks = [engine.look(snapshot, query, each, top) for each in engine.methods]
            named = method if method in engine.methods else list(engine.methods)[-1]
            chosen = looks[list(engine.methods).index(named)]
            return _page(
                "view.html",
                engine,
                snapshot,
                query=one_query,
                lists=[_listing(snapshot, look, looks[0]) for look in looks],
                here=here,
                top=top,
                tops=TOPS,
                **_drawings(engine, snapshot, query, chosen, looks[0], one_query["picture"]),
                graph_of=named,
            )

        return _told(engine, answer)


def _login(app: FastAPI, token: str | None) -> None:
    @app.get("/login", include_in_schema=False)
    def ask() -> Response:  # pyright: ignore[reportUnusedFunction]
        return HTMLResponse(_templates().get_template("login.html").render(wrong=False))

    @app.post("/login", include_in_schema=False)
    def check(request: Request, given: Annotated[str, Form(alias="token")] = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        if token is None or not same(given.encode(), token):
            return HTMLResponse(_templates().get_template("login.html").render(wrong=True), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer


def _told(engine: Engine, answer: Callable[[], Response]) -> Response:
    """The answer, or a page that says what is wrong."""
    try:
        return answer()
    except ValueError as error:
        status = 404 if isinstance(error, MissingError) else 422
        return _page(
            "wrong.html", engine, engine.living.snapshot(), status=status, reason=str(error)
        )


def _page(
    name: str, engine: Engine, snapshot: Snapshot, *, status: int = 200, **content: Any
) -> Response:
    text = (
        _templates()
        .get_template(name)
        .render(
            gallery=engine.living.folder.name,
            images=len(snapshot),
            takes_images=engine.takes_images,
            methods=list(engine.methods),
            **content,
        )
    )
    return HTMLResponse(text, status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["part"] = _part
    return made


def _part(text: str) -> str:
    """Text as a part of an address."""
    return quote(text, safe="")


def _tile(snapshot: Snapshot, row: int) -> dict[str, Any]:
    item = str(snapshot.searchable().features.items[row])
    texts = {name: snapshot.texts[name][row] for name in ("identity", "camera")}
    return {"item": item, "picture": f"/picture?item={quote(item, safe='')}", **texts}


def _filtered(snapshot: Snapshot, *, camera: str, identity: str, item: str) -> NDArray[np.intp]:
    keep = np.ones(len(snapshot), bool)
    for name, asked in (("camera", camera), ("identity", identity)):
        if asked:
            keep &= np.array([value == asked for value in snapshot.texts[name]], bool)
    if item and snapshot.gallery is not None:
        keep &= np.char.find(snapshot.gallery.features.items, item) >= 0
    return np.flatnonzero(keep)


def _names(snapshot: Snapshot, column: str) -> list[str]:
    names = {name for name in snapshot.texts[column] if name is not None}
    return sorted(names, key=lambda name: (len(name), name))[:NAMES]


def _listing(snapshot: Snapshot, look: Look, base: Look) -> dict[str, Any]:
    """A ranked list, and how far each image has moved since the first method's."""
    rows = _rows(snapshot, look)
    before = ranks(base.distance)[rows].tolist()
    entries = [
        {
            "rank": rank,
            "match": match,
            "tile": _tile(snapshot, row),
            "moved": 0 if look is base else before[rank - 1] - rank,
        }
        for rank, (row, match) in enumerate(zip(rows.tolist(), look.answer.matches, strict=True), 1)
    ]
    return {"method": look.method, "answer": look.answer, "entries": entries, "first": look is base}


def _rows(snapshot: Snapshot, look: Look) -> NDArray[np.int64]:
    """The gallery rows of a ranked list."""
    items = np.array([match.item for match in look.answer.matches], str)
    return snapshot.searchable().rows_of(items).astype(np.int64)


def _drawings(
    engine: Engine, snapshot: Snapshot, query: Features, look: Look, base: Look, picture: str
) -> dict[str, Any]:
    """The drawings of one method: its graph of the query, and the scores of all images."""
    gallery = snapshot.searchable()
    explanation = engine.graph(snapshot, query, look.method)
    if explanation is None:
        neighbors = gallery.neighbors(draw.NEIGHBORS, resources=engine.resources)
        drawn = draw.from_neighbors(_rows(snapshot, look), ranks(base.distance), neighbors)
    else:
        drawn = draw.strongest(explanation)
    threshold = engine.threshold(look.method)
    first = look.answer.matches[0] if look.answer.matches else None
    name = "1 - link probability" if first and first.probability is not None else "distance"
    limit = None if threshold is None else threshold.threshold
    histogram = draw.histogram(look.score, limit, None if first is None else first.score, name)
    return {
        "graph": Markup(draw.graph(drawn, gallery.features.items[drawn.nodes].tolist(), picture)),  # noqa: S704  # escaped there
        "has_graph": explanation is not None,
        "has_probability": drawn.probability is not None,
        "has_query_weights": drawn.query_weights is not None,
        "histogram": Markup(histogram),  # noqa: S704  # escaped there
        "threshold": threshold,
    }


def _map(snapshot: Snapshot) -> str:
    from graphreid.report.embedding_map import layout  # noqa: PLC0415  # heavy

    gallery = snapshot.searchable()
    rows = np.sort(generator(0).permutation(len(gallery))[:MAPPED])
    vectors = gallery.vectors[rows]
    at = layout(vectors) if len(rows) > 4 else np.eye(len(rows), 2)
    return draw.scatter(
        at,
        gallery.features.items[rows].tolist(),
        [snapshot.texts["identity"][row] for row in rows.tolist()],
    )


_NONE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 60"><rect width="60" height="60" '
    'fill="#8884"/>'
    '<text x="30" y="33" font-size="9" font-family="sans-serif" text-anchor="middle" '
    'fill="#777">no picture</text></svg>'
)
