"""`graphreid serve`."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graphreid.cli.options import ResourceOptions
from graphreid.extras import require

TOKEN = "GRAPHREID_TOKEN"  # noqa: S105  # the variable's name
SHORTEST = 16
BACKLOG = 2048


def serve(
    gallery: Annotated[Path, Parameter(help="the gallery's folder")],
    /,
    *,
    method: Annotated[
        tuple[str, ...],
        Parameter(help="METHOD to search by; more than one may be given", negative=""),
    ] = ("cosine",),
    model: Annotated[
        Path | None, Parameter(help="the run that made the gallery's vectors, to search for images")
    ] = None,
    host: Annotated[
        str, Parameter(help="the address to listen at; one that others reach needs a token")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="the port to listen at; 0 for any that is free")] = 8000,
    body: Annotated[int, Parameter(help="megabytes that a request may have")] = 32,
    requests: Annotated[
        int, Parameter(help="requests in progress; more are told to come again (503)")
    ] = 64,
    options: ResourceOptions | None = None,
) -> None:
    """Serve a gallery over HTTP, with a viewer for a browser at the same address.

    Every request must send the token where GRAPHREID_TOKEN is set; without it the service listens
    to this machine alone. The description of the interface is at /openapi.json.
    """
    require("service", "serving")
    token = os.environ.get(TOKEN) or None
    local = _is_loopback(host)
    if not local and token is None:
        raise ValueError(
            f"--host {host} is reached by others: set {TOKEN} to a secret that every request must "
            f"send"
        )
    if token is not None and (
        len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise ValueError(f"{TOKEN} must have at least {SHORTEST} letters, digits and marks")
    if body < 1 or requests < 1:
        raise ValueError(f"--body is {body} and --requests is {requests}: both must be at least 1")
    import uvicorn  # noqa: PLC0415  # extras, which are asked for first

    from graphreid.server import LOOPBACK, GalleryService, Limits, build_app  # noqa: PLC0415
    from graphreid.server.viewer import pages  # noqa: PLC0415
    from graphreid.store import PersistentGallery  # noqa: PLC0415

    with (options or ResourceOptions()).resources() as resources:
        service = GalleryService(
            PersistentGallery(gallery, resources=resources),
            method,
            model=model,
            resources=resources,
        )
        images = len(service.gallery.snapshot())
        name = f"[{host}]" if ":" in host else host
        limits = Limits(body=body * 2**20, requests=requests)
        hosts = tuple(dict.fromkeys((*LOOPBACK, name.lower())))
        app = build_app(
            service, limits=limits, token=token, local=local and token is None, hosts=hosts
        )
        pages.mount(app, service, token)
        service.warm_up()  # a method that this gallery has nothing for is refused here
        listening = _listening(host, port)
        print(
            f"{gallery}: {images:,} images at http://{name}:{listening.getsockname()[1]}/ (Ctrl-C "
            f"ends)",
            flush=True,
        )
        config = uvicorn.Config(app, log_level="warning", server_header=False)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # as it was told to end; what is in progress has been answered
            print(f"{gallery}: ended")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)  # who comes before the service is ready waits
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or error
        raise ValueError(
            f"can't listen at {host}, port {port}: {why} (choose another --host or --port)"
        ) from None
    return made
