"""The viewer in a real browser: what is asked for comes from the service alone, and keys and forms
do what they say.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.testclient import TestClient

from graphreid.methods import Cosine
from graphreid.server import GalleryService, build_app
from graphreid.server.viewer.pages import mount
from graphreid.store import GalleryConfig, PersistentGallery, choose_threshold
from graphreid.types import Features, Labels
from tests.conftest import skip_unless_ci
from tests.server.viewer.conftest import CHROMIUM, WHY

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOKEN = "a token that is long enough"


class Means:
    """An embedder for pictures of one colour."""

    def embed(self, images: Any, *, resources: Any) -> Features:
        means = [
            np.asarray(Image.open(path).convert("RGB"), np.float32).mean(axis=(0, 1)) + 1
            for path in images.paths
        ]
        return Features(np.array(means), images.items)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> GalleryService:
    """Seventy pictures of seven colours."""
    folder = tmp_path_factory.mktemp("viewer")
    rng = np.random.default_rng(0)
    colours = rng.integers(20, 236, (7, 3))
    identity = np.arange(70) % 7
    pixels = np.clip(colours[identity] + rng.integers(-12, 13, (70, 3)), 1, 255)
    items = np.array([f"set & <{row}>/{row}" for row in range(70)])
    for row, colour in enumerate(pixels.tolist()):
        Image.new("RGB", (24, 40), tuple(colour)).save(folder / f"{row}.png")
    features = Features(pixels.astype(np.float32) + 1, items)
    gallery = PersistentGallery.create(
        folder / "gallery", GalleryConfig(3, images=str(folder), k=20, margin=5)
    )
    camera = [f"c{row % 3}" for row in range(70)]
    path: list[str | None] = [f"{row}.png" for row in range(69)]
    gallery.add(
        features,
        {
            "identity": [f"i{one}" for one in identity],
            "camera": [*camera],
            "path": [*path, "../../../etc/passwd"],
        },
    )
    labels = Labels(np.array([f"i{one}" for one in identity]))
    choose_threshold(
        gallery,
        "cosine",
        Cosine(),
        features,
        labels,
        rate=0.1,
        unknowns="removed",
        protocol="no-camera",
    )
    made = GalleryService(gallery, ("cosine", "k-reciprocal:k1=6,k2=3"))
    made._embedder = Means()  # pyright: ignore[reportPrivateUsage]
    return made


@pytest.fixture(scope="module")
def address(service: GalleryService) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(mount(build_app(service), service), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        skip_unless_ci(WHY)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def opened(browser: Browser, address: str, width: int = 1200) -> tuple[Page, list[str]]:
    """A page, and what went wrong on it or was asked for elsewhere."""
    page, wrong = browser.new_page(viewport={"width": width, "height": 800}), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if message.type == "error" else None
    )
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:")) else wrong.append(request.url)
        ),
    )
    return page, wrong


def test_from_the_gallery_to_a_query_and_on(browser: Browser, address: str) -> None:
    page, wrong = opened(browser, address)
    page.goto(address)
    assert page.locator("a.tile").count() == 60
    page.get_by_role("link", name="Next").click()
    assert page.locator("a.tile").count() == 10
    page.goto(address)
    page.keyboard.press("/")
    page.keyboard.type("<1")
    page.keyboard.press("Enter")
    page.wait_for_url("**item=*")
    assert page.locator("a.tile").count() == 11
    page.keyboard.press("l")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/view?**")
    assert page.locator("h2").first.inner_text() == "set & <10>/10"
    assert page.locator("article.list").count() == 2
    assert page.locator("article.list").first.locator("li.right").count() >= 5
    assert page.locator("svg.graph image").count() >= 8
    assert "the edges to the query" in page.locator("#graph figcaption").first.inner_text()
    assert page.locator("svg.histogram .threshold").count() == 0
    page.locator("p.tabs").get_by_role("link", name="cosine").click()
    assert page.locator("svg.graph image").count() >= 11
    assert "makes no graph" in page.locator("#graph figcaption").first.inner_text()
    assert page.locator("svg.histogram .threshold").count() == 1
    page.keyboard.press("m")
    page.wait_for_url("**/map")
    assert page.locator("svg.map circle").count() == 70
    page.wait_for_load_state("networkidle")
    assert wrong == []
    page.close()


def test_an_uploaded_image_is_searched_for(
    browser: Browser, address: str, tmp_path: Path, service: GalleryService
) -> None:
    page, wrong = opened(browser, address, width=390)
    Image.new("RGB", (30, 30), (200, 30, 90)).save(tmp_path / "red.png")
    page.goto(address)
    page.set_input_files("input[type=file]", tmp_path / "red.png")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/view?upload=**")
    assert page.evaluate("document.querySelector('.query img').naturalWidth") == 30
    assert not (service.gallery.folder / "pictures").exists()
    assert page.locator("article.list").count() == 2
    # a phone's screen is wide enough for every page
    for path in ("/", page.url.removeprefix(address), "/map"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert wrong == []
    (tmp_path / "x.png").write_bytes(b"no image")
    page.goto(address)
    page.set_input_files("input[type=file]", tmp_path / "x.png")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("in no format that is known").wait_for()
    assert len(service.gallery.snapshot()) == 70
    page.close()


def test_pages_are_safe(service: GalleryService) -> None:
    client = TestClient(mount(build_app(service), service), base_url="http://localhost")
    page = client.get("/")
    assert "<1>" not in page.text
    assert "set &amp; &lt;1&gt;/1" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/view", params={"item": "nobody"}).status_code == 404
    assert client.get("/view", params={"upload": "x"}).status_code == 404
    assert client.get("/static/pages.py").status_code == 404
    # a path that leads out of the images' folder leads nowhere
    assert (
        client.get("/picture", params={"item": "set & <69>/69"}).headers["content-type"]
        == "image/svg+xml"
    )
    assert (
        client.get("/picture", params={"path": "0.png"}).headers["content-type"] == "image/svg+xml"
    )
    assert (
        client.get("/picture", params={"item": "set & <0>/0"}).headers["content-type"]
        == "image/webp"
    )


def test_a_browser_logs_in_with_the_token(service: GalleryService) -> None:
    client = TestClient(mount(build_app(service, token=TOKEN, local=False), service, TOKEN))
    assert client.get("/", headers={"accept": "text/html"}).url.path == "/login"
    assert client.post("/login", data={"token": "another"}).status_code == 401
    assert client.get("/").status_code == 401
    assert client.post("/login", data={"token": TOKEN}).url.path == "/"
    assert client.get("/").status_code == 200
    for name in ("theme.css", "style.css", "keys.js"):
        assert client.get(f"/static/{name}").status_code == 200


def test_an_empty_gallery_says_so_on_every_page(tmp_path: Path) -> None:
    service = GalleryService(PersistentGallery.create(tmp_path / "g", GalleryConfig(3)))
    client = TestClient(mount(build_app(service), service), base_url="http://localhost")
    assert client.get("/").status_code == 200
    for path in ("/map", "/view?item=a"):
        page = client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert page.status_code in (404, 422)
