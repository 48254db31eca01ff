from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from graphreid.methods import Cosine, KReciprocal
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import parse


def test_a_saved_method_keeps_its_options_and_takes_others(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save(KReciprocal(k1=7), file)
    assert load(file) == KReciprocal(k1=7)
    assert parse(f"{file}:k2=2") == KReciprocal(k1=7, k2=2)


def test_files_that_are_no_methods_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a header")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load(broken)
    other = tmp_path / "other.safetensors"
    save_file({"a": np.ones(2, np.float32)}, other)
    with pytest.raises(ValueError, match="not a method of this package"):
        load(other)
    newer = tmp_path / "newer.safetensors"
    save_file({}, newer, {"method": "cosine", "format": "99", "fields": "{}", "facts": "{}"})
    with pytest.raises(ValueError, match="format 99 is newer"):
        load(newer)
    whole = {"method": "k-reciprocal", "format": "1", "fields": "{}", "facts": "{}"}
    for change, says in (
        ({"fields": '{"k9": 1}'}, "header is damaged"),
        ({"fields": '{"k1": "many"}'}, "header is damaged"),
        ({"facts": "[1]"}, "header is damaged"),
        ({"format": "one"}, "header is damaged"),
        ({"facts": '{"distances": 1}'}, "nothing that a method learns"),
        ({"facts": '{"__class__": 1}'}, "nothing that a method learns"),
    ):
        save_file({}, newer, {**whole, **change})
        with pytest.raises(ValueError, match=says):
            load(newer)
    del whole["fields"]
    save_file({}, newer, whole)
    with pytest.raises(ValueError, match="header is damaged"):
        load(newer)
    with pytest.raises(ValueError, match="a chain is no file"):
        save(parse("aqe+ecn"), tmp_path / "chain.safetensors")
    with pytest.raises(ValueError, match="cannot write"):
        save(Cosine(), tmp_path / "no" / "m.safetensors")
