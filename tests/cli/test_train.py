import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from graphreid.cli import main
from graphreid.cli.embedding import contents
from graphreid.datasets.manifest import Manifest, write_manifest
from graphreid.features.features_file import load_columns, load_features
from graphreid.gallery import Gallery
from graphreid.methods.hrnet.method import HRNet
from graphreid.methods.spec import parse
from graphreid.models import BoT, load_embedder
from graphreid.training import loop as training
from tests.models.test_bot import draw

SMALL = (
    "--set",
    "channels=[8,8,16,16]",
    "--set",
    "batch_identities=3",
    "--set",
    "batch_images=2",
    "--set",
    "precision=fp32",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight train identities, two test ones; a junk and a distractor image."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    images, labels = draw(folder / "images", identities=10, count=4)
    identity = labels.identity.astype(str)
    split = np.where(
        labels.identity < 18, "train", np.where(np.arange(40) % 4 == 0, "query", "gallery")
    )
    role = np.full(40, "normal", dtype="<U10")
    role[[0, 5]] = "junk", "distractor"
    manifest = Manifest(
        root=folder,
        item=images.items,
        path=np.array([f"images/{path.name}" for path in images.paths]),
        identity=identity,
        camera=np.array(["left", "right"])[np.arange(40) % 2],
        split=split,
        role=role,
        extra={"track": np.arange(40)},
    )
    write_manifest(manifest, folder)
    return folder


def run(command: str, **options: str | Path | int | float) -> int:
    words = [
        word
        for key, value in options.items()
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    return main([command, *words])


def train(data: Path, out: Path, *more: str) -> int:
    return main(["train", "--data", str(data), "--out", str(out), "--epochs", "2", *SMALL, *more])


def test_train_and_embed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    assert train(data, out, "--holdout-identities", "0.5", "--no-flip") == 0
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "identities.json",
        "model.safetensors",
        "checkpoint",
        "log.jsonl",
    }
    assert re.search(r"2 epochs in \d+ s in fp32,", capsys.readouterr().out)
    embedder = load_embedder(out / "model.safetensors")
    assert isinstance(embedder, BoT)
    assert embedder.trained.precision == "fp32"
    config = json.loads((out / "config.json").read_text())
    assert (config["preset"], config["holdout_identities"], config["fields"]["flip"]) == (
        "small",
        0.5,
        False,
    )
    split = json.loads((out / "identities.json").read_text())
    assert [len(split[name]) for name in ("backbone", "fit", "validation")] == [4, 2, 2]

    counts = {"train": 32, "fit": 8, "validation": 8, "query": 2, "gallery": 6}
    for name, count in counts.items():
        file = tmp_path / f"{name}.npz"
        assert run("embed", data=data, model=out, split=name, out=file) == 0
        columns = load_columns(file)
        features, labels = load_features(file)
        assert features.vectors.shape[1] == 16
        if name not in ("fit", "validation"):
            assert len(features) == count
        else:
            assert set(columns["identity"].tolist()) == set(split[name])
            assert (columns["role"] == "normal").all()
        assert (columns["seen"] == np.isin(columns["identity"], split["backbone"])).all()
        assert set(columns) == {"identity", "camera", "item", "path", "role", "track", "seen"}
        assert all((data / path).is_file() for path in columns["path"].tolist())
        assert set(columns["camera"].tolist()) <= {"left", "right"}
        assert len(labels) == len(features)
    order = load_columns(tmp_path / "train.npz")["item"].tolist()
    assert order == sorted(order)
    assert "warning" not in capsys.readouterr().err

    again = tmp_path / "again.npz"
    assert run("embed", data=data, model=out, split="query", out=again) == 0
    assert again.read_bytes() == (tmp_path / "query.npz").read_bytes()
    assert (
        main(
            ["embed", "--flip", *f"--data {data} --model {out} --split query --out {again}".split()]
        )
        == 0
    )
    assert again.read_bytes() != (tmp_path / "query.npz").read_bytes()


def test_without_a_holdout_fit_is_seen_and_warned_of(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert train(data, out) == 0
    assert run("embed", data=data, model=out, split="fit", out=tmp_path / "fit.npz") == 0
    assert "warning: the run kept no identities away" in capsys.readouterr().err
    assert load_columns(tmp_path / "fit.npz")["seen"].all()


def test_the_same_command_goes_on_and_ends_the_same(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(data, whole) == 0
    original, calls = training.whole_file, [0]

    def interrupted(path: Path):
        calls[0] += path.name == "state.pt"
        if calls[0] == 2:
            raise KeyboardInterrupt
        return original(path)

    monkeypatch.setattr(training, "whole_file", interrupted)
    assert train(data, broken) == 130
    assert not (broken / "model.safetensors").exists()
    assert run("embed", data=data, model=broken, split="query", out=tmp_path / "q.npz") == 2
    assert "training has not ended" in capsys.readouterr().err
    monkeypatch.undo()
    assert train(data, broken) == 0
    assert "going on" in capsys.readouterr().out
    one, two = load_file(whole / "model.safetensors"), load_file(broken / "model.safetensors")
    assert all(np.array_equal(one[name], two[name]) for name in one)
    written = (broken / "model.safetensors").stat().st_mtime_ns
    assert train(data, broken) == 0
    assert "complete; nothing to do" in capsys.readouterr().out
    assert (broken / "model.safetensors").stat().st_mtime_ns == written


def test_other_settings_on_a_run_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert train(data, out) == 0
    assert train(data, out, "--no-flip") == 2
    assert (
        "holds a run with other settings (fields.flip was True, is False" in capsys.readouterr().err
    )


def test_other_images_of_the_same_names_are_another_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert train(data, tmp_path / "run") == 0
    before = contents(data)
    image, other = data / "images" / "2_1.png", data / "images" / "3_1.png"
    image.write_bytes(other.read_bytes())
    assert contents(data) != before
    assert train(data, tmp_path / "run") == 2
    assert "data.digest was" in capsys.readouterr().err


def test_an_unreadable_image(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (data / "images" / "2_1.png").write_bytes(b"nothing")
    (data / "images" / "9_1.png").write_bytes(b"nothing")
    out = tmp_path / "run"
    assert train(data, out) == 2
    assert "2_1.png: not a readable image" in capsys.readouterr().err
    assert train(data, tmp_path / "skipped", "--on-error", "skip") == 0
    assert "1 images could not be read and were left out" in capsys.readouterr().out
    gallery = {
        "data": data,
        "model": tmp_path / "skipped",
        "split": "gallery",
        "out": tmp_path / "g.npz",
    }
    assert run("embed", **gallery) == 2
    assert "9_1.png" in capsys.readouterr().err
    assert not (tmp_path / "g.npz").exists()
    assert run("embed", **gallery, on_error="skip") == 0
    assert "1 of 6 images can't be read and are left out" in capsys.readouterr().out
    assert "9_1" not in load_columns(tmp_path / "g.npz")["item"]


def test_an_interrupted_embedding_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from graphreid.features.writer import FeatureWriter

    out = tmp_path / "run"
    assert train(data, out) == 0
    wanted = {"data": data, "model": out, "split": "train", "batch": 5}
    assert run("embed", **wanted, out=tmp_path / "whole.npz") == 0
    original, calls = FeatureWriter.write, [0]

    def interrupted(self: FeatureWriter, block: np.ndarray) -> None:
        calls[0] += 1
        if calls[0] == 4:
            raise KeyboardInterrupt
        original(self, block)

    monkeypatch.setattr(FeatureWriter, "write", interrupted)
    assert run("embed", **wanted, out=tmp_path / "broken.npz") == 130
    monkeypatch.undo()
    assert run("embed", **wanted, out=tmp_path / "broken.npz") == 0
    assert "going on after 15 of 32 images" in capsys.readouterr().out
    assert (tmp_path / "broken.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "nonsense=1"), "has no setting 'nonsense'"),
        (("--set", "rate"), "write KEY=VALUE"),
        (("--set", "rate=fast"), "rate is 'fast': it must be"),
        (("--set", "batch_identities=9"), "a batch wants 9 identities"),
        (("--holdout-identities", "0.1"), "holdout of 0.1 of 8 identities is 1"),
        (("--seed", "-1"), "seed is -1"),
        (
            ("--model", "hrnet", "--preset", "ffgnn"),
            "hrnet has no preset ffgnn: it has small, paper, hrnet",
        ),
        (("--weights", "none.pth"), "none.pth: no such file"),
        (("--memory", "1x"), "memory is '1x'"),
    ],
)
def test_what_is_refused(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
):
    assert train(data, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (
        tmp_path / "run"
    ).exists()  # so that the command that is mended does not find a run with other settings


def test_an_embedding_of_what_is_no_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("embed", data=data, model=tmp_path, split="query", out=tmp_path / "q.npz") == 2
    assert "no training run" in capsys.readouterr().err


def test_hrnet_is_trained_with_its_graphs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out, twice = tmp_path / "run", tmp_path / "twice"
    more = (
        "--model",
        "hrnet",
        "--set",
        "k=4",
        "--set",
        "nodes=8",
        "--set",
        "layers=1",
        "--no-flip",
    )
    assert train(data, out, *more) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["embedder"] == "hrnet"
    assert config["graphs"]["k"] == 4
    assert config["fields"]["neck"] is False
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert {"identity", "triplet", "individual", "constraint", "pairwise"} <= set(lines[0])
    graphs = parse(str(out / "hrnet.safetensors"))
    assert isinstance(graphs, HRNet)
    assert graphs.record_["images"] == 30
    assert graphs.record_["precision"] == "fp32"
    # interrupted after an epoch, it goes on to the same network and graphs
    with pytest.MonkeyPatch.context() as patch:
        closed = training._State.close  # pyright: ignore[reportPrivateUsage]

        def stop(self: training._State, record: dict[str, int | float]) -> None:  # pyright: ignore[reportPrivateUsage]
            closed(self, record)
            raise ValueError("stopped")

        patch.setattr(training._State, "close", stop)  # pyright: ignore[reportPrivateUsage]
        assert train(data, twice, *more) != 0
    assert not (twice / "hrnet.safetensors").exists()
    assert train(data, twice, *more) == 0
    for name in ("model.safetensors", "hrnet.safetensors"):
        one, other = load_file(out / name), load_file(twice / name)
        assert all((one[key] == other[key]).all() for key in one)
    capsys.readouterr()
    assert train(data, out, *more[:-1], "--set", "k=5") != 0
    assert "graphs.k was 4, is 5" in capsys.readouterr().err
    # its vectors are those before the batch norm, and the graphs take them
    for split in ("query", "gallery"):
        assert run("embed", data=data, model=out, split=split, out=tmp_path / f"{split}.npz") == 0
    query, gallery = (load_features(tmp_path / f"{split}.npz")[0] for split in ("query", "gallery"))
    assert (query.vectors >= 0).all()
    assert np.isfinite(next(iter(graphs.distances(query, Gallery(gallery)))).distance).all()


def test_the_paper_presets_of_hrnet_are_the_papers(tmp_path: Path):
    from graphreid.models.hrnet import SETTINGS, split_settings

    graphs, left = split_settings("paper", {"k": 12, "rate": 1.0, "constraint": 0.2})
    assert left == {"rate": 1.0}
    assert (graphs.graphs.k, graphs.losses.constraint) == (12, 0.2)
    assert (graphs.network.attention, graphs.network.readout) == ("all", "linear")
    paper = SETTINGS["paper"]
    assert (
        paper["batch_identities"],
        paper["batch_images"],
        paper["epochs"],
        paper["milestones"],
    ) == (11, 6, 200, (40, 120))
    with pytest.raises(ValueError, match="k is 0"):
        split_settings("small", {"k": 0})
