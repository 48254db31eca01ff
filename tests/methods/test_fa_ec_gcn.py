from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphreid.gallery import Gallery
from graphreid.methods import ECGCN, FAECGCN, FAGCN
from graphreid.methods.fa_ec_gcn import SHARED
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse
from graphreid.options import build, flat_options, with_options
from graphreid.protocols import Explains, GivesScores, Learned, Transforms
from graphreid.resources import Resources
from graphreid.types import Labels
from tests.support import all_distances, labelled

SMALL: dict[str, Any] = {
    "fa_k": 4,
    "fa_epochs": 3,
    "fa_batch": 4,
    "k1": 8,
    "k2": 3,
    "links": 4,
    "layers": 2,
    "width": 8,
    "epochs": 2,
    "precision": "fp32",
}


def data(seed: int) -> tuple[Any, Any]:
    _, train = labelled(seed, images=80)
    _, held = labelled(seed + 1, images=60)
    return train, (held[0], Labels(held[1].identity + 50, held[1].camera))


def test_it_is_fa_gcn_and_then_ec_gcn_on_its_vectors():
    """Eq. 13 from the two methods fitted one after the other by hand."""
    train, held = data(1)
    (query, _), (gallery, _) = labelled(7)
    for distance in ("mahalanobis", "cosine"):
        both = build(FAECGCN, **SMALL, distance=distance, lam=0.7).fit(*train)
        fa = build(FAGCN, k=4, epochs=3, batch=4, distance=distance).fit(*train)
        vectors = fa.transform(train[0], Gallery(train[0]))[1]
        ec = build(
            ECGCN,
            **{
                key: SMALL[key]
                for key in ("k1", "k2", "links", "layers", "width", "epochs", "precision")
            },
            metric=fa.metric,
        )
        ec.fit(vectors, train[1])
        queries, images = fa.transform(query, Gallery(gallery))
        block = next(iter(ec.distances(queries, Gallery(images, metric=fa.metric))))
        assert block.probability is not None
        d = all_distances(fa, query, Gallery(gallery))
        if distance == "mahalanobis":
            low, high = d.min(axis=1, keepdims=True), d.max(axis=1, keepdims=True)
            d = (d - low) / (high - low)
        expected = d + 0.7 * (1 - block.probability)
        np.testing.assert_allclose(
            all_distances(both, query, Gallery(gallery)), expected, rtol=0, atol=1e-5
        )
    assert held is not None


def test_a_fit_says_what_each_half_is_worth(tmp_path: Path):
    train, held = data(1)
    method = build(FAECGCN, **SMALL, lam="auto").fit(*train, validation=held)
    validation = method.record_["validation"]
    assert validation.keys() == {"input", "fa", "mAP", "lam", "best_lam", "queries"}
    assert validation["fa"] == method.record_["fa"]["validation"]["mAP"]
    assert method.record_["ec"]["validation"]["best_lam"] == validation["lam"]
    assert method.unscored_offset == validation["lam"]
    assert method.record_["fa"]["validation"]["mAP_of_distance"].keys() == {
        "mahalanobis",
        "euclidean",
        "cosine",
    }
    save(method, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert isinstance(again, FAECGCN)
    assert again.record_ == method.record_
    (query, _), (gallery, _) = labelled(7)
    snapshot = Gallery(gallery)
    np.testing.assert_array_equal(
        all_distances(again, query, snapshot), all_distances(method, query, snapshot)
    )
    other = parse(f"{tmp_path}/m.safetensors:lam=0,setting=transductive")
    assert other.setting == "transductive"
    changed = all_distances(other, query, snapshot)
    assert not np.allclose(changed, all_distances(method, query, snapshot))
    # what is kept of the gallery does not outlive a change of options
    method = with_options(method, lam=0.0, setting="transductive")
    np.testing.assert_array_equal(all_distances(method, query, snapshot), changed)
    with pytest.raises(ValueError, match="fit it again with those options"):
        all_distances(parse(f"{tmp_path}/m.safetensors:layers=4"), query, snapshot)
    assert np.isfinite(
        all_distances(parse(f"{tmp_path}/m.safetensors+k-reciprocal:k1=6,k2=2"), query, snapshot)
    ).all()


@pytest.mark.parametrize("half", ["fa-gcn", "ec-gcn"])
def test_a_fit_that_was_stopped_in_either_half_goes_on_to_the_same_result(
    tmp_path: Path, half: str
):
    train, _ = data(2)
    whole = build(FAECGCN, **SMALL).fit(*train)

    class Stop(Exception):  # noqa: N818
        pass

    def interrupt(what: str, done: int, total: int) -> None:
        if what == half and done > total * 0.6:
            raise Stop

    with pytest.raises(Stop):
        build(FAECGCN, **SMALL).fit(
            *train, folder=tmp_path, resources=Resources(progress=interrupt)
        )
    resumed = build(FAECGCN, **SMALL).fit(*train, folder=tmp_path)
    assert resumed.state_.keys() == whole.state_.keys()
    for key, value in whole.state_.items():
        assert torch.equal(resumed.state_[key], value), key


def test_an_explanation_is_of_the_same_pass_as_the_distances():
    train, _ = data(3)
    (query, _), (gallery, _) = labelled(7)
    method, snapshot = build(FAECGCN, **SMALL, lam=2.0).fit(*train), Gallery(gallery)
    block = next(iter(method.distances(query, snapshot)))
    assert isinstance(method, Explains)
    given = method.explain(query.take(np.array([3])), snapshot)
    assert block.probability is not None
    assert given.probability is not None
    np.testing.assert_allclose(
        block.probability[3, given.nodes], given.probability, rtol=0, atol=1e-4
    )


def test_what_it_says_of_itself():
    method = build(FAECGCN, lam=0.3)
    assert isinstance(method, Learned)
    assert isinstance(method, GivesScores)
    assert not isinstance(method, Transforms), "A+B starts from its distances"
    assert (method.unscored_offset, method.min_distance, method.setting) == (0.3, 0.0, "online")
    paper = build(FAECGCN, **FAECGCN.PAPER)
    assert flat_options(paper.fa) == flat_options(build(FAGCN, **FAGCN.PAPER))
    assert (paper.ec.graph.k1, paper.ec.network.width, paper.ec.lam) == (200, 4096, 0.4)
    assert paper.ec.training.batch == 1
    assert FAECGCN.presets["paper"] == FAECGCN.PAPER


def test_its_options_are_those_of_the_two() -> None:
    names = set(flat_options(FAECGCN()))
    of_fa, of_ec = set(flat_options(FAGCN())), set(flat_options(ECGCN()))
    assert names == {name if name in SHARED else f"fa_{name}" for name in of_fa} | (
        of_ec - {"metric"}
    )
    method = build(FAECGCN, seed=5, patience=3, fa_k=4, k1=9, setting="transductive")
    assert (method.fa.training.seed, method.ec.training.seed) == (5, 5)
    assert (method.fa.training.patience, method.ec.training.patience) == (3, 3)
    assert (method.fa.graph.k, method.ec.graph.k1, method.setting) == (4, 9, "transductive")
    with pytest.raises(ValueError, match=r"seed is 0 and .*seed is 1: give both one value"):
        FAECGCN(ec=build(ECGCN, seed=1))


def test_wrong_use_is_refused():
    (query, _), (gallery, _) = labelled(7)
    with pytest.raises(ValueError, match="not fitted"):
        all_distances(FAECGCN(), query, Gallery(gallery))
    train, _ = data(1)
    with pytest.raises(ValueError, match="lam='auto' is chosen on validation identities"):
        build(FAECGCN, lam="auto").fit(*train)
    for wrong in ({"fa_k": 0}, {"k1": 0}, {"tau": 0.0}, {"gamma": 0.5}, {"setting": "both"}):
        with pytest.raises(ValueError, match=next(iter(wrong)).removeprefix("fa_")):
            build(FAECGCN, **wrong)
