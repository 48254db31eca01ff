"""What `import graphreid as gr` shows: a new name is added here too, and there are at most 30."""

import subprocess
import sys

import pytest

import graphreid

NAMES = [
    "METHODS",
    "METRICS",
    "Cosine",
    "DistanceBlock",
    "Explanation",
    "Features",
    "Gallery",
    "KReciprocal",
    "Labels",
    "MethodSpec",
    "Protocol",
    "Ranking",
    "Report",
    "Resources",
    "drop_junk",
    "evaluate",
    "load",
    "load_features",
    "load_vectors",
    "methods",
    "metrics",
    "parse",
    "rank",
    "save",
    "save_features",
]


def test_the_public_names_are_these_and_few() -> None:
    assert graphreid.__all__ == NAMES
    assert len(NAMES) <= 30
    assert set(NAMES) == {*graphreid._MODULES, "methods", "metrics"}  # pyright: ignore[reportPrivateUsage]


def test_a_tab_shows_the_names_and_importing_them_is_left_for_their_use() -> None:
    code = "import sys, graphreid; print(*dir(graphreid)); sys.exit('torch' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert shown == sorted(NAMES)
    assert all(getattr(graphreid, name) is not None for name in shown)


def test_methods_and_metrics_are_reached_without_an_import_of_their_own() -> None:
    code = "import graphreid as gr; print(gr.methods.Cosine(), gr.metrics.CMC(3))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("Compute", "resources.Resources"),
        ("LivingGallery", "store.PersistentGallery"),
        ("Rule", "metrics.protocol.Protocol"),
    ],
)
def test_a_former_name_still_works_and_says_the_new_one(name: str, now: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"graphreid.{name} is graphreid.{now} now"):
        assert getattr(graphreid, name).__name__ == now.rpartition(".")[2]
    assert name not in dir(graphreid)
    with pytest.raises(AttributeError, match="no attribute 'Nonesuch'"):
        graphreid.Nonesuch  # noqa: B018  # what is tested
