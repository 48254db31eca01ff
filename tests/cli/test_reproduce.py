import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphreid.cli import embedding, main
from graphreid.methods import METHODS
from graphreid.papers.paper import TABLES
from graphreid.papers.store import Run, Store
from graphreid.papers.table import applied
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
    """Tables of methods that take no time."""
    monkeypatch.setitem(METHODS, "sharpened", Sharpened)
    for table in (TABLE, LEARNED):
        monkeypatch.setitem(TABLES, table.id, table)
    Sharpened.fits.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_inputs(tmp_path / "trifles")


def reproduce(tmp_path: Path, *words: str | Path) -> int:
    where = ["--work", str(tmp_path / "work"), "--results", str(tmp_path / "out")]
    return main(["papers", "reproduce", *map(str, words), *where, "--threads", "1"])


def runs_of(tmp_path: Path) -> list[Run]:
    return list(Store.read(tmp_path / "out").runs.values())


def test_the_list_shows_every_id_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["papers", "list"]) == 0
    printed = capsys.readouterr().out
    for name in TABLES:
        assert name in printed
    assert f"{len(TABLES)} tables and figures" in printed
    assert "there is no method 'nonesuch' here" not in printed
    assert "without nonesuch" in " ".join(printed.split())


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
        assert f"graphreid papers reproduce toys/{name} --data DIR --name trifles --seeds 2" in text
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
    runs = runs_of(tmp_path)
    assert {run["fit"] for run in runs} == {None, "sharpened:keep=0.5,lam=1.0,seed=0"}
    assert {run["protocol"]["camera"] for run in runs} == {"keep"}
    text = (tmp_path / "out" / "trifles" / "toys" / "fig1.md").read_text()
    assert "--set keep=0.5 --rule no-camera" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no table was named"),
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
        "papers",
        "reproduce",
        *(word.format(folder=folder) for word in words),
        "--work",
        str(tmp_path / "w"),
        "--results",
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
    words = [
        "--data",
        str(data),
        "--work",
        str(tmp_path / "work"),
        "--results",
        str(tmp_path / "out"),
    ]
    assert "icg/table5: it needs part masks" in refused(
        ["papers", "reproduce", "icg/table5", *words], capsys
    )
    wrong = [*words, "--train-set", "epoch=1"]
    assert "--train-set epoch=1: no such setting of bot or icg" in refused(
        ["papers", "reproduce", "icg/table1", *wrong], capsys
    )
    assert "--model would do nothing" in refused(
        ["papers", "reproduce", "icg/table1", *words, "--model", "run"], capsys
    )
    assert "--set and --preset would do nothing" in refused(
        ["papers", "reproduce", "icg/table1", *words, "--preset", "paper"], capsys
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
    runs = runs_of(tmp_path)
    fitted = next(run for run in runs if run["fit"])
    embeddings = json.loads(fitted["embeddings"])
    assert embeddings["embedder"] == "bot"
    assert embeddings["identities"] == {"backbone": 4, "fit": 2, "validation": 2}
    assert fitted["sets"]["fit"]["seen"] == 0
    assert not any(str(tmp_path) in str(run.columns) for run in runs)

    assert (
        reproduce(
            tmp_path, "toys/fig1", "--data", data, "--model", run, "--seeds", "1", "--name", "mine"
        )
        == 0
    )
    assert len(asked) == 2, "a run of one's own is not trained again"
    assert {run.key for run in runs_of(tmp_path)} == {run.key for run in runs}
    split = json.loads((run / "identities.json").read_text())
    (run / "identities.json").write_text(json.dumps({**split, "held_out": False}))
    capsys.readouterr()
    words = [
        "papers",
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
    whole = TABLES["cagcn/table3"]
    monkeypatch.setitem(TABLES, whole.id, replace(whole, rows=whole.rows[:3], claims=()))
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
    runs = runs_of(tmp_path)
    assert {run["data"] for run in runs} == {"market1501"}
    query, gallery = (runs[0]["sets"][part] for part in ("query", "gallery"))
    assert (query["images"], gallery["images"], gallery["junk"]) == (8, 20, 4)
    counts = json.loads(runs[0]["embeddings"])["identities"]
    assert counts == {"backbone": 12, "fit": 2, "validation": 2}
    model = next((tmp_path / "work").glob("market1501-small/model.safetensors"))
    before = model.stat().st_mtime_ns
    capsys.readouterr()
    assert reproduce(tmp_path, *words) == 0
    assert "are there already" in capsys.readouterr().out
    assert model.stat().st_mtime_ns == before
    assert "choose one of" in refused(
        ["papers", "reproduce", "cagcn/table3", "--data", str(tree), "--from", "market"], capsys
    )


@pytest.fixture
def made(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A store with a table; its folder."""
    assert reproduce(tmp_path, "toys/table1", "--data", folder) == 0
    capsys.readouterr()
    return str(tmp_path / "out")


def test_runs_are_listed_and_compared(
    made: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["papers", "runs", "--results", made]) == 0
    printed = capsys.readouterr().out
    runs = {applied(run): run for run in runs_of(tmp_path) if run["chosen"] is None}
    for run in runs.values():
        assert run.key in printed
        assert f"{run['metrics']['mAP']:.3f}" in printed
    base, other = runs["cosine"], runs["k-reciprocal:k1=6,k2=2"]
    compare = ["papers", "runs", "--results", made, "--compare", base.key]
    assert main([*compare, other.key[:8]]) == 0
    printed = capsys.readouterr().out
    assert f"mAP: {other.ap.mean() - base.ap.mean():+.4f} [" in printed
    assert "transductive" in printed, "what differs is shown"
    assert "numpy" not in printed, "what is alike is not"
    assert "begins the keys of 0 runs" in refused([*compare, "zz"], capsys)
    assert "begins the keys of 3 runs" in refused([*compare, ""], capsys)
    assert "no runs.parquet" in refused(["papers", "runs", "--results", str(folder)], capsys)
    write_inputs(folder, query={"camera": np.zeros(24, int)})
    assert reproduce(tmp_path, "toys/table1", "--data", folder, "--name", "others") == 0
    third = next(run for run in runs_of(tmp_path) if run["data"] == "others")
    capsys.readouterr()
    assert main([*compare, third.key]) == 0
    assert "no paired difference" in capsys.readouterr().out


def test_a_table_is_shown_in_every_format(
    made: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = ["papers", "show", "toys/table1", "--results", made]
    assert main(show) == 0
    assert capsys.readouterr().out == (Path(made) / "trifles" / "toys" / "table1.md").read_text()
    assert main([*show, "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("row,method,fit,setting,paper_percent market1501 mAP")
    assert main([*show, "--format", "latex", "--name", "trifles"]) == 0
    assert "\\begin{tabular}" in capsys.readouterr().out
    assert main([*show, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "toys/table1"
    assert "was not made on x: choose one of trifles" in refused([*show, "--name", "x"], capsys)
    assert "'toys/fig1' was not made" in refused([*show[:2], "toys/fig1", *show[3:]], capsys)
    assert reproduce(tmp_path, "toys/table1", "--data", folder, "--name", "others") == 0
    assert "was made on others, trifles: choose one" in refused(show, capsys)


def test_claims_and_pages_are_made_of_the_store(
    made: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["papers", "claims", "toys", "--results", made]) == 0
    assert "the missing one is best" in " ".join(capsys.readouterr().out.split())
    assert main(["papers", "claims", "cagcn", "--results", made]) == 0
    assert "missing" not in capsys.readouterr().out
    page = Path(made) / "trifles" / "toys" / "table1.md"
    before = page.read_text()
    page.unlink()
    assert main(["papers", "pages", "--results", made]) == 0
    assert page.read_text() == before


def test_former_commands_are_accepted_with_a_notice(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main(["reproduce", "toys/table1", "--data", str(folder), *where]) == 0
    assert capsys.readouterr().err == "graphreid: 'reproduce' is 'papers reproduce' now\n"
    assert main(["runs", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert told.err == "graphreid: 'runs' is 'papers runs' now\n"
    assert runs_of(tmp_path)[0].key in told.out
    assert main(["reproduce", "--list"]) == 0
    assert "cagcn/table1" in capsys.readouterr().out
