"""A training run that the package wrote at commit 6becf07 still loads.

To keep it small, `old/run` has the header of model.safetensors without its tensors, which are drawn
here; `vectors.npy` are the vectors that the package gave with the drawn tensors at that commit.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graphreid.datasets.images import Images
from graphreid.models import load_embedder
from graphreid.training.run_folder import MODEL, is_complete, read_config, read_identities

OLD = Path(__file__).parent / "old" / "run"


def drawn_model(header: bytes) -> bytes:
    """The bytes of a safetensors file with this header."""
    entries = json.loads(header)
    entries.pop("__metadata__")
    rng = np.random.default_rng(0)
    data = b""
    for name in sorted(entries, key=lambda name: entries[name]["data_offsets"]):
        shape = entries[name]["shape"]
        values: NDArray[np.int64 | np.float32]
        if entries[name]["dtype"] == "I64":
            values = np.ones(shape, np.int64)
        elif name.endswith("running_var"):
            values = rng.uniform(0.5, 2, shape).astype(np.float32)
        else:
            fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
            values = (rng.standard_normal(shape) * (2 / fan_in) ** 0.5).astype(np.float32)
        data += values.tobytes()
    return len(header).to_bytes(8, "little") + header + data


def test_an_old_training_run_loads_and_embeds_as_before(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(OLD, run)
    assert not is_complete(run)
    (run / MODEL).write_bytes(drawn_model((OLD / "model.header.json").read_bytes()))
    assert is_complete(run)
    config = read_config(run)
    assert (config["embedder"], config["preset"]) == ("bot", "small")
    assert read_identities(run).fit == ("1", "2", "3", "5")
    embedder = load_embedder(run / MODEL)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 16, 3)).astype(np.uint8)
    for row in range(2):
        Image.fromarray(pixels[row]).save(tmp_path / f"x{row}.png")
    images = Images([tmp_path / "x0.png", tmp_path / "x1.png"], np.array(["x0", "x1"]))
    np.testing.assert_allclose(
        embedder.embed(images).vectors, np.load(OLD / "vectors.npy"), rtol=1e-3
    )
