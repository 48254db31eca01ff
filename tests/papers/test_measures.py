from pathlib import Path

import numpy as np
import pytest

from graphreid.methods import METHODS
from graphreid.methods.cagcn.method import CAGCN
from graphreid.options import build
from graphreid.papers.measures import MEASURES, sampler_recall
from tests.papers.cases import setup, write_inputs


def test_recall_is_the_share_of_positives_in_the_graphs(tmp_path: Path) -> None:
    inputs = setup(write_inputs(tmp_path / "in"), tmp_path / "work").inputs
    query, gallery = inputs.part("query"), inputs.part("gallery")
    unit = [
        part.features.vectors / np.linalg.norm(part.features.vectors, axis=1, keepdims=True)
        for part in (query, gallery)
    ]
    near = np.argsort(-unit[0] @ unit[1].T, axis=1)
    right = query.labels.identity[:, None] == gallery.labels.identity
    shares = [right[row, near[row, :7]].sum() / right[row].sum() for row in range(len(right))]
    for method, wanted in (
        (build(CAGCN, sampler="plain", k=7), np.mean(shares)),
        (build(CAGCN, k1=7, k2=0, k=7), np.mean(shares)),
        (build(CAGCN, k1=70, k2=20, k=500), 1.0),
    ):
        found = sampler_recall(method, inputs, None)
        assert tuple(found) == MEASURES["sampler recall"].columns
        assert found["sampler recall"] == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["cost", "overlaps"])
def test_what_is_measured_of_an_embedder_needs_one(name: str, tmp_path: Path) -> None:
    inputs = setup(write_inputs(tmp_path / "in"), tmp_path / "work").inputs
    with pytest.raises(ValueError, match="the row must have 'train'"):
        MEASURES[name].function(METHODS["cosine"](), inputs, None)
