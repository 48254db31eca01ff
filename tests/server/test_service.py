import base64
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from starlette.testclient import TestClient

from graphreid.methods import Cosine
from graphreid.server import GalleryService, Limits, build_app
from graphreid.server.schema import SCHEMA_VERSION
from graphreid.store import PersistentGallery, choose_threshold
from graphreid.types import Features
from tests.store.cases import labelled_gallery

METHODS = ("cosine", "k-reciprocal:k1=6,k2=3")
LIMITS = Limits(body=20_000, top=50, items=10)

SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[PersistentGallery, Features]:
    folder = tmp_path_factory.mktemp("service")
    gallery, images, (query, labels) = labelled_gallery(folder)
    choose_threshold(
        gallery,
        "cosine",
        Cosine(),
        query,
        labels,
        rate=0.2,
        unknowns="removed",
        protocol="no-camera",
    )
    return gallery, images


@pytest.fixture(scope="module")
def client(made: tuple[PersistentGallery, Features]) -> Iterator[TestClient]:
    app = build_app(GalleryService(made[0], METHODS), limits=LIMITS)
    with TestClient(app, base_url="http://localhost") as opened:
        yield opened


def ask(client: TestClient, **asked: Any) -> Any:
    response = client.post("/search", json=asked)
    assert response.status_code == 200, response.text
    return response.json()


def test_search_by_vector_and_by_item(
    client: TestClient, made: tuple[PersistentGallery, Features]
) -> None:
    images = made[1]
    answer = ask(client, vector=images.vectors[7].tolist(), top=3)
    assert answer["matches"][0]["item"] == "image7"
    assert answer["matches"][0]["distance"] < 1e-6
    assert answer["unknown"] is False
    assert answer["matches"][0]["within_threshold"] is True
    assert answer["threshold"] is not None
    assert len(answer["matches"]) == 3
    assert ask(client, vector=(-images.vectors.mean(axis=0)).tolist())["unknown"] is True
    other = ask(client, item="image7", method=METHODS[1], top=50)
    assert (other["threshold"], other["unknown"]) == (None, None)
    assert "image7" not in [match["item"] for match in other["matches"]]


def test_explains_a_vector_as_well_as_an_item(
    client: TestClient, made: tuple[PersistentGallery, Features]
) -> None:
    vector = made[1].vectors[7].tolist()
    ranks = [
        match["item"] for match in ask(client, vector=vector, method=METHODS[1], top=50)["matches"]
    ]
    graph = client.post("/explain", json={"vector": vector, "method": METHODS[1]})
    assert graph.status_code == 200, graph.text
    graph = graph.json()
    assert (graph["query"], graph["method"]) == ("query", METHODS[1])
    assert len(graph["nodes"]) > 3
    for node in graph["nodes"]:
        assert node["rank_after"] == ranks.index(node["item"]) + 1
        assert node["probability"] is None
        assert node["query_weight"] > 0
    for edge in graph["edges"]:
        assert edge["weight"] > 0
        assert {edge["source"], edge["target"]} <= set(range(len(graph["nodes"])))
    by_item = client.post("/explain", json={"item": "image7", "method": METHODS[1]}).json()
    assert by_item == client.get("/explain", params={"item": "image7", "method": METHODS[1]}).json()
    assert (by_item["query"], "image7" in [node["item"] for node in by_item["nodes"]]) == (
        "image7",
        False,
    )
    for asked, status, words in (
        ({"vector": vector}, 422, f"ask {METHODS[1]}"),
        ({"vector": vector[1:], "method": METHODS[1]}, 422, "15 wide"),
        ({"vector": vector, "item": "image7", "method": METHODS[1]}, 422, "one of the three"),
        ({"item": "nobody", "method": METHODS[1]}, 404, "nobody"),
        ({"vector": vector, "top": 3}, 422, "not permitted"),
    ):
        response = client.post("/explain", json=asked)
        assert response.status_code == status
        assert words in response.json()["detail"]


def test_items_come_and_go(client: TestClient) -> None:
    entry = {
        "item": "new/1 ü",
        "vector": [1.0] * 16,
        "identity": "9",
        "camera": "1",
        "extra": {"seen": True},
    }
    response = client.post("/items", json={"items": [entry]})
    assert response.status_code == 201
    assert client.get("/items/new/1%20%C3%BC").json() == {**entry, "path": None}
    assert client.post("/items", json={"items": [entry]}).status_code == 409
    assert ask(client, vector=[1.0] * 16, top=1)["matches"][0]["item"] == "new/1 ü"
    deleted = client.delete("/items/new/1%20%C3%BC").json()
    assert deleted["version"] > response.json()["version"]
    assert client.delete("/items/new/1%20%C3%BC").status_code == 404
    assert client.get("/items/new/1%20%C3%BC").status_code == 404


def _nested(depth: int) -> Any:
    return [_nested(depth - 1)] if depth else 1


def test_bad_requests_are_refused_with_a_reason(client: TestClient) -> None:
    good = [1.0] * 16
    for asked, words in (
        ({}, "one of the three"),
        ({"vector": good, "item": "image1"}, "one of the three"),
        ({"vector": good[:3]}, "3 wide and the gallery's are 16"),
        ({"vector": [0.0] * 16}, "all zeros"),
        ({"vector": [1e300] * 16}, "no number of 32 bits"),
        ({"vector": good, "method": "/etc/x.safetensors"}, "is not served"),
        ({"vector": good, "top": 51}, "at most 50"),
        ({"vector": good, "top": 0}, "greater than or equal to 1"),
        ({"vector": good, "colour": 1}, "not permitted"),
        ({"image": base64.b64encode(b"x").decode()}, "takes no images"),
    ):
        response = client.post("/search", json=asked)
        assert response.status_code == 422, asked
        assert words in response.json()["detail"], response.text
    for body in (
        b'{"vector": [NaN]}',
        b'{"top": NaN}',
        b"{",
        b"\xff",
        b'{"item": "\\ud800"}',
        b"[" * 5000,
    ):
        response = client.post(
            "/search", content=body, headers={"content-type": "application/json"}
        )
        assert response.status_code in (400, 422), body
    surrogate = (
        b'{"items": [{"item": "a", "vector": [%s], "camera": "1", "extra": {"a": "\\ud800"}}]}'
        % b",".join([b"1"] * 16)
    )
    response = client.post(
        "/items", content=surrogate, headers={"content-type": "application/json"}
    )
    assert (response.status_code, "no Unicode" in response.json()["detail"]) == (422, True)
    assert client.post("/search", json={"item": "nobody"}).status_code == 404
    assert client.post("/search", content=b" " * 30_000).status_code == 413
    assert client.post("/search", content=(b" " * 9_000 for _ in range(4))).status_code == 413
    assert "makes no graph" in client.get("/explain", params={"item": "image1"}).json()["detail"]
    entries = [{"item": f"n{row}", "vector": good, "camera": "1"} for row in range(11)]
    assert "at most 10" in client.post("/items", json={"items": entries}).json()["detail"]
    for entry, words in (
        ({"item": "a", "vector": good}, "both have cameras"),
        ({"item": "a\n", "vector": good}, "pattern"),
        ({"item": "a", "camera": "1"}, "one of the two"),
        ({"item": "a", "camera": "1", "vector": good[1:]}, "15 wide"),
        (
            {"item": "a", "vector": good, "camera": "1", "extra": {"a": _nested(300)}},
            "nested too deep",
        ),
    ):
        response = client.post("/items", json={"items": [entry]})
        assert response.status_code == 422
        assert words in response.json()["detail"], response.text


def test_state(client: TestClient) -> None:
    state = client.get("/health").json()
    assert (state["status"], state["images"], state["methods"]) == ("ok", 60, list(METHODS))
    text = client.get("/metrics").text
    assert 'graphreid_requests_total{method="GET",route="/health",status="200"}' in text
    assert "graphreid_images 60.0" in text
    for host, status in (
        ("evil.example", 400),
        ("evil.example:80", 400),
        ("", 400),
        ("LOCALHOST:9", 200),
        ("[::1]:9", 200),
    ):
        response = client.get("/health", headers={"host": host})
        assert response.status_code == status, host
        assert status == 200 or "not called that" in response.json()["detail"]
    assert state["schema_version"] == SCHEMA_VERSION
    described = client.get("/openapi.json").json()
    assert described["info"]["version"] == str(SCHEMA_VERSION)
    assert f"Schema version {SCHEMA_VERSION} " in described["info"]["description"]
    paths = described["paths"]
    assert {"/search", "/items", "/items/{item}", "/explain", "/health", "/metrics"} <= set(paths)


def test_a_query_needs_no_name_and_may_have_a_camera(
    client: TestClient, made: tuple[PersistentGallery, Features]
) -> None:
    vector = made[1].vectors[7].tolist()
    entry = {"item": "query", "vector": [1.0] * 16, "camera": "1"}
    assert client.post("/items", json={"items": [entry]}).status_code == 201
    assert ask(client, vector=vector, top=1)["matches"][0]["item"] == "image7"
    assert client.delete("/items/query").status_code == 200
    with TestClient(
        build_app(GalleryService(made[0], ["ca-jaccard:k1_intra=3,k1_inter=6"])),
        base_url="http://localhost",
    ) as other:
        assert ask(other, vector=vector, camera="1", top=1)["matches"][0]["item"] == "image7"
        assert "needs the camera" in other.post("/search", json={"vector": vector}).json()["detail"]
        response = other.post("/search", json={"item": "image7", "camera": "1"})
        assert (response.status_code, "its own camera" in response.json()["detail"]) == (422, True)


def test_more_requests_than_allowed_are_told_to_come_again(
    made: tuple[PersistentGallery, Features],
) -> None:
    service, begun, go_on = GalleryService(made[0]), threading.Event(), threading.Event()
    real = service.search

    def slow(*asked: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return real(*asked)

    service.search = slow  # type: ignore[method-assign]
    client = TestClient(build_app(service, limits=Limits(requests=1)), base_url="http://localhost")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.post, "/search", json={"item": "image7"})
        assert begun.wait(60)
        response = client.get("/health")
        go_on.set()
        assert (response.status_code, response.json()["detail"]) == (
            503,
            "1 requests are in progress: come again",
        )
        assert first.result().status_code == 200
    assert client.get("/health").status_code == 200


def test_a_token_is_asked_for(made: tuple[PersistentGallery, Features]) -> None:
    app = build_app(GalleryService(made[0]), token="a secret of some length", local=False)
    client = TestClient(app)
    assert client.get("/health").status_code == 200
    assert client.get("/items/image1").status_code == 401
    assert (
        client.get("/items/image1", headers={"authorization": "Bearer a secret"}).status_code == 401
    )
    right = {"authorization": "Bearer a secret of some length"}
    assert client.get("/items/image1", headers=right).status_code == 200


def test_images_need_their_embedder(tmp_path: Path) -> None:
    gallery, _, _ = labelled_gallery(tmp_path)
    service = GalleryService(gallery, METHODS)

    class Flat:
        def embed(self, images: Any, *, resources: Any) -> Features:
            means = [
                np.asarray(Image.open(path), np.float32).mean(axis=(0, 1)) for path in images.paths
            ]
            return Features(np.tile(np.array(means), 6)[:, :16] + 1, images.items)

    service._embedder = Flat()  # pyright: ignore[reportPrivateUsage]
    client = TestClient(build_app(service), base_url="http://localhost")
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 60)).save(stream, "PNG")
    image = base64.b64encode(stream.getvalue()).decode()
    response = client.post(
        "/items", json={"items": [{"item": "red", "image": image, "camera": "0"}]}
    )
    assert response.status_code == 201, response.text
    assert ask(client, image=image, top=1)["matches"][0]["item"] == "red"
    graph = client.post("/explain", json={"image": image, "method": METHODS[1]})
    assert graph.status_code == 200, graph.text
    assert min(graph.json()["nodes"], key=lambda node: node["rank_before"])["item"] == "red"
    path = client.get("/items/red").json()["path"]
    picture = service.thumbnails.thumbnail(path)
    assert picture is not None
    assert Image.open(io.BytesIO(picture)).size == (30, 20)
    assert service.thumbnails.find("pictures:../gallery.json") is None
    # a picture goes with the last image that has it, and nothing else does
    kept = gallery.folder / "pictures"
    assert (
        client.post(
            "/items", json={"items": [{"item": "red", "image": image, "camera": "0"}]}
        ).status_code
        == 409
    )
    entry = {"item": "odd", "vector": [1.0] * 16, "camera": "0", "path": "pictures:../gallery.json"}
    more = [{"item": "red again", "image": image, "camera": "0"}, entry]
    assert client.post("/items", json={"items": more}).status_code == 201
    for item, left in (("red", 1), ("odd", 1), ("red again", 0)):
        assert client.delete(f"/items/{item}").status_code == 200
        assert len(list(kept.iterdir())) == left
    assert (gallery.folder / "gallery.json").is_file()
    assert ask(client, image=image)["matches"]
    assert not list(kept.iterdir())
    response = client.post("/search", json={"image": base64.b64encode(b"GIF89a").decode()})
    assert response.status_code == 422
    assert "no format" in response.json()["detail"]


def test_searches_while_images_come_and_go(client: TestClient) -> None:
    def search(row: int) -> int:
        return client.post(
            "/search", json={"item": f"image{row}", "method": METHODS[row % 2]}
        ).status_code

    def change(row: int) -> int:
        entry = {"item": f"many{row}", "vector": [1.0 + row] * 15 + [2.0], "camera": "2"}
        added = client.post("/items", json={"items": [entry]}).status_code
        return max(added, client.delete(f"/items/many{row}").status_code)

    with ThreadPoolExecutor(4) as threads:
        searched, changed = (
            [threads.submit(search, row) for row in range(20)],
            [threads.submit(change, row) for row in range(8)],
        )
        assert {each.result() for each in searched} == {200}
        assert {each.result() for each in changed} == {201}
    assert client.get("/health").json()["images"] == 60


def test_fuzzing_finds_no_fault(client: TestClient) -> None:
    described = schemathesis.openapi.from_asgi(
        "/openapi.json", client.app, headers={"host": "localhost"}
    )
    statuses: set[int] = set()
    for result in described.get_all_operations():
        operation: Any = cast("Any", result).ok()

        @settings(
            max_examples=15,
            deadline=None,
            suppress_health_check=SLOW,
            database=None,
            derandomize=True,
        )
        @given(case=operation.as_strategy())
        def each(case: Any) -> None:
            response = case.call(base_url="http://localhost")
            statuses.add(response.status_code)
            assert response.status_code < 500, response.text

        each()
    assert {200, 404, 422} <= statuses
