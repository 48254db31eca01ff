import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from graphreid.models import export
from graphreid.models.checkpoints.architectures import Architecture, ToolkitNetwork
from graphreid.models.extraction import Extractor

SIZE = (32, 16)


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    """All that an export could get wrong in one network: norms, stem, non-local blocks, pooling."""
    torch.manual_seed(0)
    anatomy = Architecture(
        backbone="resnet18_ibn_a",
        channels=(8, 8, 8, 16),
        stem_pool="ceil",
        nonlocal_blocks=(0, 1, 0, 0),
        pooling="gem",
        pixel_scale=255,
        pixel_mean=(123.675, 116.28, 103.53),
        pixel_std=(58.395, 57.12, 57.375),
    )
    return Extractor(ToolkitNetwork(anatomy), flip_average=False).eval()


def test_onnx_and_openvino_make_the_same_vectors(extractor: Extractor, tmp_path: Path) -> None:
    export.to_onnx(extractor, SIZE, tmp_path / "x.onnx")
    export.to_openvino(tmp_path / "x.onnx", tmp_path / "ov")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ov", "x.onnx"]
    assert sorted(path.name for path in (tmp_path / "ov").iterdir()) == ["model.bin", "model.xml"]
    for pixels in export.parity_images(SIZE):
        wanted = export.torch_vectors(extractor, pixels)
        assert (
            export.max_difference(export.onnx_vectors(tmp_path / "x.onnx", pixels), wanted) < 1e-5
        )
        assert (
            export.max_difference(export.openvino_vectors(tmp_path / "ov", pixels), wanted) < 1e-5
        )
        assert (
            export.max_difference(export.torch_vectors(extractor, pixels[:, ::-1].copy()), wanted)
            > 1e-3
        )
    import onnx

    notes = {note.key: note.value for note in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert (notes["height"], notes["width"], notes["flip_average"]) == ("32", "16", "false")


def test_apart_is_of_unit_vectors_and_sees_nan() -> None:
    vectors = np.array([[3.0, 4.0]], np.float32)
    assert export.max_difference(vectors, 10 * vectors) < 1e-7
    assert export.max_difference(vectors, vectors[:, ::-1].copy()) == pytest.approx(0.2)
    assert export.max_difference(vectors, np.full_like(vectors, np.nan)) == np.inf


def test_parity_pixels_are_images_and_always_the_same() -> None:
    batches = export.parity_images(SIZE)
    assert [pixels.shape for pixels in batches] == [(1, 3, *SIZE), (3, 3, *SIZE)]
    assert all(pixels.min() >= 0 and pixels.max() <= 1 and pixels.std() > 0.1 for pixels in batches)
    assert all(
        np.array_equal(one, other)
        for one, other in zip(batches, export.parity_images(SIZE), strict=True)
    )


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime", "openvino"])
def test_a_missing_package_is_named(
    extractor: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    calls = {
        "onnxruntime": lambda: export.onnx_vectors(
            tmp_path / "x.onnx", export.parity_images(SIZE)[0]
        ),
        "openvino": lambda: export.to_openvino(tmp_path / "x.onnx", tmp_path / "ov"),
    }
    with pytest.raises(ValueError, match=rf"needs {package}: pip install 'graphreid\[export\]'"):
        calls.get(package, lambda: export.to_onnx(extractor, SIZE, tmp_path / "x.onnx"))()


def test_importing_it_needs_none_of_them() -> None:
    code = (
        "import sys, graphreid.models.export; sys.exit(any(name in sys.modules for name in "
        "('onnx', 'onnxruntime', 'openvino')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
