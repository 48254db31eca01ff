from pathlib import Path

import numpy as np
import pytest
import torch

from graphreid.cli import main
from graphreid.models import build, load_embedder, save_embedder
from graphreid.models import export as files
from graphreid.models.backbones import BNNeck, backbone
from graphreid.models.extraction import Extractor
from graphreid.models.pixel_training import Trained
from graphreid.training.run_folder import MODEL, IdentitySplit, open_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of a very small network."""
    return make_run(tmp_path / "run")


def make_run(folder: Path) -> Path:
    torch.manual_seed(0)
    size, channels = (32, 16), (8, 8, 8, 16)
    options = {"backbone": "resnet10t", "channels": channels}
    embedder = build("bot", options | {"height": size[0], "width": size[1]})
    network = BNNeck(backbone("resnet10t", height=size[0], width=size[1], channels=channels), 2)
    embedder.trained_ = Trained(network.eval(), size)
    open_run(folder, {"embedder": "bot"}, IdentitySplit((), (), (), held_out=False))
    save_embedder(embedder, folder / MODEL)
    return folder


def test_export_with_its_parity_check(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx, openvino = tmp_path / "x.onnx", tmp_path / "ov"
    assert (
        main(["export", str(run), "--onnx", str(onnx), "--openvino", str(openvino), "--flip"]) == 0
    )
    told = capsys.readouterr().out
    assert told.count("max abs difference to torch") == 2
    assert "x.onnx: images of 32 x 16 pixels, 16 entries a vector" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ov", "run", "x.onnx"]
    network, size = load_embedder(run / MODEL).fitted()
    for flip, near in ((True, True), (False, False)):
        extractor = Extractor(network, flip_average=flip)
        pixels = files.parity_images(size)[1][:, :, :, : size[1]] * np.linspace(
            0.2, 1, size[1], dtype=np.float32
        )
        for made in (files.onnx_vectors(onnx, pixels), files.openvino_vectors(openvino, pixels)):
            assert (
                files.max_difference(made, files.torch_vectors(extractor, pixels)) < 1e-5
            ) == near


def test_nothing_is_written_where_the_check_fails(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphreid.cli import export as command

    def write(extractor: Extractor, size: tuple[int, int], path: Path) -> None:
        path.write_bytes(b"")

    def rough(path: Path, pixels: files.Pixels) -> files.Vectors:
        return np.ones((len(pixels), 16), np.float32)

    monkeypatch.setattr(command, "to_onnx", write)
    monkeypatch.setattr(command, "onnx_vectors", rough)
    assert main(["export", str(run), "--onnx", str(tmp_path / "x.onnx")]) == 2
    error = capsys.readouterr().err
    assert "its vectors differ from torch's by" in error
    assert "not written" in error
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--onnx", "{tmp}/none/x.onnx"), "does the folder exist"),
        (("--onnx", "{tmp}"), "is a folder"),
        (("--onnx", "{tmp}/x.onnx", "--tolerance", "0"), "--tolerance is 0.0"),
    ],
)
def test_what_is_refused(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert (
        main(["export", str(run), *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert main(["export", str(tmp_path), "--onnx", str(tmp_path / "x.onnx")]) == 2
    assert "no training run" in capsys.readouterr().err
    (run / MODEL).unlink()
    assert main(["export", str(run), "--onnx", str(tmp_path / "x.onnx")]) == 2
    assert "its training has not ended" in capsys.readouterr().err
