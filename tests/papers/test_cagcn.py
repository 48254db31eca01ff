from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphreid.methods import METHODS
from graphreid.methods.cagcn.method import CAGCN
from graphreid.options import build
from graphreid.papers.cagcn import RECIPES, sampler_recall
from graphreid.papers.recipe import Recipe
from graphreid.papers.run import run
from tests.papers.cases import bench, write_inputs

TINY = {
    "epochs": 1,
    "layers": 1,
    "width": 8,
    "attention_width": 4,
    "k1": 5,
    "k2": 4,
    "k": 12,
    "links": 3,
    "precision": "fp32",
}


def only(name: str, *rows: str) -> Recipe:
    """A recipe with some of its rows."""
    recipe = RECIPES[name]
    return replace(recipe, rows=tuple(row for row in recipe.rows if row.name in rows))


def test_recall_is_the_share_of_positives_in_the_graphs(tmp_path: Path) -> None:
    inputs = bench(write_inputs(tmp_path / "in"), tmp_path / "work").inputs
    query, gallery = inputs.part("query"), inputs.part("gallery")
    near = np.argsort(
        -(query.features.vectors / np.linalg.norm(query.features.vectors, axis=1, keepdims=True))
        @ (
            gallery.features.vectors
            / np.linalg.norm(gallery.features.vectors, axis=1, keepdims=True)
        ).T,
        axis=1,
    )
    right = query.labels.identity[:, None] == gallery.labels.identity
    wanted = np.mean(
        [right[row, near[row, :7]].sum() / right[row].sum() for row in range(len(right))]
    )
    given = (query.features, query.labels), (gallery.features, gallery.labels)
    assert sampler_recall(build(CAGCN, sampler="plain", k=7), *given) == pytest.approx(wanted)
    assert sampler_recall(build(CAGCN, k1=7, k2=0, k=7), *given) == pytest.approx(wanted)
    assert sampler_recall(build(CAGCN, k1=70, k2=20, k=500), *given) == 1.0


@pytest.mark.skipif("cagcn" not in METHODS, reason="this version has no cagcn")
def test_the_curve_of_lam_begins_at_the_baseline_and_moves(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    results = {
        result.row.name: result
        for result in run(
            only("cagcn/fig3", "baseline", "lam = 0", "lam = 1", "lam = 2"),
            on,
            seeds=1,
            say=lambda line: None,
        )
    }
    base, zero, one, two = (
        results[name].records[0] for name in ("baseline", "lam = 0", "lam = 1", "lam = 2")
    )
    assert zero["metrics"] == base["metrics"]
    assert base["queries"] != one["queries"] != two["queries"]
    assert two["configuration"]["fields"]["CAGCN"]["lam"] == 2.0
    assert sum(file.suffix == ".json" for file in (tmp_path / "work" / "fitted").iterdir()) == 1
    assert two["seed"] == 0


@pytest.mark.skipif("cagcn" not in METHODS, reason="this version has no cagcn")
def test_the_samplers_recall_is_recorded(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    results = {
        result.row.name: result
        for result in run(
            only("cagcn/table3", "baseline", "plain", "HGS"), on, seeds=2, say=lambda line: None
        )
    }
    assert [record["seed"] for record in results["HGS"].records] == [0, 1]
    assert results["HGS"].records[0]["measured"].keys() == {"sampler recall"}
    assert 0 < results["plain"].records[0]["measured"]["sampler recall"] <= 1
    assert results["plain"].records[0]["configuration"]["fields"]["CAGCN"]["sampler"] == "plain", (
        "a row's own option"
    )
    assert results["baseline"].records[0]["measured"] == {}


@pytest.mark.skipif("cagcn" not in METHODS, reason="this version has no cagcn")
def test_re_ranking_after_cagcn_shares_its_fit(tmp_path: Path) -> None:
    on = bench(write_inputs(tmp_path / "in"), tmp_path / "work", given=TINY)
    results = {
        result.row.name: result
        for result in run(only("cagcn/table1", "CAGCN", "CAGCN+RR"), on, seeds=1, say=print)
    }
    alone, both = (results[name].records[0] for name in ("CAGCN", "CAGCN+RR"))
    assert (alone["protocol"]["setting"], both["protocol"]["setting"]) == ("online", "transductive")
    assert both["configuration"]["fields"].keys() == {"CAGCN", "KReciprocal"}
    assert both["configuration"]["fields"]["CAGCN"]["k"] == TINY["k"]
    assert both["cost"]["fit_seconds"] == alone["cost"]["fit_seconds"]
    assert both["queries"] != alone["queries"]
