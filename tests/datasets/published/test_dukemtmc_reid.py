from pathlib import Path

import pytest

from graphreid.datasets.importing import import_images
from graphreid.datasets.published.dukemtmc_reid import PUBLISHED, WITHDRAWN, read
from tests.datasets.published.trees import DUKE, MARKET, tree


@pytest.mark.parametrize(
    "below", ["", "dukemtmc-reid/DukeMTMC-reID", "DukeMTMC-reID", "dukemtmcreid"]
)
@pytest.mark.parametrize("from_parent", [False, True])
def test_every_spelling_is_the_same_set(tmp_path: Path, below: str, from_parent: bool):
    top = tree(tmp_path, [f"{below}/{name}" for name in DUKE])
    manifest = import_images(read(top if from_parent else top / below), tmp_path / "out").manifest
    assert set(manifest.item.tolist()) == set(DUKE)
    assert manifest.identity.tolist() == ["1", "1", "5", "0", "5"]
    assert manifest.camera is not None
    assert manifest.camera.tolist() == ["2", "5", "2", "8", "5"]
    assert set(manifest.role.tolist()) == {"normal"}  # 0 is a number like any other here


def test_the_withdrawal_is_told_first(tmp_path: Path):
    notes = read(tree(tmp_path, DUKE)).notes
    assert notes[0] == WITHDRAWN
    assert "withdrawn by its authors in 2019" in notes[0]
    assert "published DukeMTMC-reID" in notes[-1]
    assert sum(PUBLISHED[f"{split} images"] for split in ("train", "query", "gallery")) == 36_411


def test_beside_market_it_is_still_found(tmp_path: Path):
    top = tree(
        tmp_path, [f"market1501/{name}" for name in MARKET] + [f"duke/{name}" for name in DUKE]
    )
    assert len(read(top).entries) == len(DUKE)
    with pytest.raises(
        ValueError,
        match=r"market1501: looks like Market-1501, not DukeMTMC-reID: import it as market1501",
    ):
        read(top / "market1501")
