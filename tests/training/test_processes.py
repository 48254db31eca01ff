import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from graphreid.training import processes

WORK = """
import sys, json, torch
from torch import nn
from pathlib import Path
from graphreid.training import processes
from graphreid.training.loop import optimise
out = Path(sys.argv[1])
with processes.main_process_first():
    existed = (out / "order").exists()
    (out / "order").touch()
assert existed != processes.is_main_process()
torch.manual_seed(0)
layer = nn.Linear(3, 1)
x = torch.arange(18.).view(6, 3) / 18
replica = processes.data_parallel(layer, "cpu")
def batches(epoch):
    return processes.shard([x[:2], x[2:4], x[4:]])
def losses(b):
    return {"x": replica(b).square().mean()}
optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
optimise(layer, optimiser, batches, losses, epochs=2, seed=0, folder=out)
seen = [layer.weight.tolist(), len(batches(0)), processes.world_size()]
(out / f"{processes.rank()}.json").write_text(json.dumps(seen))
"""


def test_two_processes_end_with_the_same_weights_as_one_of_twice_the_batch(tmp_path: Path):
    script = tmp_path / "work.py"
    script.write_text(WORK)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # what the launcher sets for each process; ours on a CPU, where it starts several only with MPI
    common = {
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "ACCELERATE_USE_CPU": "1",
    }
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    one, two = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one == two
    assert one[1:] == [1, 2]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2

    import torch
    from torch import nn

    from graphreid.training.loop import optimise

    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    x = torch.arange(18.0).view(6, 3) / 18
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    optimise(
        layer,
        optimizer,
        lambda _: [x[:4]],
        lambda batch: {"x": layer(batch).square().mean()},
        epochs=2,
        seed=0,
    )
    assert one[0][0] == pytest.approx(layer.weight[0].tolist(), abs=1e-6)


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert (processes.world_size(), processes.rank(), processes.is_main_process()) == (1, 0, True)
    assert processes.local_device("cpu") == "cpu"
    assert processes.shard([1, 2, 3]) == [1, 2, 3]
