import pytest

from graphreid.methods import METHODS
from graphreid.methods.persistence import options, parse
from graphreid.papers.specs import canonical, short, versions


@pytest.mark.parametrize("name", METHODS)
def test_a_canonical_text_has_all_options_and_means_the_same(name: str) -> None:
    spec = canonical(name)
    assert [pair.partition("=")[0] for pair in spec.partition(":")[2].split(",") if pair] == list(
        options(METHODS[name])
    )
    again = parse(spec)
    assert {key: getattr(again, key) for key in options(METHODS[name])} == options(METHODS[name])
    assert canonical(spec) == spec
    assert short(spec) == name
    assert versions(spec) == [METHODS[name].version]


def test_the_order_of_options_and_defaults_make_no_difference() -> None:
    spec = canonical("k-reciprocal:lam=0.5,k1=10")
    assert spec == canonical("k-reciprocal:k1=10,k2=6,lam=0.5")
    assert spec != canonical("k-reciprocal:k1=10")
    assert short(spec) == "k-reciprocal:k1=10,lam=0.5"


def test_a_fitted_method_has_the_options_of_its_fit_where_none_is_changed() -> None:
    fit = canonical("cagcn:k=100,seed=2")
    spec = canonical("{fitted}:lam=0.5+k-reciprocal:k1=9", fit)
    assert short(spec) == "cagcn:k=100,lam=0.5,seed=2+k-reciprocal:k1=9"
    assert spec == canonical("cagcn:lam=0.5,seed=2,k=100") + "+" + canonical("k-reciprocal:k1=9")
    assert len(versions(spec)) == 2


def test_an_unknown_method_or_option_is_refused() -> None:
    for text in ("nonesuch", "cosine:k=2", "cagcn:k=two"):
        with pytest.raises(ValueError, match=r"nonesuch|option .*k"):
            canonical(text)
