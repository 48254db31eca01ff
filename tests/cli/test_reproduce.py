import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphreid.cli import embedding, main
from graphreid.methods import METHODS
from graphreid.papers.coverage import COVERAGE, RECIPES, Entry
from graphreid.papers.records import read_records
from tests.cli.test_main import refused
from tests.cli.test_train import data, train
from tests.papers.cases import LEARNED, TABLE, Sharpened, write_inputs

__all__ = ["data"]

TINY = (
    "channels=[8,8,16,16]",
    "batch_identities=3",
    "batch_images=2",
    "precision=fp32",
    "epochs=1",
    "height=32",
    "width=16",
)


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of methods that take no time."""
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    for recipe in (TABLE, LEARNED):
        monkeypatch.setitem(RECIPES, recipe.id, recipe)
        monkeypatch.setitem(COVERAGE, recipe.id, Entry(recipe.title, "none", "embeddings", ()))
    Sharpened.fits.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_inputs(tmp_path / "trifles")


def reproduce(tmp_path: Path, *words: str | Path) -> int:
    return main(
        [
            "reproduce",
            *map(str, words),
            "--work",
            str(tmp_path / "work"),
            "--out",
            str(tmp_path / "out"),
            "--threads",
            "1",
        ]
    )


def test_the_list_shows_every_id_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--list"]) == 0
    printed = capsys.readouterr().out
    for name in COVERAGE:
        assert name in printed
    assert f"{len(COVERAGE)} tables and figures" in printed
    assert "hrnet: not in this version" in printed or "hrnet" in METHODS


def test_from_embeddings_to_tables(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(tmp_path, "toys/table1", "toys/fig1", "--data", folder, "--seeds", "2") == 0
    printed = capsys.readouterr().out
    out = tmp_path / "out"
    for name in ("table1", "fig1"):
        page = out / "trifles" / "toys" / f"{name}.md"
        assert str(page) in printed
        assert page.is_file()
        text = page.read_text()
        assert f"graphreid reproduce toys/{name} --data DIR --name trifles --seeds 2" in text
        assert str(tmp_path) not in text
    assert "headline (seed 1): mAP" in printed
    assert str(out / "trifles" / "README.md") in printed
    assert Sharpened.fits == [0, 1]
    assert reproduce(tmp_path, "toys", "--data", folder, "--seeds", "2") == 0
    again = capsys.readouterr().out
    assert "3 of 3 runs are there already" in again
    assert "5 of 5 runs are there already" in again
    assert Sharpened.fits == [0, 1]


def test_options_of_fitted_methods(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        reproduce(
            tmp_path,
            "toys/fig1",
            "--data",
            folder,
            "--seeds",
            "1",
            "--set",
            "keep=0.5",
            "--rule",
            "no-camera",
        )
        == 0
    )
    records = read_records(tmp_path / "out")
    assert {record["configuration"]["fit"] for record in records} == {
        None,
        "sharpened:keep=0.5,seed=0",
    }
    assert {record["protocol"]["rule_fields"]["camera"] for record in records} == {"keep"}
    text = (tmp_path / "out" / "trifles" / "toys" / "fig1.md").read_text()
    assert "--set keep=0.5 --rule no-camera" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["toys/table1"], "--data is needed"),
        (["toys/table7", "--data", "{folder}"], "no table or figure"),
        (["toys/table1", "--data", "{folder}", "--seeds", "0"], "--seeds is 0"),
        (["toys/table1", "--data", "{folder}/.."], "neither embeddings"),
        (["toys/table1", "--data", "{folder}", "--set", "keep"], "write KEY=VALUE"),
        (["toys/table1", "--data", "{folder}", "--set", "keep=1,seed=2"], "write KEY=VALUE"),
        (["toys/fig1", "--data", "{folder}", "--set", "wings=2"], "wings=2"),
        (["toys/fig1", "--data", "{folder}", "--pictures"], "name no images"),
        (["toys/fig1", "--data", "{folder}", "--model", "run"], "--model would do nothing"),
        (
            ["toys/fig1", "--data", "{folder}", "--train-preset", "paper"],
            "--train-preset would do nothing",
        ),
        (["toys/fig1", "--data", "{folder}", "--no-flip"], "--no-flip would do nothing"),
        (["icg/table1", "--data", "{folder}"], "no data folder"),
        (["icg", "--data", "{folder}"], "too little for any of these tables"),
    ],
)
def test_a_users_error_is_one_line(
    words: list[str], says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "reproduce",
        *(word.format(folder=folder) for word in words),
        "--work",
        str(tmp_path / "w"),
        "--out",
        str(tmp_path / "o"),
    ]
    assert says in refused(given, capsys)


def test_tables_that_the_data_do_not_suffice_for_are_named_first(
    folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(tmp_path, "toys/fig1", "icg/table1", "--data", folder, "--seeds", "1") == 0
    assert capsys.readouterr().out.startswith(
        "icg/table1 is left out: these rows train their own networks, from images"
    )
    words = ["--data", str(data), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert "icg/table5: it needs part masks" in refused(["reproduce", "icg/table5", *words], capsys)
    wrong = [*words, "--train-set", "epoch=1"]
    assert "--train-set epoch=1: no such setting of bot or icg" in refused(
        ["reproduce", "icg/table1", *wrong], capsys
    )
    assert "--model would do nothing" in refused(
        ["reproduce", "icg/table1", *words, "--model", "run"], capsys
    )
    assert "--set and --preset would do nothing" in refused(
        ["reproduce", "icg/table1", *words, "--preset", "paper"], capsys
    )


def test_from_images(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def small(**given: Any) -> None:
        asked.append(given)
        train(
            given["data"],
            given["out"],
            "--holdout-identities",
            str(given["holdout_identities"] * 2),
        )

    monkeypatch.setattr(embedding, "train", small)
    for _ in range(2):
        assert reproduce(tmp_path, "toys/fig1", "--data", data, "--no-flip", "--seeds", "1") == 0
    run = tmp_path / "work" / "data-small-no-flip"
    assert asked[0]["out"] == run
    assert (asked[0]["flip"], asked[0]["holdout_identities"]) == (False, 0.25)
    assert len(list((tmp_path / "work").glob("data-embeddings-*/query.npz"))) == 1
    records = read_records(tmp_path / "out")
    fitted = next(record for record in records if record["configuration"]["fit"])
    assert fitted["embeddings"]["embedder"] == "bot"
    assert fitted["embeddings"]["identities"] == {"backbone": 4, "fit": 2, "validation": 2}
    assert fitted["data"]["parts"]["fit"]["seen"] == 0
    assert str(tmp_path) not in json.dumps(records)

    assert (
        reproduce(
            tmp_path, "toys/fig1", "--data", data, "--model", run, "--seeds", "1", "--name", "mine"
        )
        == 0
    )
    assert len(asked) == 2, "a run of one's own is not trained again"
    assert {record["key"] for record in read_records(tmp_path / "out")} == {
        record["key"] for record in records
    }
    split = json.loads((run / "identities.json").read_text())
    (run / "identities.json").write_text(json.dumps({**split, "held_out": False}))
    capsys.readouterr()
    words = [
        "reproduce",
        "toys/fig1",
        "--data",
        str(data),
        "--model",
        str(run),
        "--work",
        str(tmp_path / "work"),
    ]
    assert "kept no identities away" in refused(words, capsys)


def market(root: Path) -> Path:
    """A tree named and laid out as Market-1501 is published, with tiny images: 16 identities to
    train on, 4 for the test.
    """
    rng = np.random.default_rng(0)
    colour = rng.integers(40, 215, (21, 2, 3))
    parts = {
        "bounding_box_train": range(1, 17),
        "query": range(17, 21),
        "bounding_box_test": [*range(17, 21), 0, -1],
    }
    for part, identities in parts.items():
        (root / part).mkdir(parents=True)
        for identity in identities:
            for camera, shot in (
                ((1, 0), (2, 0)) if part == "query" else ((1, 1), (2, 1), (3, 1), (3, 2))
            ):
                name = f"{identity:04d}" if identity >= 0 else "-1"
                noisy = np.repeat(colour[identity], 16, axis=0)[:, None] + rng.integers(
                    -30, 30, (32, 16, 3)
                )
                file = root / part / f"{name}_c{camera}s1_{shot:06d}_00.jpg"
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file)
    return root


def test_from_a_public_set_as_published_to_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = RECIPES["cagcn/table3"]
    monkeypatch.setitem(RECIPES, whole.id, replace(whole, rows=whole.rows[:3], claims=()))
    tree = market(tmp_path / "Market-1501-v15.09.15")
    tiny = [word for pair in TINY for word in ("--train-set", pair)]
    words = ["cagcn/table3", "--data", tree, "--from", "market1501", *tiny, "--seeds", "1"]
    words += [
        word
        for pair in ("epochs=1", "layers=1", "width=8", "attention_width=4")
        for word in ("--set", pair)
    ]
    assert reproduce(tmp_path, *words) == 0
    text = (tmp_path / "out" / "market1501" / "cagcn" / "table3.md").read_text()
    assert "HGS" in text
    assert "market1501" in text
    records = read_records(tmp_path / "out")
    assert {record["data"]["name"] for record in records} == {"market1501"}
    parts = records[0]["data"]["parts"]
    assert (parts["query"]["images"], parts["gallery"]["images"], parts["gallery"]["junk"]) == (
        8,
        20,
        4,
    )
    assert records[0]["embeddings"]["identities"] == {"backbone": 12, "fit": 2, "validation": 2}
    model = next((tmp_path / "work").glob("market1501-small/model.safetensors"))
    before = model.stat().st_mtime_ns
    capsys.readouterr()
    assert reproduce(tmp_path, *words) == 0
    assert "are there already" in capsys.readouterr().out
    assert model.stat().st_mtime_ns == before
    assert "choose one of" in refused(
        ["reproduce", "cagcn/table3", "--data", str(tree), "--from", "market"], capsys
    )


def test_runs_lists_and_compares(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(tmp_path, "toys/table1", "--data", folder) == 0
    capsys.readouterr()
    out = str(tmp_path / "out")
    assert main(["runs", out]) == 0
    printed = capsys.readouterr().out
    records = {
        record["configuration"]["method"]: record for record in read_records(tmp_path / "out")
    }
    for record in records.values():
        assert record["key"] in printed
        assert f"{record['metrics']['mAP']:.3f}" in printed
    base, other = records["cosine"], records["k-reciprocal:k1=6,k2=2"]
    assert main(["runs", out, "--compare", base["key"], other["key"][:8]]) == 0
    printed = capsys.readouterr().out
    aps = [np.array(record["queries"]["ap"], np.float64) for record in (base, other)]
    assert f"mAP: {np.mean(aps[1]) - np.mean(aps[0]):+.4f} [" in printed
    assert "transductive" in printed, "what differs is shown"
    assert "numpy" not in printed, "what is alike is not"
    assert "begins the keys of 0 records" in refused(
        ["runs", out, "--compare", base["key"], "zz"], capsys
    )
    assert "begins the keys of 3 records" in refused(
        ["runs", out, "--compare", base["key"], ""], capsys
    )
    assert "no run records" in refused(["runs", str(folder)], capsys)
    write_inputs(folder, query={"camera": np.zeros(24, int)})
    assert reproduce(tmp_path, "toys/table1", "--data", folder, "--name", "others") == 0
    third = next(
        record for record in read_records(tmp_path / "out") if record["data"]["name"] == "others"
    )
    capsys.readouterr()
    assert main(["runs", out, "--compare", base["key"], third["key"]]) == 0
    assert "no paired difference" in capsys.readouterr().out
