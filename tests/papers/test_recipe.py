import pytest

from graphreid.papers.recipe import Recipe, Row, with_options


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("cagcn", {}, "cagcn"),
        ("cagcn", {"k": 5}, "cagcn:k=5"),
        ("cagcn:k=5", {"layers": 2, "lam": 0.5}, "cagcn:k=5,layers=2,lam=0.5"),
        ("cagcn:k=5", {"k": 7, "seed": 1}, "cagcn:k=5,seed=1"),
        ("a:k=5+b", {"k": 7}, "a:k=5+b:k=7"),
        ("a+b:k=1", {"k": 7, "m": "x"}, "a+b:k=1,m=x"),
    ],
)
def test_options_join_a_method_text_that_has_not_given_them(
    text: str, options: dict[str, int], expected: str
) -> None:
    assert with_options(text, options) == expected


def test_the_papers_sets_stand_in_one_order() -> None:
    rows = (
        Row("a", "cosine", paper={"veri-776": {}}),
        Row("b", "cosine", paper={"market1501": {}, "veri-776": {}}),
    )
    assert Recipe("x/table1", "Table 1", "", rows).paper_sets() == ("market1501", "veri-776")
    assert Row("a", fit="cagcn:k=5").texts() == ("cagcn:k=5", "{fitted}")
    assert Row("a", "cosine").texts() == ("cosine",)
