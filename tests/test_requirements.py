"""`pip install .` alone is enough to fit, re-rank and evaluate by every method."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphreid.extras import EXTRAS, missing_extra_message
from graphreid.methods import METHODS
from tests.conftest import ROOT
from tests.support import SMALL

CHILD = """
import json, sys
from tests.bare import hide

small, hidden = map(json.loads, sys.argv[1:])
hide(hidden)

from graphreid.metrics.evaluate import evaluate
from graphreid.gallery import Gallery
from graphreid.methods import METHODS
from graphreid.options import build
from graphreid.types import Features, Labels
import numpy as np

rng = np.random.default_rng(0)
centres = rng.standard_normal((10, 16))

def labelled(images):
    identity, camera = rng.integers(0, 10, images), rng.integers(0, 3, images)
    vectors = centres[identity] + rng.standard_normal((images, 16))
    return Features(vectors, camera=camera), Labels(identity, camera)

train, (query, query_labels), (gallery, gallery_labels) = map(labelled, (80, 4, 60))
for name, kind in METHODS.items():
    method = build(kind, **small.get(name, {})).fit(*train)
    report = evaluate(method, query, Gallery(gallery), query_labels, gallery_labels)
    print(name, report.queries)
"""


def base_packages() -> set[str]:
    """The names that can be imported after `pip install .`, graphreid's own apart."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    left = [(Requirement(text), "") for text in declared]
    met: set[tuple[str, str]] = set()
    while left:
        requirement, extra = left.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in met:
                met.add((name, wanted))
                left += [(Requirement(text), wanted) for text in _requires(name)]
    names = {name for name, _ in met}
    return {
        top
        for top, owners in packages_distributions().items()
        if names & set(map(canonicalize_name, owners))
    }


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except (
        PackageNotFoundError
    ):  # of another platform or build, such as CUDA's; what isn't there can't be imported
        return []


def bare(code: str, *arguments: object) -> str:
    """What code prints where a bare install's packages are there; those to hide are its last
    argument, as JSON.
    """
    hidden = set(packages_distributions()) - base_packages() - {"graphreid", "tests"}
    assert {"matplotlib", "lancedb", "fastapi", "pytest"} <= hidden
    given = [json.dumps(argument) for argument in (*arguments, sorted(hidden))]
    done = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bare_install_runs_every_default() -> None:
    lines = bare(CHILD, SMALL).splitlines()
    assert sorted(lines) == sorted(f"{name} 4" for name in METHODS)


COMMANDS_CHILD = """
import json, sys
from contextlib import redirect_stderr
from tests.bare import hide

lines, hidden = map(json.loads, sys.argv[1:])
hide(hidden)

from graphreid.cli import COMMANDS, main

for words in COMMANDS:
    main([*words.split(), "--help"])
print("refused")
with redirect_stderr(sys.stdout):
    for line in lines:
        assert main(line.split()) == 2, line
"""
NEED_AN_EXTRA = {
    "demo --out no": "report",
    "evaluate --query no.npz --gallery no.npz --method cosine --report no.html": "report",
    "parts no --data no --out no.html": "report",
    "papers reproduce cagcn/fig3 --data no": "report",
    "export no --onnx no.onnx": "export",
    "gallery create no --width 3": "gallery",
    "gallery add no --features no.npz": "gallery",
    "gallery remove no item": "gallery",
    "gallery search no --item no": "gallery",
    "gallery explain no --item no --method cosine": "gallery",
    "gallery info no": "gallery",
    "gallery calibrate no --query no.npz": "gallery",
    "gallery export no --out no.npz": "gallery",
    "serve no": "service",
}


def test_a_command_without_its_extra_names_it_in_one_line() -> None:
    _, refused = bare(COMMANDS_CHILD, list(NEED_AN_EXTRA)).split("refused\n")
    for given, line in zip(NEED_AN_EXTRA.items(), refused.splitlines(), strict=True):
        assert re.fullmatch(rf"graphreid: .* pip install 'graphreid\[{given[1]}\]'", line), (
            given,
            line,
        )


def test_extras_are_those_of_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    tops = packages_distributions()

    def owners(extra: str) -> set[str]:
        wanted = [Requirement(text) for text in declared[extra]]
        names = {canonicalize_name(each.name) for each in wanted}
        return (names - {"graphreid"}).union(
            *(owners(inner) for each in wanted for inner in each.extras)
        )

    assert {
        extra: {canonicalize_name(tops[name][0]) for name in names}
        for extra, names in EXTRAS.items()
    } == {extra: owners(extra) for extra in declared if extra not in ("dev", "docs")}


def test_only_an_extras_package_is_advised() -> None:
    error = ImportError("no")
    error.__cause__ = ModuleNotFoundError("no", name="lancedb.remote")
    assert (
        missing_extra_message(error) == "lancedb is not installed: pip install 'graphreid[gallery]'"
    )
    assert missing_extra_message(ModuleNotFoundError("no", name="elsewhere")) is None
