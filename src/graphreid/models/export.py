"""Exports networks to ONNX and OpenVINO, and compares their vectors with torch's."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from graphreid.atomic_files import whole_file, whole_folder
from graphreid.extras import require
from graphreid.models.extraction import Extractor
from graphreid.seeding import generator

INPUT = "pixels"
OUTPUT = "vectors"
XML = "model.xml"
TOLERANCE = 1e-4
"""Largest difference between entries of unit-length vectors that counts as rounding."""
_BATCHES = (1, 3)

Vectors = Float32[np.ndarray, "b d"]
Pixels = Float32[np.ndarray, "b 3 h w"]


def to_onnx(extractor: Extractor, size: tuple[int, int], path: str | Path) -> None:
    """Write a network as one ONNX file.

    It maps pixels float32 [batch, 3, height, width], RGB in [0, 1], to vectors [batch, d]. Pixel
    normalisation is included, and flip averaging if `extractor` does it.

    Args:
        extractor: the network.
        size: (height, width) of the images.
        path: x.onnx.

    Raises:
        ValueError: packages are missing, torch can't export the network, or the file can't be
            written.
    """
    require("export", "writing ONNX", "onnx", "onnxscript")
    extractor = extractor.cpu().eval()
    # two images: a batch of one would be taken for a constant
    example = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter about its own parts
            program: Any = torch.onnx.export(
                extractor,
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(
            f"torch can't write this network as ONNX: {str(error).splitlines()[0]}"
        ) from None
    notes = {
        "pixels": f"RGB in [0, 1], resized ({extractor.resample}, with antialiasing) to height x "
        f"width",
        "resample": extractor.resample,
        "height": str(size[0]),
        "width": str(size[1]),
        "vectors": "not normalised; compare by cosine",
        "flip_average": str(extractor.flip_average).lower(),
    }
    program.model.metadata_props.update(notes)
    with whole_file(path) as temporary:
        program.save(temporary, external_data=False)


def to_openvino(onnx: str | Path, folder: str | Path) -> None:
    """Convert an ONNX file to OpenVINO: FOLDER/model.xml and model.bin, with float32 weights.

    Raises:
        ValueError: the package is missing, or the folder exists or can't be written.
    """
    require("export", "writing OpenVINO", "openvino")
    import openvino  # noqa: PLC0415  # takes seconds

    with whole_folder(folder) as temporary:
        openvino.save_model(
            openvino.convert_model(str(onnx)), temporary / XML, compress_to_fp16=False
        )


def onnx_vectors(path: str | Path, pixels: Pixels) -> Vectors:
    """Compute vectors by ONNX Runtime on the CPU."""
    require("export", "running ONNX", "onnxruntime")
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: pixels})[0], np.float32)


def openvino_vectors(
    folder: str | Path, pixels: Pixels, *, precision: str | None = "f32"
) -> Vectors:
    """Compute vectors by OpenVINO on the CPU.

    Args:
        folder: written by `to_openvino`.
        pixels: as in `to_onnx`.
        precision: "f32" or "bf16"; None for OpenVINO's own choice, which is bf16 on processors with
            instructions for it.
    """
    require("export", "running OpenVINO", "openvino")
    import openvino  # noqa: PLC0415

    hint = {} if precision is None else {"INFERENCE_PRECISION_HINT": precision}
    compiled: Any = openvino.Core().compile_model(str(Path(folder, XML)), "CPU", hint)
    return np.asarray(compiled(pixels)[0], np.float32)


def parity_images(size: tuple[int, int]) -> list[Pixels]:
    """Synthetic test images, batches of one and of three: noise on colour gradients; always the
    same ones.
    """
    height, width = size
    rows = np.linspace(0, 1, height)[:, None]
    columns = np.linspace(0, 1, width)[None]
    batches: list[Pixels] = []
    for batch in _BATCHES:
        draw = generator(0, batch)
        slope = draw.uniform(-1, 1, (2, batch, 3, 1, 1))
        smooth = 0.5 + 0.4 * (slope[0] * (rows - 0.5) + slope[1] * (columns - 0.5))
        batches.append(
            np.clip(smooth + draw.normal(0, 0.15, (batch, 3, height, width)), 0, 1).astype(
                np.float32
            )
        )
    return batches


def torch_vectors(extractor: Extractor, pixels: Pixels) -> Vectors:
    """Compute vectors by torch on the CPU, in float32."""
    with torch.inference_mode():
        return extractor.cpu().eval()(torch.from_numpy(pixels)).float().numpy()


def max_difference(some: Vectors, others: Vectors) -> float:
    """The largest absolute difference between entries of normalised vectors; infinite with NaN."""
    units = [
        vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        for vectors in (some, others)
    ]
    largest = float(np.abs(units[0] - units[1]).max())
    return largest if np.isfinite(largest) else np.inf
