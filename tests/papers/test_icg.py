"""ICG's tables on a small rendered set, with networks that are hardly trained."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from graphreid.cli import main
from graphreid.methods import METHODS
from graphreid.papers import figures, measures, part_figures
from graphreid.papers.inputs import load_inputs
from graphreid.papers.measures import MEASURES, Trained
from graphreid.papers.paper import TABLES
from graphreid.papers.store import Store
from graphreid.papers.table import Filled, fill
from graphreid.synthetic.render import Settings, render

SMALL = {
    "epochs": 1,
    "channels": "[8,8,16,16]",
    "map_width": 8,
    "graph_widths": "[8]",
    "structure_width": 12,
    "batch_identities": 4,
    "batch_images": 2,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of some tables."""
    folder = tmp_path_factory.mktemp("icg")
    settings = Settings(
        difficulty="easy",
        identities=8,
        test_identities=8,
        images_per_identity=6,
        cameras=2,
        distractors=0,
        junk=0,
    )
    render(folder / "data", settings)
    words = [word for key, value in SMALL.items() for word in ("--train-set", f"{key}={value}")]
    where = [
        "--data",
        str(folder / "data"),
        "--work",
        str(folder / "work"),
        "--results",
        str(folder / "results"),
        "--seeds",
        "1",
    ]
    assert (
        main(["papers", "reproduce", "icg/table5", "icg/fig10", "icg/fig13", *where, *words]) == 0
    )
    return folder


def run_of(made: Path, name: str) -> Path:
    return next(
        path for path in (made / "work").glob(f"{name}-*") if (path / "model.safetensors").is_file()
    )


def test_what_is_trained_is_trained_once(made: Path) -> None:
    runs = {
        path.name.partition("-")[0]
        for path in (made / "work").iterdir()
        if (path / "model.safetensors").is_file()
    }
    assert runs == {"bot", "icg"}


def filled(made: Path, name: str) -> Filled:
    """A table with its numbers."""
    store = Store.read(made / "results")
    return fill(TABLES[name], store.made["data", name], store)


def test_the_table_of_overlaps(made: Path) -> None:
    ours = filled(made, "icg/table5")["rows"][0]["ours"]
    assert tuple(ours["measured"]) == MEASURES["overlaps"].columns
    assert all(0 <= value <= 1 for value in ours["measured"].values())
    assert ours["method"].startswith("parts:")
    assert [each["seed"] for each in ours["seeds"]] == [0]
    run = Store.read(made / "results").runs[ours["seeds"][0]["run"]]
    assert run["method"].startswith("parts:fixed=3,parts=5,width=8")
    assert run["measured"] == ours["measured"]
    assert json.loads(run["embeddings"])["embedder"] == "icg"
    page = (made / "results" / "data" / "icg" / "table5.md").read_text()
    assert "clusters, head" in page
    assert "--train-set epochs=1" in page  # the command shown makes the page again
    assert "fig13.png" in (made / "results" / "data" / "icg" / "fig13.md").read_text()
    other = filled(made, "icg/fig13")
    assert other["measured"] == []
    assert other["rows"][0]["ours"]["seeds"][0]["run"] == run.key, "the same run, shown without it"


def test_cost(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "SECONDS", 0)
    inputs = load_inputs(trained(made, ICG="icg")["ICG"].embeddings, "data")
    bot, icg = (
        measures.cost(METHODS["cosine"](), inputs, each)
        for each in trained(made, BoT="bot", ICG="icg").values()
    )
    assert tuple(bot) == MEASURES["cost"].columns
    assert bot["parameters, M"] < icg["parameters, M"]
    assert 0 < bot["multiply-adds, G"] < icg["multiply-adds, G"]


def trained(made: Path, **kinds: str) -> dict[str, Trained]:
    runs = {row: run_of(made, kind) for row, kind in kinds.items()}
    return {
        row: Trained(run, made / "data", made / "work" / f"{run.name}-embeddings")
        for row, run in runs.items()
    }


@pytest.mark.parametrize("name", ["fig7", "fig8", "fig11", "fig12", "fig14"])
def test_pictures(made: Path, tmp_path: Path, name: str) -> None:
    from PIL import Image

    assert (
        part_figures.draw(TABLES[f"icg/{name}"], trained(made, ICG="icg"), tmp_path / "x.png")
        is None
    )
    with Image.open(tmp_path / "x.png") as picture:
        assert min(picture.size) > 100


def test_the_map_has_a_panel_of_each(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(vectors: np.ndarray, **_: object) -> np.ndarray:
        return vectors[:, :2].astype(np.float64)

    # a map's layout has tests of its own, and takes its time
    monkeypatch.setattr(figures.embedding_map, "tsne_layout", flat)
    monkeypatch.setattr(
        figures.embedding_map,
        "sample_images",
        partial(figures.embedding_map.sample_images, identities=5),
    )
    assert (
        part_figures.draw(
            TABLES["icg/fig9"], trained(made, BoT="bot", ICG="icg"), tmp_path / "x.svg"
        )
        is None
    )
    drawn = (tmp_path / "x.svg").read_text()
    assert ">BoT<" in drawn
    assert ">ICG<" in drawn


def test_a_map_of_too_few_identities_is_left_out_and_not_the_rest(
    made: Path, tmp_path: Path
) -> None:
    why = part_figures.draw(TABLES["icg/fig9"], trained(made, ICG="icg"), tmp_path / "x.svg")
    assert (why or "").startswith("There is no map: it takes 20")
    assert not (tmp_path / "x.svg").exists()


def test_ranked_lists(made: Path) -> None:
    assert (made / "results" / "data" / "icg" / "fig10.svg").is_file()
    assert filled(made, "icg/fig10")["lists"]


def test_embeddings_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = next((made / "work").glob("icg-*-embeddings"))
    where = ["--work", str(tmp_path / "w"), "--results", str(tmp_path)]
    assert main(["papers", "reproduce", "icg/table5", "--data", str(folder), *where]) == 2
    assert "these rows train their own networks, from images" in capsys.readouterr().err


def test_the_page_of_a_run(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(made, "icg")
    page = tmp_path / "parts.html"
    assert (
        main(["parts", str(run), "--data", str(made / "data"), "--out", str(page), "--images", "5"])
        == 0
    )
    assert "intersection over union of the clusters" in capsys.readouterr().out
    text = page.read_text()
    assert text.count("<img") == 5
    assert "Against the ground truth" in text
    assert (
        main(["parts", str(run_of(made, "bot")), "--data", str(made / "data"), "--out", str(page)])
        == 2
    )
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("graphreid: ")
