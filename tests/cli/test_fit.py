from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphreid.cli import main
from graphreid.features.features_file import save_features
from graphreid.methods import CAGCN, SGGNN
from graphreid.methods.persistence import load
from graphreid.training.precision import trained_in
from tests.support import labelled

QUICK = ("--k1", "10", "--k2", "5", "--k", "20", "--layers", "2", "--width", "8", "--epochs", "2")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for seed, name in ((1, "train"), (2, "validation")):
        _, (features, labels) = labelled(seed, images=90)
        columns: dict[str, Any] = {
            "identity": labels.identity + 50 * seed,
            "camera": labels.camera,
            "item": features.items,
        }
        columns["seen"] = labels.identity < 3
        save_features(tmp_path / f"{name}.npz", features.vectors, columns)
    return {name: str(tmp_path / f"{name}.npz") for name in ("train", "validation")} | {
        "out": str(tmp_path / "m.safetensors")
    }


def test_fit_writes_a_method_and_shows_what_it_is_worth(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    code = main(
        [
            "fit",
            "cagcn:links=4",
            "--train",
            files["train"],
            "--validation",
            files["validation"],
            "--out",
            files["out"],
            *QUICK,
            "--edge-weight",
            "binary",
            "--lam",
            "auto",
        ]
    )
    assert code == 0
    method = load(files["out"])
    assert isinstance(method, CAGCN)
    assert (method.graph.links, method.graph.k1, method.network.layers) == (4, 10, 2)
    assert (method.network.edge_weight, method.lam) == ("binary", "auto")
    assert not Path(files["out"] + ".partial").exists()
    shown = capsys.readouterr()
    for row in (
        "input (cosine)",
        "cagcn",
        "k-reciprocal",
        "calibration error",
        "mAP less the input's",
        "90 images",
    ):
        assert row in shown.out
    assert "trained on the identities of" in shown.err
    seen = method.record_["images_seen_by_the_embedder"]
    assert seen[files["train"]] > 0
    assert seen[files["validation"]] > 0
    assert method.record_["validation"]["queries"] == 90
    assert method.record_["precision"] == trained_in("auto", "cpu"), "what auto was is said"
    assert f"epochs in {method.record_['precision']}" in shown.out
    assert (
        main(
            [
                "evaluate",
                "--query",
                files["validation"],
                "--gallery",
                files["validation"],
                "--method",
                files["out"],
            ]
        )
        == 0
    )


def test_without_a_validation_file_some_identities_are_kept_away(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    given = [
        "fit",
        "sggnn",
        "--train",
        files["train"],
        "--out",
        files["out"],
        "--k",
        "15",
        "--width",
        "8",
        "--epochs",
        "1",
    ]
    assert main([*given, "--validation-share", "0.3"]) == 0
    method = load(files["out"])
    assert isinstance(method, SGGNN)
    assert method.record_["identities"] == 7
    assert main([*given, "--validation-share", "0"]) == 0
    assert load(files["out"]).record_["identities"] == 10  # type: ignore[attr-defined]
    assert "validation" not in load(files["out"]).record_  # type: ignore[attr-defined]
    assert "sggnn" not in capsys.readouterr().out.rpartition("10 identities")[2]


def test_no_gain_is_said_and_can_be_an_exit_code(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    # with lam = 0 the method is its input
    given = ["fit", "cagcn", "--train", files["train"], "--out", files["out"], *QUICK, "--lam", "0"]
    assert main([*given]) == 0
    assert main([*given, "--require-gain"]) == 3
    assert "cagcn is not better than its input on validation identities" in capsys.readouterr().out
    assert Path(files["out"]).exists()


def test_a_preset_is_a_start_that_options_change(files: dict[str, str]):
    given = [
        "fit",
        "cagcn:k=20",
        "--preset",
        "paper",
        "--train",
        files["train"],
        "--out",
        files["out"],
        "--epochs",
        "1",
    ]
    assert main([*given, "--layers", "2"]) == 0
    method = load(files["out"])
    assert isinstance(method, CAGCN)
    assert (method.network.layers, method.network.width, method.graph.k) == (2, None, 20)
    assert (method.training.batch, method.training.calibrate) == (4, False)


def test_a_fit_that_was_interrupted_goes_on(files: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    given = ["fit", "cagcn", "--train", files["train"], *QUICK]
    assert main([*given, "--out", files["out"]]) == 0
    again = files["out"].replace("m.", "again.")
    batches = "graphreid.methods.link_prediction.training.LinkTrainingSet.batches"
    from graphreid.methods.link_prediction.training import LinkTrainingSet

    whole = LinkTrainingSet.batches

    def stopped(self: LinkTrainingSet, epoch: int, size: int) -> list[np.ndarray]:
        if epoch == 1:
            raise KeyboardInterrupt
        return whole(self, epoch, size)

    monkeypatch.setattr(batches, stopped)
    assert main([*given, "--out", again]) == 130
    assert Path(again + ".partial").is_dir()
    monkeypatch.setattr(batches, whole)
    assert main([*given, "--out", again]) == 0
    one, other = load(files["out"]), load(again)
    assert all((one.state_[key] == other.state_[key]).all() for key in one.state_)  # type: ignore[attr-defined]


def test_a_fit_goes_on_with_the_same_validation_images_only(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from graphreid.methods.link_prediction.training import LinkTrainingSet

    whole = LinkTrainingSet.batches

    def stopped(self: LinkTrainingSet, epoch: int, size: int) -> list[np.ndarray]:
        if epoch == 1:
            raise KeyboardInterrupt
        return whole(self, epoch, size)

    given = [
        "fit",
        "cagcn",
        "--train",
        files["train"],
        "--out",
        files["out"],
        *QUICK,
        "--validation",
    ]
    monkeypatch.setattr(LinkTrainingSet, "batches", stopped)
    assert main([*given, files["validation"]]) == 130
    monkeypatch.setattr(LinkTrainingSet, "batches", whole)
    held = dict(np.load(files["validation"]))
    other = files["validation"].replace("validation", "other")
    np.savez(other, **{key: values[:80] for key, values in held.items()})
    capsys.readouterr()
    assert main([*given, other]) == 2
    assert "made with other settings or data: give those, or remove it" in capsys.readouterr().err
    assert main([*given, files["validation"]]) == 0


def test_what_each_half_and_each_distance_is_worth_is_said(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    given = ["--train", files["train"], "--validation", files["validation"], "--out", files["out"]]
    small = [
        "--fa-epochs",
        "1",
        "--epochs",
        "1",
        "--layers",
        "1",
        "--width",
        "8",
        "--k1",
        "10",
        "--k2",
        "3",
        "--queries",
        "16",
    ]
    assert main(["fit", "fa-ec-gcn", *given, *small, "--lam", "0"]) == 0
    assert "mAP of fa-gcn alone: 0." in capsys.readouterr().out
    # all images at once: rounds of 20 epochs, of which the last is cut short
    assert main(["fit", "fa-gcn", *given, "--batch", "none", "--epochs", "25"]) == 0
    printed = capsys.readouterr().out
    assert "mAP by distance: mahalanobis 0." in printed
    assert "25 epochs" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["k-reciprocal"], "no method that learns: choose one of cagcn"),
        (["cagcn", "--layer", "3"], "cagcn has no option layer: it has sampler, k1"),
        (["cagcn", "--layers", "three"], "must be a whole number"),
        (["cagcn", "--preset", "fast"], "cagcn has no preset 'fast': it has paper"),
        (["cagcn", "--validation-share", "0.01"], "at least 2 must be on either side"),
        (["cagcn", "--validation-share", "1"], "less than 1"),
        (
            ["cagcn", "--validation-share", "0", "--require-gain"],
            "--require-gain needs validation identities",
        ),
        (["cagcn", "--validation", "x.npz", "--validation-share", "0.2"], "exclude each other"),
        (["cagcn", "--seed", "-1"], "seed is -1: it must be between 0 and"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_can_not_be_done_is_one_line(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert main(["fit", *arguments, "--train", files["train"], "--out", files["out"]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert main(["fit", "cagcn", "--train", files["train"], "--out", "m.npz"]) == 2
