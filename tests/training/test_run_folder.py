import json
from pathlib import Path

import numpy as np
import pytest

from graphreid.training.run_folder import (
    IdentitySplit,
    is_complete,
    open_run,
    read_config,
    read_identities,
    removed_if_refused,
    split_identities,
)

NAMES = np.array([f"id{number}" for number in range(40)] * 2)


def test_a_holdout_is_whole_identities_shared_out_without_overlap():
    split = split_identities(NAMES, 0.25, seed=0)
    assert (len(split.backbone), len(split.fit), len(split.validation)) == (30, 8, 2)
    assert {*split.backbone, *split.fit, *split.validation} == set(NAMES.tolist())
    assert split.held_out
    assert split == split_identities(NAMES[::-1], 0.25, seed=0)
    assert split != split_identities(NAMES, 0.25, seed=1)


def test_without_a_holdout_all_train_and_fit_and_validation_are_among_them():
    split = split_identities(NAMES, 0, seed=0)
    assert set(split.backbone) == set(NAMES.tolist())
    assert (len(split.fit), len(split.validation)) == (32, 8)
    assert not {*split.fit} & {*split.validation}
    assert not split.held_out


@pytest.mark.parametrize(("share", "count"), [(0.1, 20), (0.95, 20), (0.5, 5)])
def test_too_few_identities(share: float, count: int):
    with pytest.raises(
        ValueError,
        match=rf"of {count} identities is \d+: at least 4 must be held out .* and 2 left",
    ):
        split_identities(NAMES[:count], share, seed=0)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_no_share(share: float):
    with pytest.raises(ValueError, match="holdout share"):
        split_identities(NAMES, share, seed=0)


CONFIG = {"preset": "small", "fields": {"epochs": 3, "milestones": (1, 2)}}
SPLIT = IdentitySplit(("a", "b"), ("c", "d"), ("e", "f"), held_out=True)


def test_a_run_is_begun_gone_on_with_and_refused(tmp_path: Path):
    run = tmp_path / "run"
    assert not open_run(run, CONFIG, SPLIT)
    assert read_identities(run) == SPLIT
    assert read_config(run) == json.loads(json.dumps(CONFIG))
    assert not is_complete(run)
    assert open_run(run, CONFIG, SPLIT)
    before = (run / "config.json").read_text()
    with pytest.raises(
        ValueError,
        match=r"other settings \(fields.epochs was 3, is 4, preset was small, is paper\)",
    ):
        open_run(run, {"preset": "paper", "fields": {"epochs": 4, "milestones": (1, 2)}}, SPLIT)
    assert (run / "config.json").read_text() == before
    (run / "model.safetensors").touch()
    assert is_complete(run)


def test_a_new_run_that_is_refused_is_taken_back(tmp_path: Path):
    def refused(folder: Path, *, new: bool) -> None:
        with (
            pytest.raises(ValueError, match="no such backbone"),
            removed_if_refused(folder, new=new),
        ):
            raise ValueError("no such backbone")

    run = tmp_path / "run"
    open_run(run, CONFIG, SPLIT)
    refused(run, new=True)
    assert not run.exists()
    open_run(run, CONFIG, SPLIT)
    refused(run, new=False)
    assert open_run(run, CONFIG, SPLIT)
    (run / "checkpoint").mkdir()
    refused(run, new=True)
    assert open_run(run, CONFIG, SPLIT)


def test_folders_that_are_no_runs(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no training run: it has no config\.json"):
        read_config(tmp_path)
    (tmp_path / "x").touch()
    for path in (tmp_path, tmp_path / "x"):
        with pytest.raises(ValueError, match="is no training run"):
            open_run(path, CONFIG, SPLIT)
    with pytest.raises(ValueError, match="cannot write"):
        open_run(tmp_path / "missing" / "run", CONFIG, SPLIT)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: not readable"):
        read_config(tmp_path)


def test_a_folder_that_was_begun_and_not_written_is_taken(tmp_path: Path):
    assert not open_run(tmp_path, CONFIG, SPLIT)
