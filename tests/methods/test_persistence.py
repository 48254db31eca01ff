from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from graphreid.methods import AQE, DBA, ECN, Cosine, KReciprocal
from graphreid.methods.chain import chained
from graphreid.methods.persistence import load, parse, save


def test_methods_are_named_with_options() -> None:
    assert parse("cosine") == Cosine()
    assert parse("k-reciprocal:k1=9,lam=0.5,setting=online") == KReciprocal(
        k1=9, lam=0.5, setting="online"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cosin", "'cosin' is not known: choose one of cosine"),
        ("k-reciprocal:k9=3", "'k9=3'.*with a key of k1, k2"),
        ("k-reciprocal:k1", "write key=value"),
        ("k-reciprocal:k1=many", "k1 of k-reciprocal is 'many': it must be a whole number"),
        ("k-reciprocal:lam=nan", "lam of k-reciprocal is 'nan': it must be a number, and finite"),
        ("cagcn:lam=inf", "lam of cagcn is 'inf': it must be"),
        ("k-reciprocal:k1=3,lam=0.1,k1=4", "k1 of k-reciprocal is given twice"),
        ("k-reciprocal:k1=0", "k1 is 0"),
        ("k-reciprocal:setting=both", "setting is 'both'"),
        ("cosine:a=1", "it has none"),
        ("no.safetensors", "no.safetensors: no such file"),
        ("ecn:method=both", "method of ecn is 'both': choose one of rankdist, origdist"),
        ("aqe+cosin", "'cosin' is not known"),
        ("aqe+", "'' is not known"),
        (
            "k-reciprocal+aqe",
            r"k-reciprocal\+aqe: aqe needs vectors, and k-reciprocal gives distances",
        ),
    ],
)
def test_what_can_not_be_parsed_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_a_saved_method_keeps_its_options_and_takes_others(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save(KReciprocal(k1=7), file)
    assert load(file) == KReciprocal(k1=7)
    assert parse(f"{file}:k2=2") == KReciprocal(k1=7, k2=2)


def test_methods_one_after_the_other(tmp_path: Path) -> None:
    assert parse("aqe+k-reciprocal:k1=20,k2=3") == chained(AQE(), KReciprocal(k1=20, k2=3))
    assert parse("dba:n=5+aqe+ecn") == chained(chained(DBA(n=5), AQE()), ECN())
    (tmp_path / "a+b").mkdir()
    file = tmp_path / "a+b" / "m.safetensors"
    save(KReciprocal(k1=7), file)
    assert parse(f"{file}:k2=2") == KReciprocal(k1=7, k2=2)  # a plus in a path
    assert parse(f"aqe+{file}+ecn") == chained(chained(AQE(), KReciprocal(k1=7)), ECN())
    other = tmp_path / "m.safetensors"
    save(KReciprocal(k1=7), other)
    assert parse(f"{other}:k2=2+ecn") == chained(KReciprocal(k1=7, k2=2), ECN())
    with pytest.raises(ValueError, match="a chain is no file"):
        save(parse("aqe+ecn"), tmp_path / "chain.safetensors")


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
    with pytest.raises(ValueError, match="cannot write"):
        save(Cosine(), tmp_path / "no" / "m.safetensors")
