import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from graphreid.cli import main
from graphreid.features.features_file import load_columns, load_features
from tests.cli.test_train import data  # noqa: F401  # pyright: ignore[reportUnusedImport]  # a fixture
from tests.models.checkpoints import states
from tests.models.checkpoints.test_tensors import Calls
from tests.references import layouts as plain

SIZE = ("--height", "66", "--width", "34")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def imported(file: Path, layout: str, out: Path, *more: str) -> int:
    return main(["import-checkpoint", str(file), "--layout", layout, "--out", str(out), *more])


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "w.pth")
    return folder / "w.pth"


@pytest.mark.parametrize(
    ("layout", "state", "nest", "forward"),
    [
        ("bot", states.bot, None, plain.bot),
        ("torchreid", states.torchreid, "state_dict", plain.torchreid),
        ("fast-reid", states.fast_reid, "model", plain.fast_reid),
        ("layumi", states.layumi, None, None),
    ],
)
def test_the_run_embeds_as_the_published_network(
    data: Path,  # noqa: F811
    run: Path,
    tmp_path: Path,
    layout: str,
    state: Any,
    nest: str | None,
    forward: Any,
) -> None:
    torch.manual_seed(0)
    weights = state()
    named = (
        {f"module.{name}": value for name, value in weights.items()}
        if nest == "state_dict"
        else weights
    )
    file = saved(tmp_path, {nest: named, "epoch": 60, "rank1": np.float32(0.9)} if nest else named)
    assert imported(file, layout, run, *SIZE) == 0
    assert sorted(path.name for path in run.iterdir()) == [
        "config.json",
        "identities.json",
        "model.safetensors",
    ]
    out = tmp_path / "query.npz"
    assert (
        main(
            [
                "embed",
                "--data",
                str(data),
                "--model",
                str(run),
                "--split",
                "query",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    features, _ = load_features(out)
    paths = [data / path for path in load_columns(out)["path"].tolist()]
    # as each toolkit's test code resizes
    way = (
        Image.Resampling.BICUBIC if layout in ("fast-reid", "layumi") else Image.Resampling.BILINEAR
    )
    pixels = [np.asarray(Image.open(path).resize((34, 66), way)) / 255 for path in paths]
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    if forward is None:  # layumi's own test averages with the mirror image
        wanted = (plain.layumi(weights, batch) + plain.layumi(weights, batch.flip(3))) / 2
    else:
        wanted = forward(weights, batch)
    np.testing.assert_allclose(
        features.vectors, wanted.numpy(), rtol=1e-3, atol=1e-3 * float(wanted.abs().max())
    )
    assert not load_columns(out)["seen"].any()


def test_the_report_and_the_config(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = states.fast_reid("0.x", ibn=True, power=2.5)
    assert (
        imported(saved(tmp_path, {"model": state}), "fast-reid", run, "--stem-pool", "padded") == 0
    )
    out = capsys.readouterr().out
    for line in (
        "w.pth: fast-reid 0.x, resnet50_ibn_a",
        f"matched: {len(state) - 1} (backbone {len(state) - 9}, heads 6, pixel_mean 1, pixel_std "
        f"1)",
        "not needed for vectors: heads.classifier.*, heads.weight, heads.cls_layer.*",
        "missing in the file: nothing",
        "of no use in the network: nothing",
        "assumed: last-stride 1, the toolkit's own (--last-stride)",
        "assumed: height 256, and width 128; its SBS models take 384 x 128",
        "whom it was trained on is not known",
        "run: complete; 80 entries a vector",
    ):
        assert line in out
    assert "assumed: stem-pool" not in out
    config = json.loads((run / "config.json").read_text())
    wanted = {
        "layout": "fast-reid",
        "backbone": "resnet50_ibn_a",
        "stem_relu": True,
        "stem_pool": "padded",
        "pooling": "gem",
        "gem_power": 2.5,
        "pixel_scale": 255,
        "pixel_mean": [120, 110, 100],
        "feature": "after",
        "flip_average": False,
    }
    assert config["fields"] | wanted == config["fields"]
    assert config["source"]["file"] == "w.pth"
    assert config["matched"] == {"loaded": len(state) - 1, "missing": [], "unused": []}


def test_whom_it_was_trained_on(data: Path, run: Path, tmp_path: Path) -> None:  # noqa: F811
    assert (
        imported(saved(tmp_path, states.bot()), "bot", run, *SIZE, "--trained-on", str(data)) == 0
    )
    for split in ("train", "query"):
        out = tmp_path / f"{split}.npz"
        assert (
            main(
                [
                    "embed",
                    "--data",
                    str(data),
                    "--model",
                    str(run),
                    "--split",
                    split,
                    "--out",
                    str(out),
                ]
            )
            == 0
        )
        columns = load_columns(out)
        assert columns["seen"][columns["role"] == "normal"].all() == (split == "train")


def test_a_partial_match(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = states.bot()
    del state["base.layer1.0.conv1.weight"]
    state["extra.weight"] = torch.zeros(1)
    file = saved(tmp_path, state)
    assert imported(file, "bot", run) == 2
    told = capsys.readouterr()
    assert (
        "1 missing (base.layer1.0.conv1.weight), 1 unused (extra.weight); load what matches with "
        "--allow-partial" in told.err
    )
    assert len(told.err.splitlines()) == 1
    assert "missing in the file: 1\n  base.layer1.0.conv1.weight\n" in told.out
    assert "of no use in the network: 1\n  extra.weight\n" in told.out
    assert not run.exists()
    assert imported(file, "bot", run, "--allow-partial") == 0
    assert json.loads((run / "config.json").read_text())["matched"]["missing"] == [
        "base.layer1.0.conv1.weight"
    ]
    assert imported(file, "bot", tmp_path / "again", "--allow-partial") == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_bad_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(file: Path, layout: str, *more: str) -> str:
        assert imported(file, layout, run, *more) == 2
        assert not run.exists()
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert "Traceback" not in error
        return error

    marker = tmp_path / "marker"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    assert "do not load this file" in refused(
        saved(tmp_path, {"model": states.bot(), "x": Calls(builtins.eval, code)}), "bot"
    )
    assert not marker.exists()
    assert "state_dict()" in refused(saved(tmp_path, nn.Linear(2, 2)), "bot")
    file = saved(tmp_path, states.fast_reid())
    assert "are not those of bot but of fast-reid: choose --layout fast-reid" in refused(
        file, "bot"
    )
    assert "needs both --height and --width" in refused(file, "fast-reid", "--height", "384")
    assert "--gem-power is -1.0" in refused(file, "fast-reid", "--gem-power", "-1")
    assert "manifest.parquet: no such file" in refused(
        file, "fast-reid", "--trained-on", str(tmp_path)
    )
    file.write_bytes(file.read_bytes()[:-5000])
    assert "cut short" in refused(file, "fast-reid")
    assert "no such file" in refused(tmp_path / "none.pth", "fast-reid")


def test_a_folder_that_is_there_stays_as_it_is(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.mkdir()
    (run / "mine.txt").write_text("mine")
    assert imported(saved(tmp_path, states.bot()), "bot", run) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["mine.txt"]
