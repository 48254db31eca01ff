"""`graphreid export`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from graphreid.atomic_files import whole_file, whole_folder
from graphreid.extras import require
from graphreid.models import load_embedder
from graphreid.models.checkpoints.imported import ImportedEmbedder
from graphreid.models.export import (
    TOLERANCE,
    Pixels,
    Vectors,
    max_difference,
    onnx_vectors,
    openvino_vectors,
    parity_images,
    to_onnx,
    to_openvino,
    torch_vectors,
)
from graphreid.models.extraction import Extractor
from graphreid.training.run_folder import MODEL, is_complete, read_config


def export(
    run: Annotated[Path, Parameter(help="a run's folder")],
    /,
    *,
    onnx: Annotated[Path, Parameter(help="the ONNX file, x.onnx")],
    openvino: Annotated[
        Path | None, Parameter(help="a new folder for OpenVINO's model.xml and model.bin")
    ] = None,
    flip: Annotated[
        bool | None,
        Parameter(help="average with the mirror image's vector; if not given, as the run says"),
    ] = None,
    tolerance: Annotated[
        float,
        Parameter(
            help="largest difference to torch, of an entry of vectors at unit length, that is let "
            "pass"
        ),
    ] = TOLERANCE,
) -> None:
    """Write a run's network as ONNX, and as OpenVINO if wanted, and check its vectors against
    torch's.

    The network takes pixels float32 [batch, 3, height, width], RGB in [0, 1], and gives vectors
    [batch, d], which are not normalised. Nothing is written where the check fails.
    """
    require("export", "--onnx", "onnx", "onnxscript", "onnxruntime")
    if openvino is not None:
        require("export", "--openvino", "openvino")
    read_config(run)
    if not is_complete(run):
        raise ValueError(
            f"{run}: its training has not ended: go on with the same 'graphreid train' command"
        )
    if not tolerance > 0:
        raise ValueError(f"--tolerance is {tolerance}: it must be positive")
    embedder = load_embedder(run / MODEL)
    network, size = embedder.fitted()
    flips = embedder.flip_average if flip is None else flip
    extractor = Extractor(
        network,
        flip_average=flips,
        resample=embedder.resample if isinstance(embedder, ImportedEmbedder) else "bilinear",
    )
    batches = parity_images(size)
    wanted = [torch_vectors(extractor, pixels) for pixels in batches]

    def check(vectors: Callable[[Pixels], Vectors]) -> float:
        return max(
            max_difference(vectors(pixels), want)
            for pixels, want in zip(batches, wanted, strict=True)
        )

    # both come to their places when the checks are passed
    with whole_file(onnx) as made:
        to_onnx(extractor, size, made)
        _pass(onnx, check(lambda pixels: onnx_vectors(made, pixels)), tolerance)
        if openvino is not None:
            with whole_folder(openvino) as folder:
                to_openvino(made, folder)
                _pass(openvino, check(lambda pixels: openvino_vectors(folder, pixels)), tolerance)
                own = check(lambda pixels: openvino_vectors(folder, pixels, precision=None))
            if own > tolerance:
                print(
                    f"  {own:.1e} at the precision that OpenVINO chooses here: ask it for "
                    f"INFERENCE_PRECISION_HINT f32"
                )
    print(f"{onnx}: images of {size[0]} x {size[1]} pixels, {wanted[0].shape[1]} entries a vector")


def _pass(where: Path, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        raise ValueError(
            f"{where}: its vectors differ from torch's by {difference:.1e}, more than --tolerance "
            f"{tolerance:.0e}: not written"
        )
    print(
        f"{where}: max abs difference to torch {difference:.1e}, of vectors at unit length "
        f"(tolerance {tolerance:.0e})"
    )
