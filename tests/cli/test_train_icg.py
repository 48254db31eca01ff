"""`graphreid train --model icg`, `embed`, and what follows."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from graphreid.cli import main
from graphreid.features.features_file import load_columns, load_features
from graphreid.methods import Parts
from graphreid.methods.spec import parse
from graphreid.training import loop as training
from tests.cli.test_train import data, run, train  # noqa: F401  # pyright: ignore[reportUnusedImport]

MORE = (
    *(
        "--model",
        "icg",
        "--no-flip",
        "--set",
        "map_width=8",
        "--set",
        "graph_widths=[8]",
        "--set",
        "structure_width=12",
    ),
    *("--set", "parts=4", "--set", "every=2"),
)


def test_train_embed_and_rank(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # noqa: F811
    out = tmp_path / "run"
    assert train(data, out, *MORE) == 0
    assert {path.name for path in (out / "labels").iterdir()} == {"0000.npz"}
    config = json.loads((out / "config.json").read_text())
    assert (config["embedder"], config["preset"], config["fields"]["parts"]) == ("icg", "small", 4)
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert {"parts", "structure", "clustering", "labelling", "unclustered"} <= set(first)
    method = parse(str(out / "parts.safetensors"))
    assert isinstance(method, Parts)
    assert (method.parts, method.width, method.fixed) == (3, 8, 3)
    assert "images/s" in capsys.readouterr().out
    for split in ("query", "gallery"):
        for ending in (".npz", ""):
            assert (
                run(
                    "embed",
                    data=data,
                    model=out,
                    split=split,
                    out=tmp_path / f"{split}{ending}",
                    batch=4,
                )
                == 0
            )
        features, columns = (
            load_features(tmp_path / f"{split}.npz")[0],
            load_columns(tmp_path / f"{split}.npz"),
        )
        assert features.vectors.shape[1] == (8 + 16) + 8 + 12 + 3 * 8
        assert (
            columns["visibility"] == (features.vectors[:, -24:].reshape(-1, 3, 8) != 0).any(2)
        ).all()
        np.testing.assert_array_equal(
            load_columns(tmp_path / split)["visibility"], columns["visibility"]
        )
    methods = [
        "cosine",
        str(out / "parts.safetensors"),
        f"{out / 'parts.safetensors'}+k-reciprocal:k1=3,k2=2",
        "aqe:n=2",
    ]
    words = [word for each in methods for word in ("--method", each)]
    where = ["--query", str(tmp_path / "query.npz"), "--gallery", str(tmp_path / "gallery.npz")]
    assert main(["evaluate", *where, *words, "--json", str(tmp_path / "r.json")]) == 0, (
        capsys.readouterr().err
    )
    scores = json.loads((tmp_path / "r.json").read_text())["methods"]
    assert len(scores) == 4
    assert all(0 < score["mAP"] <= 1 for score in scores.values())


def test_the_same_command_goes_on_and_ends_the_same(
    data: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(data, whole, *MORE) == 0
    original, calls = training.whole_file, [0]

    def interrupted(path: Path):
        calls[0] += path.name == "state.pt"
        if calls[0] == 2:
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(training, "whole_file", interrupted)
    assert train(data, broken, *MORE) == 130
    assert not (broken / "parts.safetensors").exists()
    monkeypatch.undo()
    assert train(data, broken, *MORE) == 0
    for name in ("model.safetensors", "parts.safetensors"):
        one, two = load_file(whole / name), load_file(broken / name)
        assert all(np.array_equal(one[key], two[key]) for key in one)


def test_without_parts(data: Path, tmp_path: Path):  # noqa: F811
    out = tmp_path / "run"
    assert train(data, out, *MORE, "--set", "clustering=false", "--set", "structure=false") == 0
    assert not (out / "labels").exists()
    method = parse(str(out / "parts.safetensors"))
    assert isinstance(method, Parts)
    assert (method.parts, method.fixed) == (0, 2)
    assert run("embed", data=data, model=out, split="query", out=tmp_path / "q.npz") == 0
    assert "visibility" not in load_columns(tmp_path / "q.npz")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--preset", "ffgnn"), "icg has no preset ffgnn: it has paper, small"),
        (("--set", "parts=2"), "parts is 2"),
        (("--set", "begin=top"), "begin is 'top'"),
    ],
)
def test_what_is_refused(
    data: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
):
    assert train(data, tmp_path / "run", *MORE, *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
