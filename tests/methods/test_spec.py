"""METHOD texts: read once, written back, and the one text of a method."""

from pathlib import Path

import pytest

from graphreid.methods import AQE, DBA, ECN, METHODS, Cosine, KReciprocal
from graphreid.methods.chain import chained
from graphreid.methods.persistence import save
from graphreid.methods.spec import FITTED, MethodSpec, parse
from graphreid.options import flat_options, option_to_text, options_of


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
        ("k-reciprocal:k1=many", "k-reciprocal: k1 is 'many': it must be a whole number"),
        ("k-reciprocal:lam=nan", "k-reciprocal: lam is 'nan': it must be a number, and finite"),
        ("cagcn:lam=inf", "cagcn: lam is 'inf': it must be"),
        ("k-reciprocal:k1=3,lam=0.1,k1=4", "k1 of k-reciprocal is given twice"),
        ("k-reciprocal:k1=0", "k1 is 0"),
        ("k-reciprocal:setting=both", "setting is 'both'"),
        ("cosine:a=1", "it has none"),
        ("no.safetensors", "no.safetensors: no such file"),
        ("ecn:method=both", "ecn: method is 'both': choose one of rankdist, origdist"),
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


def options_text(name: str) -> str:
    options = sorted(flat_options(METHODS[name]()).items())
    return ",".join(f"{key}={option_to_text(value)}" for key, value in options)


@pytest.mark.parametrize("name", METHODS)
def test_a_canonical_text_has_all_options_sorted_and_means_the_same(name: str) -> None:
    spec = MethodSpec.parse(name)
    text = spec.canonical()
    assert text == f"{name}:{options_text(name)}".removesuffix(":")
    again = MethodSpec.parse(text)
    assert again.canonical() == str(again) == text
    assert flat_options(again.build()) == flat_options(METHODS[name]())
    assert again.short() == spec.short() == name
    assert again.kinds == (METHODS[name],)


def test_every_way_to_write_a_method_has_one_canonical_text() -> None:
    spec = MethodSpec.parse("k-reciprocal:lam=1,k1=10")
    assert str(spec) == "k-reciprocal:lam=1.0,k1=10"
    assert spec.short() == "k-reciprocal:k1=10,lam=1.0"
    same = MethodSpec.parse("k-reciprocal:k1=10,k2=6,lam=1.0")
    assert same != spec
    assert same.canonical() == spec.canonical()
    assert MethodSpec.parse("k-reciprocal:k1=10").canonical() != spec.canonical()
    chain = MethodSpec.parse("aqe+k-reciprocal:k1=10,lam=1")
    assert chain.canonical() == f"{MethodSpec.parse('aqe').canonical()}+{spec.canonical()}"


def test_a_file_stands_in_a_canonical_text_as_its_method(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save(KReciprocal(k1=7, k2=3), file)
    spec = MethodSpec.parse(f"{file}:k2=2")
    assert str(spec) == f"{file}:k2=2"
    assert spec.short() == "k-reciprocal:k1=7,k2=2"
    assert spec.has_files
    assert spec.build() == KReciprocal(k1=7, k2=2)


def test_a_text_is_read_without_what_is_still_to_be_fitted() -> None:
    fit = MethodSpec.parse("cagcn:k=100,seed=2")
    spec = MethodSpec.parse(f"{FITTED}:lam=0.5+k-reciprocal:k1=9", fitted=fit)
    assert str(spec) == "cagcn:k=100,seed=2,lam=0.5+k-reciprocal:k1=9"
    with pytest.raises(ValueError, match="is not known"):
        MethodSpec.parse(FITTED)


def test_options_of_the_last_method_are_added() -> None:
    spec = MethodSpec.parse("aqe+k-reciprocal:k1=9")
    assert str(spec.with_options(lam=1, k1=3)) == "aqe+k-reciprocal:k1=3,lam=1.0"
    assert str(spec.with_defaults(lam=1, k1=3)) == "aqe+k-reciprocal:k1=9,lam=1.0"
    assert "k1" in {option.name for option in options_of(spec.kinds[-1])}
    with pytest.raises(ValueError, match="k1 is 0"):
        spec.with_options(k1=0)
    with pytest.raises(ValueError, match="has no option k9: it has k1"):
        spec.with_defaults(k9=0)
