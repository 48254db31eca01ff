"""Imports go one way, files and functions stay small, and there is no drawer for odds and ends."""

import ast
from pathlib import Path

import pytest

from tests.conftest import PACKAGE

LAYERS = (
    (
        "types",
        "arrays",
        "explanation_json",
        "seeding",
        "resources",
        "atomic_files",
        "peak_memory",
        "kernels",
        "extras",
        "options",
        "plugins",
    ),
    ("knn", "ranking", "features", "datasets"),
    ("gallery",),
    ("protocols",),
    ("metrics", "training"),
    ("graphs", "distances"),
    ("methods", "models", "synthetic"),
    ("report", "papers", "store"),
    ("cli", "server", "testing"),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, below "graphreid."."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("graphreid"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("graphreid.")}
    return {name.removeprefix("graphreid.") for name in names}


def test_no_import_circle() -> None:
    """Imports inside functions and under TYPE_CHECKING count, and so does the package of a module
    from elsewhere.
    """
    names = {
        path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
    }
    # the package's own __init__ imports everything by name, when it is used
    reached = {
        name: _modules(path, name, set(names.values()))
        for path, name in names.items()
        if name != "__init__"
    }
    assert circle(reached) is None
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]


def circle(reached: dict[str, set[str]]) -> list[str] | None:
    """A way from a module back to itself, None where there is none."""
    left: set[str] = set()

    def walk(way: list[str]) -> list[str] | None:
        for name in sorted(reached[way[-1]] - left):
            if name in way:
                return [*way[way.index(name) :], name]
            if found := walk([*way, name]):
                return found
        left.add(way[-1])
        return None

    return next(
        (found for name in sorted(reached) if name not in left and (found := walk([name]))), None
    )


def _modules(path: Path, home: str, modules: set[str]) -> set[str]:
    found: set[str] = set()
    for name in imported(path):
        parts = name.split(".")
        *packages, target = (
            way
            for count in range(len(parts) + 1)
            if (way := ".".join(parts[:count])) in {*modules, ""}
        )
        # an import runs the __init__ of every package on the way; it has run already where the
        # importer is in it
        found |= {
            target,
            *(package for package in packages if not f"{home}.".startswith(f"{package}.")),
        } - {""}
    return found - {home}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_smaller_layers(path: Path) -> None:
    home = path.relative_to(PACKAGE)
    if home.name == "__init__.py" and len(home.parts) == 1:
        return
    top = home.with_suffix("").parts[0]
    for name in imported(path):
        other = name.split(".")[0]
        if other in LAYER and other != top:
            assert LAYER[other] <= LAYER[top], (
                f"{home} (layer {LAYER[top]}) imports {name} (layer {LAYER[other]})"
            )


@pytest.mark.parametrize("shared", ["graphs", "methods/link_prediction"])
def test_what_is_shared_has_two_users(shared: str) -> None:
    """A folder of primitives holds nothing that only one method needs."""
    for path in sorted((PACKAGE / shared).glob("[!_]*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        users = {
            # the folder of a paper is one user
            file.parent if (file.parent / "method.py").is_file() else file
            for file in FILES
            if any(name == module or name.startswith(f"{module}.") for name in imported(file))
        }
        assert len(users) > 1, f"{module} is used by {users or 'nobody'}: move it there"


def test_no_method_imports_another() -> None:
    """What methods share is a function in `graphs` or `methods/link_prediction`, not a method."""
    shared = {"link_prediction", "fitting", "fitted", "validation", "persistence", "spec"}
    joins = {"__init__", "chain", "fa_ec_gcn", "persistence", "spec"}
    for path in (PACKAGE / "methods").rglob("*.py"):
        own = path.relative_to(PACKAGE / "methods").with_suffix("").parts[0]
        met = {name.split(".")[1] for name in imported(path) if name.startswith("methods.")}
        others = met - shared - {own}
        assert own in joins or not others, f"methods/{own} imports {sorted(others)}"


def test_every_place_has_a_layer() -> None:
    places = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in FILES} - {"__init__"}
    assert places <= set(LAYER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 520
    assert path.name != "utils.py"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            # statements count; a signature with a line an option and a docstring do not
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= 80, f"{path.name}: {node.name} has {lines} lines"


def test_the_gpu_path_imports_without_numba_cyclopts_and_beartype() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('numba', 'cyclopts', 'beartype'): sys.modules[name] = None\n"
        "import graphreid.knn.exact, graphreid.gallery, graphreid.methods, "
        "graphreid.methods.persistence, graphreid.metrics.evaluate"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
