import builtins
import os
import pickle
import subprocess
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graphreid.models.checkpoints.tensors import read_state

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


SYSTEM: Any = vars(os)["system"]


class Calls:
    """Unpickled, it calls."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("new", [True, False])
def test_weights_beside_what_training_programs_keep(tmp_path: Path, new: bool) -> None:
    beside = {
        "epoch": 60,
        "rank1": np.float32(0.9),
        "best": np.float64(0.95),
        "cmc": np.array([0.9, 0.95]),
        "args": Namespace(lr=0.1, out=Path("logs")),
        "scheduler": {"milestones": Counter([20, 40]), "gamma": 0.1},
        "optimizer": torch.optim.Adam(nn.Linear(2, 2).parameters()).state_dict(),
    }
    for key in ("state_dict", "model"):
        torch.save(
            beside | {key: WEIGHTS}, tmp_path / "w.pth.tar", _use_new_zipfile_serialization=new
        )
        read = read_state(tmp_path / "w.pth.tar")
        assert list(read) == list(WEIGHTS)
        assert all(torch.equal(read[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("new", [True, False])
def test_a_pickled_model_gets_a_line_on_how_to_save_its_weights(tmp_path: Path, new: bool) -> None:
    for content in (nn.Linear(2, 2), {"model": nn.Linear(2, 2), "optimizer": {}}):
        torch.save(content, tmp_path / "model.pth", _use_new_zipfile_serialization=new)
        with pytest.raises(
            ValueError,
            match=r"model.pth: holds pickled objects \(torch.nn.*Linear\).*\.state_dict\(\)",
        ):
            read_state(tmp_path / "model.pth")


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (SYSTEM, "system"),
        (builtins.eval, "eval"),
        (builtins.exec, "exec"),
        (subprocess.check_output, "check_output"),
    ],
)
def test_a_pickle_that_carries_code_is_refused_and_not_run(
    tmp_path: Path, function: Any, name: str, new: bool
) -> None:
    marker = tmp_path / "marker"
    shell, python = f"touch {marker}", f"__import__('pathlib').Path({str(marker)!r}).touch()"
    argument = (
        shell
        if function is SYSTEM
        else shell.split()
        if function is subprocess.check_output
        else python
    )
    content = {"state_dict": WEIGHTS, "optimizer": Calls(function, argument)}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(
        ValueError,
        match=rf"asks to run [\w.]*{name}, .*nothing in it was run: do not load this file",
    ):
        read_state(tmp_path / "w.pth")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Calls(function, argument)))
    with pytest.raises(ValueError, match=r"plain.pkl: "):
        read_state(tmp_path / "plain.pkl")
    assert not marker.exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # it would have
    assert marker.exists()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_a_file_cut_short(tmp_path: Path, share: float, new: bool) -> None:
    file = tmp_path / "w.pth"
    torch.save(
        {f"{number}.weight": torch.randn(40, 40) for number in range(4)},
        file,
        _use_new_zipfile_serialization=new,
    )
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        ValueError,
        match=r"w.pth: not a file of torch, or (one cut short|a damaged one).*get it again",
    ) as raised:
        read_state(file)
    assert "weights_only" not in str(raised.value)


def test_other_files(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "script.pth")
    with pytest.raises(ValueError, match="a TorchScript archive"):
        read_state(tmp_path / "script.pth")
    for content in ({}, {"model": {}}, {"epoch": 3}, WEIGHTS | {"epoch": 3}, [WEIGHTS]):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(ValueError, match="no state dict"):
            read_state(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"none.pth: no such file"):
        read_state(tmp_path / "none.pth")
    (tmp_path / "page.pth").write_text("<html>quota exceeded</html>")
    with pytest.raises(ValueError, match=r"page.pth: not a file of torch"):
        read_state(tmp_path / "page.pth")
