"""How many images a second a network turns into vectors: eager, bf16, compiled, ONNX Runtime,
OpenVINO, in one table.

python -m benchmarks.extraction --out benchmarks/records/extraction.json

writes a record, of which python -m benchmarks.table makes results/extraction.md.

Pixels are in memory already; reading and resizing images is not counted. The rate is a batch's size
over the median time of a batch, after one that is not counted; a way's vectors are compared with
eager float32 ones.
"""

import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch

from graphreid.atomic_files import whole_file
from graphreid.models.backbones import BNNeck, backbone, channels_last
from graphreid.models.export import (
    INPUT,
    XML,
    Pixels,
    Vectors,
    max_difference,
    parity_images,
    to_onnx,
    to_openvino,
)
from graphreid.models.extraction import Extractor
from graphreid.papers.provenance import code, environment
from graphreid.resources import Resources

RECORD = Path(__file__).parent / "records" / "extraction.json"

Run = Callable[[Pixels], Vectors]
Ways = Iterator[tuple[str, Callable[[], Run]]]

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def extraction(
    *,
    out: Path | None = None,
    network: str = "resnet50",
    height: int = 256,
    width: int = 128,
    batch: int = 32,
    batches: int = 20,
    threads: int = 2,
    only: list[str] | None = None,
) -> None:
    """Measure, print, and write a record.

    Args:
        out: x.json; x.md stands beside it.
        network: a backbone of the image-model library, random weights, last stride 1, with BNNeck.
        height: of the images in pixels.
        width: of the images in pixels.
        batch: images in a batch.
        batches: timed ones for each way.
        threads: processor threads of each.
        only: ways to measure, by a part of their names.
    """
    if min(batch, batches, threads) < 1:
        raise ValueError("--batch, --batches and --threads must be at least 1")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    base = BNNeck(backbone(network, height=height, width=width), 2)
    extractor = channels_last(Extractor(base, flip_average=False).eval())
    # the parity images, as many as a batch takes
    three = parity_images((height, width))[1]
    pixels = np.ascontiguousarray(np.tile(three, (-(-batch // len(three)), 1, 1, 1))[:batch])
    wanted = _eager(extractor, None)(pixels)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in _ways(extractor, (height, width), threads, Path(folder)):
            if only and not any(part in name for part in only):
                continue
            rows.append(_measure(name, make, pixels, wanted, batches))
            print(_row(rows[-1], rows[0]), flush=True)
    record = {
        "what": "extraction speed",
        "network": {
            "name": network,
            "last_stride": 1,
            "height": height,
            "width": width,
            "flip_average": False,
        },
        "batch": batch,
        "batches": batches,
        "threads": threads,
        "load_average": os.getloadavg()[0],
        "environment": environment(Resources(threads=threads)) | _versions(),
        "code": code(),
        "ways": rows,
    }
    if out is not None:
        _write(out, record)


def _ways(extractor: Extractor, size: tuple[int, int], threads: int, folder: Path) -> Ways:
    """Each way to run the network: its name, and what makes it ready."""
    yield "torch, eager, float32", lambda: _eager(extractor, None)
    yield "torch, eager, bf16", lambda: _eager(extractor, torch.bfloat16)
    if shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++"):
        yield "torch, compiled, float32", lambda: _compiled(extractor, None)
        yield "torch, compiled, bf16", lambda: _compiled(extractor, torch.bfloat16)
    else:
        print("no C++ compiler (g++ or clang++): torch.compile is left out")
    onnx = folder / "x.onnx"
    yield "ONNX Runtime, float32", lambda: _onnx(extractor, size, onnx, threads)
    yield "OpenVINO, float32", lambda: _openvino(extractor, size, onnx, threads, "f32")
    yield "OpenVINO, bf16", lambda: _openvino(extractor, size, onnx, threads, "bf16")


def _eager(network: Callable[..., torch.Tensor], kind: torch.dtype | None) -> Run:
    def run(pixels: Pixels) -> Vectors:
        with torch.inference_mode(), torch.autocast("cpu", kind, enabled=kind is not None):
            return network(torch.from_numpy(pixels)).float().numpy()

    return run


def _compiled(extractor: Extractor, kind: torch.dtype | None) -> Run:
    torch.compiler.reset()
    return _eager(torch.compile(extractor), kind)


def _onnx(extractor: Extractor, size: tuple[int, int], path: Path, threads: int) -> Run:
    import onnxruntime  # noqa: PLC0415  # only this way needs it

    _exported(extractor, size, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(None, {INPUT: pixels})[0], np.float32)


def _openvino(
    extractor: Extractor, size: tuple[int, int], path: Path, threads: int, precision: str
) -> Run:
    import openvino  # noqa: PLC0415

    folder = path.parent / "openvino"
    if not folder.exists():
        _exported(extractor, size, path)
        to_openvino(path, folder)
    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    compiled: Any = openvino.Core().compile_model(str(folder / XML), "CPU", hints)
    return lambda pixels: np.asarray(compiled(pixels)[0], np.float32)


def _exported(extractor: Extractor, size: tuple[int, int], path: Path) -> None:
    if not path.exists():
        to_onnx(extractor, size, path)
        channels_last(extractor)


def _measure(
    name: str, make: Callable[[], Run], pixels: Pixels, wanted: Vectors, batches: int
) -> dict[str, Any]:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of compilers about themselves
        run = make()
        vectors = run(pixels)
    ready = time.perf_counter() - start
    seconds: list[float] = []
    for _ in range(batches):
        start = time.perf_counter()
        run(pixels)
        seconds.append(time.perf_counter() - start)
    return {
        "name": name,
        "images_per_second": len(pixels) / statistics.median(seconds),
        "slowest": len(pixels) / max(seconds),
        "fastest": len(pixels) / min(seconds),
        "seconds_until_ready": ready,
        "difference": max_difference(vectors, wanted),
        "batch_seconds": [round(value, 4) for value in seconds],
    }


def _versions() -> dict[str, str]:
    import importlib.metadata as installed  # noqa: PLC0415

    return {name: installed.version(name) for name in ("timm", "onnx", "onnxruntime", "openvino")}


def _row(row: dict[str, Any], first: dict[str, Any]) -> str:
    rate = row["images_per_second"]
    return (
        f"| {row['name']} | {rate:.1f} | {row['slowest']:.1f} to {row['fastest']:.1f} | "
        f"{rate / first['images_per_second']:.2f}"
        f" | {row['seconds_until_ready']:.0f} | {row['difference']:.0e} |"
    )


def table(record: dict[str, Any]) -> str:
    network, environment_, rows = record["network"], record["environment"], record["ways"]
    options = (
        f"--network {network['name']} --height {network['height']} --width "
        f"{network['width']} --batch {record['batch']}"
    )
    lines = [
        "# Extraction speed",
        "",
        f"`python -m benchmarks.extraction {options} --batches {record['batches']} --threads "
        f"{record['threads']}"
        " --out benchmarks/records/extraction.json`",
        "",
        f"{network['name']} with last stride {network['last_stride']} at {network['height']} x "
        f"{network['width']}, random"
        f" weights, one pass an image (no mirror image); batches of {record['batch']}, "
        f"{record['threads']} threads of"
        f" {environment_.get('processor', 'this machine')}; torch {environment_.get('torch', '')}, "
        f"ONNX Runtime"
        f" {environment_['onnxruntime']}, OpenVINO {environment_['openvino']}; load average "
        f"{record['load_average']:.1f}."
        " Reading and resizing images is not counted.",
        "",
        "| | images/s | slowest to fastest batch | times the first row | s until ready | "
        "difference |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(row, rows[0]) for row in rows),
        "",
        "*images/s* is a batch over the median time of one. *s until ready* is what is made before "
        "the first vectors are there"
        " (compiling, exporting). *difference* is the largest of an entry of vectors at unit "
        "length to eager float32.",
    ]
    return "\n".join(lines) + "\n"


def _write(out: Path, record: dict[str, Any]) -> None:
    with whole_file(out) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


if __name__ == "__main__":
    app()
