"""A golden mAP of every method on a small drawn set. Where a method's number changes on purpose,
raise
its `version`, and write the two here: its runs in the store of results are another version's then.
"""

from pathlib import Path

import pytest

from graphreid.gallery import Gallery
from graphreid.methods import METHODS
from graphreid.methods.spec import parse
from graphreid.metrics.evaluate import evaluate
from graphreid.options import flat_options
from graphreid.papers.inputs import Inputs, load_inputs
from graphreid.protocols import Learned
from graphreid.resources import Resources
from tests.papers.cases import write_inputs

GOLDEN: dict[str, tuple[int, float]] = {
    "cosine": (1, 0.493426),
    "aqe": (1, 0.515759),
    "ca-jaccard": (1, 0.546135),
    "cagcn": (1, 0.498904),
    "dba": (1, 0.530547),
    "diffusion": (1, 0.288911),
    "ec-gcn": (1, 0.493689),
    "ecn": (1, 0.508615),
    "fa-ec-gcn": (1, 0.289552),
    "fa-gcn": (1, 0.289552),
    "ffgnn": (1, 0.507948),
    "gnn-reranking": (1, 0.542574),
    "hrnet": (1, 0.471610),
    "hub": (1, 0.497376),
    "k-reciprocal": (1, 0.531195),
    "parts": (1, 0.493426),
    "random-walk": (1, 0.481006),
    "sggnn": (1, 0.495631),
}
"""Version and mAP by method."""
TEXTS = {"parts": "parts:parts=1,width=2,fixed=3"}
"""Methods whose defaults do not fit the drawn set's eight entries; the others are as they are,
learned ones after one epoch in float32."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return load_inputs(write_inputs(tmp_path_factory.mktemp("drawn")), "drawn")


def mean_ap(name: str, inputs: Inputs) -> float:
    """The mAP of a method, by default and after one epoch if it learns."""
    resources = Resources(threads=1)
    learns = {"epochs", "precision"} <= set(flat_options(METHODS[name]()))
    method = parse(f"{name}:epochs=1,precision=fp32" if learns else TEXTS.get(name, name))
    if isinstance(method, Learned):
        fit, validation = inputs.part("fit"), inputs.part("validation")
        held = (validation.features, validation.labels)
        method.fit(fit.features, fit.labels, validation=held, resources=resources)
    query, gallery = inputs.part("query"), inputs.part("gallery")
    images = Gallery(gallery.features)
    report = evaluate(
        method, query.features, images, query.labels, gallery.labels, resources=resources
    )
    return report.mean_ap()


def test_every_method_has_a_golden_number() -> None:
    assert set(GOLDEN) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_numbers_change_only_with_the_version(name: str, inputs: Inputs) -> None:
    version, golden = GOLDEN[name]
    assert METHODS[name].version == version
    # a training's rounding differs from processor to processor
    tolerance = 0.01 if "epochs" in flat_options(METHODS[name]()) else 1e-4
    assert mean_ap(name, inputs) == pytest.approx(golden, abs=tolerance), "raise its version"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        drawn = load_inputs(write_inputs(Path(folder)), "drawn")
        for each in METHODS:
            print(f'    "{each}": ({METHODS[each].version}, {mean_ap(each, drawn):.6f}),')
