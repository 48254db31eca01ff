import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.testclient import TestClient

from graphreid.cli import main
from graphreid.datasets.manifest import read_manifest
from graphreid.features.features_file import (
    load_columns,
    load_embedder_name,
    load_vectors,
    save_features,
)
from tests.cli.test_train import data, train  # noqa: F401  # pyright: ignore[reportUnusedImport]
from tests.support import labelled


def test_image_files_are_searched_for_with_the_run_that_made_the_vectors(
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(data, tmp_path / "run") == 0
    assert (
        main(
            [
                "embed",
                "--data",
                "data",
                "--model",
                "run",
                "--split",
                "gallery",
                "--out",
                "gallery.npz",
            ]
        )
        == 0
    )
    run("create g --features gallery.npz", capsys)
    images = read_manifest(data).images(read_manifest(data).rows("gallery"))
    asked = f"search g --model run --image {images.paths[0]} --image {images.paths[2]} --top 2"
    run(f"{asked} --json results.json", capsys)
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [answer["matches"][0]["item"] for answer in results] == [
        images.items[0],
        images.items[2],
    ]
    assert results[0]["matches"][0]["distance"] < 1e-3
    assert "needs the camera of every image" in refused(f"{asked} --method ca-jaccard", capsys)
    assert "identity" in run(f"{asked} --method ca-jaccard --camera left", capsys)
    assert "--camera is for --image" in refused(
        f"search g --item {images.items[0]} --camera left", capsys
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, (features, labels) in zip(("query", "gallery"), labelled(0, queries=40), strict=True):
        assert labels.camera is not None
        track = np.arange(len(features)) // 4
        columns = {
            "item": features.items,
            "identity": labels.identity,
            "camera": labels.camera,
            "track": track,
        }
        save_features(tmp_path / f"{name}.npz", features.vectors, columns, embedder="net 1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    code = main(["gallery", *line.split()])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["gallery", *line.split()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_gallery_from_creation_to_export(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "60 images" in run("create g --features gallery.npz", capsys)
    known = json.loads(run("info g --json", capsys))
    assert (known["images"], known["embedder"], known["knn_index"]) == (60, "net 1", "up to date")
    said = run(
        "calibrate g --query query.npz --fpir 0.1 --unknowns removed --rule no-camera", capsys
    )
    assert "of the known ones are identified" in said
    assert "threshold    cosine: distance" in run("info g", capsys)
    run(
        "search g --features query.npz --top 3 --json results.json --method k-reciprocal:k1=6,k2=3",
        capsys,
    )
    results = json.loads((folder / "results.json").read_text())
    assert (results["threshold"], len(results["results"])) == (None, 40)
    assert len(results["results"][0]["matches"]) == 3
    said = run("search g --item image3 --item image5 --top 2", capsys)
    assert said.splitlines()[0].split() == ["image3"]
    assert said.count("image3 ") == 1
    one = load_vectors("query.npz").take(np.array([4]))
    save_features(folder / "one.npz", one.vectors, {"item": one.items}, embedder="net 1")
    run("explain g --features one.npz --method k-reciprocal:k1=6,k2=3 --json graph.json", capsys)
    graph = json.loads((folder / "graph.json").read_text())
    first = results["results"][4]["matches"][0]["item"]
    assert [node["item"] for node in graph["nodes"] if node["rank_after"] == 1] in ([first], [])
    assert graph["query"] == one.items[0]
    said = run("explain g --item image3 --method k-reciprocal:k1=6,k2=3 --top 4", capsys)
    assert said.splitlines()[0].strip() == "image3"
    assert "weight to query" in said
    assert "makes no graph" in refused("explain g --item image3 --method cosine", capsys)
    assert "one at a time" in refused(
        "explain g --features query.npz --method k-reciprocal", capsys
    )
    assert "added 40 images" in run("add g --features query.npz", capsys)
    run("remove g image3 image4", capsys)
    (folder / "gone.txt").write_text("image5\nimage6\n")
    assert "removed image5, image6" in run("remove g --list gone.txt", capsys)
    run("export g --out out.npz", capsys)
    columns = load_columns("out.npz")
    assert set(columns) == {"item", "identity", "camera", "track"}
    assert columns["track"].dtype.kind == "i"
    assert load_embedder_name("out.npz") == "net 1"
    assert len(load_vectors("out.npz")) == 60 + 40 - 4
    run("export g --out folder", capsys)
    assert load_embedder_name("folder") == "net 1"


def test_users_errors_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("create g --features gallery.npz", capsys)
    assert "exists already" in refused("create g --width 3", capsys)
    assert "one of the two" in refused("create h", capsys)
    assert "no such folder" in refused("create h --width 3 --images nowhere", capsys)
    assert "in the gallery already" in refused("add g --features gallery.npz", capsys)
    assert "made with net 1, as it says itself" in refused(
        "add g --features query.npz --embedder another", capsys
    )
    save_features(folder / "unnamed.npz", np.eye(16), {"camera": np.arange(16)})
    assert "made with another" in refused("add g --features unnamed.npz --embedder another", capsys)
    save_features(folder / "of2.npz", np.eye(16), {"camera": np.arange(16)}, embedder="net 2")
    assert main(["gallery", "add", "g", "--features", "of2.npz", "--embedder", "net 1"]) == 2
    assert "made with net 2, as it says itself, and not with net 1" in capsys.readouterr().err
    assert "--model is for --image" in refused("search g --item image3 --model x", capsys)
    assert "--embedder is for --features" in refused("search g --item image3 --embedder x", capsys)
    assert "top is 0" in refused("explain g --item image3 --method k-reciprocal --top 0", capsys)
    assert "gallery.npz: not text" in refused("remove g --list gallery.npz", capsys)
    assert "one of the three" in refused("search g", capsys)
    assert "needs --model" in refused("search g --image x.png", capsys)
    assert "'nobody' is not in the gallery" in refused("search g --item nobody", capsys)
    assert "no items" in refused("remove g", capsys)
    assert "not a gallery" in refused("info .", capsys)
    assert "one threshold for all queries has no meaning" in refused(
        "calibrate g --query query.npz --method k-reciprocal", capsys
    )
    queries = load_vectors("query.npz")
    np.savez("other.npz", vectors=queries.vectors)
    assert "made with an embedder that is not named" in refused(
        "search g --features other.npz", capsys
    )
    assert not (folder / "h").exists()


def test_serving_to_others_needs_a_token(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = load_vectors("gallery.npz")
    save_features(folder / "bare.npz", images.vectors, {"item": images.items})
    run("create g --features bare.npz", capsys)
    monkeypatch.delenv("GRAPHREID_TOKEN", raising=False)
    for line, words in (
        ("--host 0.0.0.0", "set GRAPHREID_TOKEN"),
        ("--port 70000", "can't listen"),
        ("--method nothing", "is not known"),
        ("--method ca-jaccard", "needs the camera"),
        ("--body 0", "at least 1"),
        ("--model .", "."),
    ):
        assert main(["serve", "g", *line.split()]) == 2
        assert words in capsys.readouterr().err
    served: list[Any] = []

    def run_it(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        served.extend([server.config.app, *sockets])

    monkeypatch.setattr(uvicorn.Server, "run", run_it)
    assert main(["serve", "g", "--host", "127.0.0.2", "--port", "0"]) == 0
    app, listening = served
    port = listening.getsockname()[1]
    socket.create_connection(("127.0.0.2", port)).close()  # who comes early waits
    listening.close()
    client = TestClient(app)
    for host, status in ((f"127.0.0.2:{port}", 200), ("localhost", 200), ("evil.example", 400)):
        assert client.get("/health", headers={"host": host}).status_code == status
    monkeypatch.setitem(os.environ, "GRAPHREID_TOKEN", "short")
    assert main(["serve", "g"]) == 2
    assert "at least 16" in capsys.readouterr().err
