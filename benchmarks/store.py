"""Benchmark of a gallery on disk: how fast it takes and finds images, and what a kill costs it.

python -m benchmarks.store speed    100,000 images of width 512; writes records/store.json
python -m benchmarks.store kill     20 times kill -9 at a random moment: every image whose
                                    addition was acknowledged must be there
python -m benchmarks.store load     a service on this machine, searched while images are added
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cyclopts
import httpx2
import numpy as np
from numpy.typing import NDArray

from benchmarks import record
from benchmarks.generate import BLOCK, Embeddings, Part, Shape, part
from benchmarks.run import RECORDS
from graphreid import peak_memory as memory
from graphreid.gallery import Gallery
from graphreid.methods import CAGCN
from graphreid.methods.spec import parse
from graphreid.options import build
from graphreid.papers.provenance import code, environment
from graphreid.resources import Resources
from graphreid.store import GalleryConfig, PersistentGallery, online_method
from graphreid.types import Features, Labels

app = cyclopts.App(help=__doc__)
FIRST = 5
"""Answers that are not counted."""
ADDER = """
import sys, numpy as np
from graphreid.store import PersistentGallery
from graphreid.types import Features
opened, name = PersistentGallery(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
step = 0
while True:
    items = np.array([f"{name}-{step}-{row}" for row in range(20)])
    vectors = np.random.default_rng(step).standard_normal((20, 64)).astype(np.float32)
    opened.add(Features(vectors, items))
    print(f"added {step}", flush=True)
    if step % 25 == 24: opened.save_index()
    step += 1
"""


@app.command
def speed(
    *,
    gallery: int = 100_000,
    width: int = 512,
    queries: int = 300,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Measure on one core, and write a record."""
    resources, load = Resources(threads=1), os.getloadavg()[0]
    query, images = (
        _vectors(gallery, width, queries, seed, which) for which in ("query", "gallery")
    )
    items = np.array([f"i{row}" for row in range(gallery)])
    made: dict[str, Any] = {
        "gallery": gallery,
        "width": width,
        "queries": queries,
        "seed": seed,
        "load": load,
    }
    with tempfile.TemporaryDirectory() as folder:
        opened = PersistentGallery.create(
            Path(folder, "g"), GalleryConfig(width), resources=resources
        )
        first = gallery - 1000
        start = time.perf_counter()
        for begin in range(0, first, 10_000):
            rows = slice(begin, min(begin + 10_000, first))
            opened.add(Features(images[0][rows], items[rows]))
        made["add_per_second_in_batches"] = first / (time.perf_counter() - start)
        made["lists_built_seconds"] = _seconds(opened.save_index)
        made["one_by_one"] = _one_by_one(opened, images[0], items, first)
        opened.save_index()
        made["opened_with_lists_seconds"] = _seconds(lambda: _fresh(opened.folder, resources))
        made["removed_100_with_lists_seconds"] = _seconds(lambda: _without(opened, items[:100]))
        cagcn = _fitted(width, seed, Path(folder, "cagcn.safetensors"))
        made["methods"] = {
            name: _answers(opened, text, query[0], resources)
            for name, text in (
                ("cosine", "cosine"),
                ("k-reciprocal", "k-reciprocal"),
                ("cagcn", cagcn),
            )
        }
        made["peak_mb"] = memory.peak() / 2**20
    made |= {
        "code": code(),
        "environment": environment(resources),
    }
    record.write(made, out or RECORDS / "store.json")
    print(
        json.dumps(
            {key: value for key, value in made.items() if key not in ("code", "environment")},
            indent=1,
        )
    )


@app.command
def kill(*, times: int = 20, seed: int = 0) -> None:
    """Kill a process at random moments of adding, and look for what it said it had added."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        place = PersistentGallery.create(
            Path(folder, "g"), GalleryConfig(64, k=10, margin=5)
        ).folder
        held = 0
        for time_ in range(times):
            command = [sys.executable, "-c", ADDER, str(place), f"run{time_}"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as adder:
                assert adder.stdout is not None
                adder.stdout.readline()
                # in the midst of an add, or, every fourth time, of making the lists
                lists = time_ % 4 == 3
                said = [
                    adder.stdout.readline()
                    for _ in range(25 if lists else int(rng.integers(0, 25)))
                ]
                time.sleep(float(rng.uniform(0, 1.0 if lists else 0.02)))
                os.kill(adder.pid, signal.SIGKILL)
                said += adder.stdout.readlines()
            steps = sum(line.startswith("added ") and line.endswith("\n") for line in said)
            snapshot = PersistentGallery(place).snapshot()
            there = (
                set() if snapshot.gallery is None else set(snapshot.gallery.features.items.tolist())
            )
            lost = {
                f"run{time_}-{step}-{row}" for step in range(steps) for row in range(20)
            } - there
            grown = len(snapshot) - held
            held = len(snapshot)
            torn = grown not in (20 * steps, 20 * (steps + 1))
            wrong = snapshot.gallery is not None and _differs(snapshot.gallery)
            right = f"whole adds {not torn}, lists right {not wrong}"
            print(
                f"kill {time_ + 1}: {steps} adds acknowledged, {len(lost)} images lost, {right}",
                flush=True,
            )
            if lost or torn or wrong:
                raise SystemExit(1)


@app.command
def load(
    *,
    gallery: int = 10_000,
    width: int = 256,
    seconds: float = 20,
    method: str = "cosine",
    seed: int = 0,
) -> None:
    """Search a service from two threads while a third adds to it."""
    query, images = (
        _vectors(gallery, width, 200, seed, which)[0] for which in ("query", "gallery")
    )
    with tempfile.TemporaryDirectory() as folder:
        opened = PersistentGallery.create(Path(folder, "g"), GalleryConfig(width))
        opened.add(Features(images, np.array([f"i{row}" for row in range(gallery)])))
        opened.save_index()
        serve = [sys.executable, "-c", "from graphreid.cli import main; main()", "serve"]
        command = [*serve, str(opened.folder), "--port", "0", "--method", method]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split(" at ")[1].split()[0]
            try:
                print(_loaded(address, query, seconds))
            finally:
                server.send_signal(signal.SIGINT)
                server.wait()


def _loaded(address: str, query: NDArray[np.float32], seconds: float) -> str:
    times: dict[str, list[float]] = {"search": [], "add": []}
    wrong: list[str] = []
    _until(address)
    end = time.monotonic() + seconds

    def ask(kind: str, send: Callable[[httpx2.Client, int], httpx2.Response], pause: float) -> None:
        with httpx2.Client(base_url=address, timeout=60) as client:
            step = 0
            while time.monotonic() < end:
                start = time.perf_counter()
                response = send(client, step)
                times[kind].append(time.perf_counter() - start)
                if response.status_code >= 300:
                    wrong.append(response.text)
                step += 1
                time.sleep(pause)

    def search(client: httpx2.Client, step: int) -> httpx2.Response:
        return client.post("/search", json={"vector": query[step % len(query)].tolist(), "top": 10})

    def add(client: httpx2.Client, step: int) -> httpx2.Response:
        vector = query[step % len(query)] + np.float32(0.01)
        return client.post(
            "/items", json={"items": [{"item": f"new{step}", "vector": vector.tolist()}]}
        )

    threads = [threading.Thread(target=ask, args=("search", search, 0.0)) for _ in range(2)]
    threads.append(threading.Thread(target=ask, args=("add", add, 0.1)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = (
        httpx2.get(f"{address}metrics").text.split("\ngraphreid_peak_memory_bytes ")[1].split()[0]
    )
    said = [f"{kind}: {len(each)}, {_quantiles(each)}" for kind, each in times.items()]
    return "\n".join(
        [
            *said,
            f"peak memory {int(peak) / 2**20:.0f} MB",
            f"refused or failed: {len(wrong)} {wrong[:1]}",
        ]
    )


def _until(address: str) -> None:
    """Wait for the service to answer."""
    for _ in range(600):
        try:
            httpx2.get(f"{address}health")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the service does not answer")


def _vectors(
    gallery: int, width: int, queries: int, seed: int, which: Any
) -> tuple[NDArray[np.float32], Part]:
    shape = Shape(
        queries + FIRST,
        gallery,
        gallery,
        max(gallery // 25, 1),
        6,
        width=width,
        rank=min(160, width),
    )
    rows = part(shape, seed, which)
    embeddings = Embeddings(shape, seed, which, rows)
    return np.concatenate(
        [embeddings.block(start) for start in range(0, len(rows.identity), BLOCK)]
    ), rows


def _one_by_one(
    opened: PersistentGallery, vectors: NDArray[np.float32], items: Any, first: int
) -> dict[str, Any]:
    """Add images one at a time: until it is acknowledged, and until the lists hold it."""
    added: list[float] = []
    listed: list[float] = []
    for row in range(first, first + 50):
        one = slice(row, row + 1)
        added.append(_seconds(lambda one=one: opened.add(Features(vectors[one], items[one]))))
        listed.append(_seconds(lambda: opened.snapshot().searchable().neighbors(opened.config.k)))
    return {"acknowledged": _quantiles(added), "then_listed": _quantiles(listed)}


def _answers(
    opened: PersistentGallery, text: str, query: NDArray[np.float32], resources: Resources
) -> dict[str, str]:
    """Seconds from a vector to all distances of the gallery as it is."""
    method = online_method(parse(text), text)
    times: list[float] = []
    for row in range(len(query)):
        one_query = Features(query[row : row + 1])
        times.append(
            _seconds(lambda one_query=one_query: _asked(opened, method, one_query, resources))
        )
    return {"first": f"{times[0]:.3f} s", "then": _quantiles(times[FIRST:])}


def _asked(opened: PersistentGallery, method: Any, query: Features, resources: Resources) -> None:
    for _ in method.distances(query, opened.snapshot().searchable(), resources=resources):
        pass


def _fitted(width: int, seed: int, file: Path) -> str:
    """A CAGCN of full size, fitted for a moment: what it learned is not what is measured."""
    from graphreid.methods.persistence import save  # noqa: PLC0415

    vectors, rows = _vectors(600, width, 1, seed, "gallery")
    save(
        build(CAGCN, epochs=1, width=min(256, width)).fit(
            Features(vectors), Labels(rows.identity, rows.camera)
        ),
        file,
    )
    return str(file)


def _fresh(folder: Path, resources: Resources) -> None:
    PersistentGallery(folder, resources=resources).snapshot().searchable().neighbors(50)


def _without(opened: PersistentGallery, items: Any) -> None:
    opened.remove(items)
    opened.snapshot().searchable().neighbors(50)


def _differs(gallery: Gallery) -> bool:
    near, want = gallery.neighbors(10), Gallery(gallery.features).neighbors(10)
    return not np.allclose(near.distance, want.distance, atol=1e-6)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _quantiles(times: list[float]) -> str:
    middle, late = np.percentile(np.array(times) * 1e3, (50, 99))
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms"


if __name__ == "__main__":
    app()
