"""The viewer's pages, rendered on the server; they work without scripts."""

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
from markupsafe import Markup
from numpy.typing import NDArray

from graphreid.graphs.explanation import ranks
from graphreid.report.templates import template_environment
from graphreid.seeding import generator
from graphreid.server.middleware import TOKEN_COOKIE, is_token
from graphreid.server.service import (
    GalleryService,
    MethodRanking,
    MissingError,
    QuerySource,
    row_of,
)
from graphreid.server.thumbnails import small_copy
from graphreid.server.viewer import svg
from graphreid.store import Snapshot
from graphreid.types import Features

FOLDER = Path(__file__).parent
_STATIC = {"theme.css": FOLDER.parents[1] / "report", "style.css": FOLDER, "keys.js": FOLDER}
"""Files that pages load, and the folder of each."""
PAGE_SIZE = 60
"""Images on a page of the gallery."""
FILTER_CHOICES = 300
"""Identities or cameras that a filter offers, at most."""
MAP_IMAGES = 600
"""Images on the map, at most."""
UPLOADS = 64
"""Uploaded queries that are remembered."""
TOPS = (10, 25, 50)
"""Lengths of ranked lists that a page offers."""


@dataclass(frozen=True, eq=False)
class UploadedQuery:
    """An uploaded query: its vector and its thumbnail (WebP). Neither is kept on disk."""

    features: Features
    thumbnail: bytes


def mount(app: FastAPI, service: GalleryService, token: str | None = None) -> FastAPI:
    """Add the viewer's pages to an application, and return it.

    Args:
        app: of `graphreid.server.build_app`.
        service: the gallery and its methods, those of `app`.
        token: what every request must send, that of `app`; None for none.
    """
    uploads: OrderedDict[str, UploadedQuery] = OrderedDict()
    _files(app, service, uploads)
    _gallery(app, service)
    _query(app, service, uploads)
    _login(app, token)
    return app


def _files(app: FastAPI, service: GalleryService, uploads: OrderedDict[str, UploadedQuery]) -> None:
    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        if name not in _STATIC:
            return Response(status_code=404)
        return FileResponse(_STATIC[name] / name, headers={"cache-control": "max-age=3600"})

    @app.get("/picture", include_in_schema=False)
    def picture(item: str = "", upload: str = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        snapshot = service.gallery.snapshot()
        path = snapshot.texts["path"][row_of(snapshot, item)] if item else None
        thumbnail = None if path is None else service.thumbnails.thumbnail(path)
        if upload in uploads:
            thumbnail = uploads[upload].thumbnail
        if thumbnail is None:
            return Response(_NO_PICTURE, media_type="image/svg+xml")
        headers = {"cache-control": "private, max-age=600"}
        return Response(thumbnail, media_type="image/webp", headers=headers)


def _gallery(app: FastAPI, service: GalleryService) -> None:
    maps: dict[int, str] = {}

    @app.get("/", include_in_schema=False)
    def index(  # pyright: ignore[reportUnusedFunction]
        camera: str = "",
        identity: str = "",
        item: str = "",
        page: Annotated[int, Query(ge=1, le=10**6)] = 1,
    ) -> Response:
        snapshot = service.gallery.snapshot()
        rows = _filtered(snapshot, camera=camera, identity=identity, item=item)
        pages = max(1, -(-len(rows) // PAGE_SIZE))
        shown = rows[(min(page, pages) - 1) * PAGE_SIZE :][:PAGE_SIZE]
        return _page(
            "gallery.html",
            service,
            snapshot,
            tiles=[_tile(snapshot, row) for row in shown.tolist()],
            found=len(rows),
            page=min(page, pages),
            pages=pages,
            asked={"camera": camera, "identity": identity, "item": item},
            cameras=_choices(snapshot, "camera"),
            identities=_choices(snapshot, "identity"),
        )

    @app.get("/map", include_in_schema=False)
    def overview() -> Response:  # pyright: ignore[reportUnusedFunction]
        def render() -> Response:
            snapshot = service.gallery.snapshot()
            drawing = maps.get(snapshot.version)
            if drawing is None:
                drawing = _map(snapshot)
                maps.clear()
                maps[snapshot.version] = drawing
            return _page(
                "map.html",
                service,
                snapshot,
                drawing=Markup(drawing),  # noqa: S704  # our own
                mapped=min(MAP_IMAGES, len(snapshot)),
            )

        return _or_error_page(service, render)


def _query(app: FastAPI, service: GalleryService, uploads: OrderedDict[str, UploadedQuery]) -> None:
    @app.post("/view", include_in_schema=False)
    def upload(image: Annotated[bytes, File()], camera: Annotated[str, Form()] = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        def render() -> Response:
            features = service.query_features(
                QuerySource(image=image, camera=camera.strip() or None), service.gallery.snapshot()
            )
            name = secrets.token_urlsafe(12)
            uploads[name] = UploadedQuery(features, small_copy(image))
            if len(uploads) > UPLOADS:
                uploads.popitem(last=False)
            return RedirectResponse(f"/view?upload={name}", 303)

        return _or_error_page(service, render)

    @app.get("/view", include_in_schema=False)
    def view(  # pyright: ignore[reportUnusedFunction]
        item: str = "",
        upload: str = "",
        method: str = "",
        top: Annotated[int, Query(ge=1, le=100)] = TOPS[0],
    ) -> Response:
        def render() -> Response:
            snapshot = service.gallery.snapshot()
            if upload:
                sent = uploads.get(upload)
                if sent is None:
                    raise MissingError("that image is not remembered any more: upload it again")
                here = f"upload={quote(upload, safe='')}"
                query = sent.features
                tile: dict[str, Any] = {
                    "item": "uploaded image",
                    "picture": f"/picture?{here}",
                    "identity": None,
                    "camera": None,
                }
            else:
                query = service.query_features(QuerySource(item=item), snapshot)
                tile = _tile(snapshot, row_of(snapshot, item))
                here = f"item={quote(item, safe='')}"
            rankings = [service.rank(snapshot, query, each, top) for each in service.methods]
            named = method if method in service.methods else list(service.methods)[-1]
            chosen = rankings[list(service.methods).index(named)]
            return _page(
                "view.html",
                service,
                snapshot,
                query=tile,
                lists=[_ranked_list(snapshot, each, rankings[0]) for each in rankings],
                here=here,
                top=top,
                tops=TOPS,
                **_drawings(service, snapshot, query, chosen, rankings[0], tile["picture"]),
                graph_of=named,
            )

        return _or_error_page(service, render)


def _login(app: FastAPI, token: str | None) -> None:
    @app.get("/login", include_in_schema=False)
    def ask() -> Response:  # pyright: ignore[reportUnusedFunction]
        return HTMLResponse(_templates().get_template("login.html").render(wrong=False))

    @app.post("/login", include_in_schema=False)
    def check(request: Request, given: Annotated[str, Form(alias="token")] = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        if token is None or not is_token(given.encode(), token):
            return HTMLResponse(_templates().get_template("login.html").render(wrong=True), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            TOKEN_COOKIE,
            token,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _or_error_page(service: GalleryService, render: Callable[[], Response]) -> Response:
    """A page, or one that says what is wrong."""
    try:
        return render()
    except ValueError as error:
        status = 404 if isinstance(error, MissingError) else 422
        return _page(
            "error.html", service, service.gallery.snapshot(), status=status, reason=str(error)
        )


def _page(
    name: str, service: GalleryService, snapshot: Snapshot, *, status: int = 200, **content: Any
) -> Response:
    text = (
        _templates()
        .get_template(name)
        .render(
            gallery=service.gallery.folder.name,
            images=len(snapshot),
            takes_images=service.takes_images,
            methods=list(service.methods),
            **content,
        )
    )
    return HTMLResponse(text, status)


@cache
def _templates() -> Any:
    environment = template_environment(FOLDER)
    environment.filters["part"] = _url_part
    return environment


def _url_part(text: str) -> str:
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


def _choices(snapshot: Snapshot, column: str) -> list[str]:
    names = {name for name in snapshot.texts[column] if name is not None}
    return sorted(names, key=lambda name: (len(name), name))[:FILTER_CHOICES]


def _ranked_list(snapshot: Snapshot, ranking: MethodRanking, base: MethodRanking) -> dict[str, Any]:
    """A method's ranked list, and how far each image has moved since the first method's."""
    rows = _rows(snapshot, ranking)
    before = ranks(base.distance)[rows].tolist()
    matches = ranking.result.matches
    entries = [
        {
            "rank": rank,
            "match": match,
            "tile": _tile(snapshot, row),
            "moved": 0 if ranking is base else before[rank - 1] - rank,
        }
        for rank, (row, match) in enumerate(zip(rows.tolist(), matches, strict=True), 1)
    ]
    return {"method": ranking.method, "unknown": ranking.result.unknown, "entries": entries}


def _rows(snapshot: Snapshot, ranking: MethodRanking) -> NDArray[np.int64]:
    """The gallery rows of a ranked list."""
    items = np.array([match.item for match in ranking.result.matches], str)
    return snapshot.searchable().rows_of(items).astype(np.int64)


def _drawings(
    service: GalleryService,
    snapshot: Snapshot,
    query: Features,
    ranking: MethodRanking,
    base: MethodRanking,
    picture: str,
) -> dict[str, Any]:
    """The drawings of one method: its graph of the query, and the scores of all images."""
    gallery = snapshot.searchable()
    explanation = service.explanation(snapshot, query, ranking.method)
    if explanation is None:
        neighbors = gallery.neighbors(svg.NEIGHBORS, resources=service.resources)
        drawn = svg.from_neighbors(_rows(snapshot, ranking), ranks(base.distance), neighbors)
    else:
        drawn = svg.strongest(explanation)
    threshold = service.threshold(ranking.method)
    limit = None if threshold is None else threshold.threshold
    matches = ranking.result.matches
    first = matches[0] if matches else None
    name = "1 - link probability" if first and first.probability is not None else "distance"
    histogram = svg.histogram(ranking.score, limit, None if first is None else first.score, name)
    items = gallery.features.items[drawn.nodes].tolist()
    return {
        "graph": Markup(svg.graph(drawn, items, picture)),  # noqa: S704  # escaped there
        "has_graph": explanation is not None,
        "has_probability": drawn.probability is not None,
        "has_query_weights": drawn.query_weights is not None,
        "histogram": Markup(histogram),  # noqa: S704  # escaped there
        "threshold": threshold,
    }


def _map(snapshot: Snapshot) -> str:
    from graphreid.report.embedding_map import tsne_layout  # noqa: PLC0415  # heavy

    gallery = snapshot.searchable()
    rows = np.sort(generator(0).permutation(len(gallery))[:MAP_IMAGES])
    vectors = gallery.vectors[rows]
    at = tsne_layout(vectors) if len(rows) > 4 else np.eye(len(rows), 2)
    return svg.scatter(
        at,
        gallery.features.items[rows].tolist(),
        [snapshot.texts["identity"][row] for row in rows.tolist()],
    )


_NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 60"><rect width="60" height="60" '
    'fill="#8884"/>'
    '<text x="30" y="33" font-size="9" font-family="sans-serif" text-anchor="middle" '
    'fill="#777">no picture</text></svg>'
)
