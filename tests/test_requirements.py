"""`pip install .` alone is enough to fit, re-rank and evaluate by every method."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conformance import SMALL
from tests.conftest import ROOT

CHILD = '''
import json, sys

small, allowed = json.loads(sys.argv[1]), {*json.loads(sys.argv[2]), *sys.stdlib_module_names, "graphreid", "tests"}

class Bare:
    """A finder that does not see what a bare install does not have."""

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return self.finder.find_spec(name, path, target) if name.partition(".")[0] in allowed else None

for name in [name for name in sys.modules if name.partition(".")[0] not in allowed]:
    del sys.modules[name]
sys.meta_path[:] = map(Bare, sys.meta_path)

from graphreid.evaluation import evaluate
from graphreid.gallery import Gallery
from graphreid.rerankers import METHODS
from tests.support import labelled

_, train = labelled(99, images=80)
(query, query_labels), (gallery, gallery_labels) = labelled(0, probes=4)
for name, kind in METHODS.items():
    method = kind(**small.get(name, {})).fit(*train)
    report = evaluate(method, query, Gallery(gallery), query_labels, gallery_labels)
    print(name, report.queries)
'''


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
    return {top for top, owners in packages_distributions().items() if names & set(map(canonicalize_name, owners))}


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # of another platform or build, such as CUDA's; what isn't there can't be imported
        return []


def test_a_bare_install_runs_every_default() -> None:
    allowed = base_packages()
    assert {"torch", "numpy"} <= allowed
    assert not {"matplotlib", "lancedb", "fastapi", "pytest"} & allowed
    arguments = [json.dumps(SMALL), json.dumps(sorted(allowed))]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    from graphreid.rerankers import METHODS

    assert done.stdout.split("\n")[:-1] == [f"{name} 4" for name in METHODS]
