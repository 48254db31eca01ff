"""Names that other installed packages add."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from graphreid import plugins
from graphreid.methods.persistence import load
from graphreid.plugins import Registry

SAMPLE = Path(__file__).parent / "plugin"


class FakeDistribution:
    def __init__(self, name: str) -> None:
        self.name, self.version = name, "2.0"


def fake(name: str, value: str, package: str) -> EntryPoint:
    point = EntryPoint(name, value, "graphreid.methods")
    vars(point)["dist"] = FakeDistribution(package)
    return point


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the sample package installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    # building writes beside the sources
    shutil.copytree(SAMPLE, source, dirs_exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(pip, check=True)
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def run(code: str, environment: dict[str, str], folder: Path | None = None) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_adds_a_method(installed: dict[str, str], tmp_path: Path) -> None:
    listed = run("from graphreid.cli import main; main(['methods'])", installed)
    assert re.search(r"centred .*vectors.* share=1\.0 ", listed, re.MULTILINE), listed
    file = tmp_path / "centred.safetensors"
    code = f"""
import sys
from graphreid.methods.persistence import load, save
from graphreid.methods.spec import MethodSpec
assert "graphreid_centred" not in sys.modules
spec = MethodSpec.parse("centred:share=0.5")
save(spec.build(), {str(file)!r})
print(spec.canonical(), load({str(file)!r}))
"""
    assert run(code, installed) == "centred:share=0.5 Centred(share=0.5)\n"
    # without the package its files are refused
    with pytest.raises(ValueError, match="not a method of this package"):
        load(file)


def test_an_installed_package_adds_a_reader(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "some.vec").write_text("one 1 0.5\ntwo -1 2\n")
    code = f"""
from graphreid.cli import main
from graphreid.features.features_file import load_vectors
assert main(["features", "--from", {str(tmp_path / "some.vec")!r}, "--out", "x.npz"]) == 0
features = load_vectors("x.npz")
print(features.items.tolist(), features.vectors.tolist())
"""
    done = run(code, installed, tmp_path)
    assert done.endswith("['one', 'two'] [[1.0, 0.5], [-1.0, 2.0]]\n")


def test_a_packages_method_passes_the_checks(installed: dict[str, str]) -> None:
    code = f"""
import sys, pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--import-mode=importlib", {str(SAMPLE)!r}]))
"""
    assert "[100%]" in run(code, installed)


def registry(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> Registry[Any]:
    asked: list[str] = []

    def found(*, group: str) -> EntryPoints:
        asked.append(group)
        return EntryPoints(points)

    monkeypatch.setattr(plugins, "entry_points", found)
    made: Registry[Any] = Registry("methods", {"own": 1})
    assert list(made) == ["own", *sorted({point.name for point in points})]
    assert asked == ["graphreid.methods"]
    return made


def test_a_plugin_is_imported_when_its_name_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.pop("wave", None)
    names = registry(monkeypatch, fake("b", "wave:Error", "other"), fake("a", "math:pi", "some"))
    assert "wave" not in sys.modules
    assert "b" in names
    assert "c" not in names
    assert len(names) == 3
    assert names["own"] == 1
    assert "wave" not in sys.modules
    assert names["b"] is sys.modules["wave"].Error
    assert names["a"] == pytest.approx(3.14159, abs=1e-5)
    with pytest.raises(KeyError):
        names["c"]


@pytest.mark.parametrize("value", ["nowhere_at_all:A", "math:nothing", "math"])
def test_a_plugin_that_does_not_import_names_its_package(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    names = registry(monkeypatch, fake("a", f"{value}", "some-package"))
    if value == "math":
        assert names["a"] is sys.modules["math"]
        return
    with pytest.raises(ValueError, match=r"^a of the package some-package 2\.0 can't be imported"):
        names["a"]


def test_two_of_one_name_are_refused_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^own of the package some 2\.0 is a name that graphreid"):
        registry(monkeypatch, fake("own", "math:pi", "some"))
    with pytest.raises(ValueError, match=r"^a of the package other 2\.0 is a name that some 2\.0"):
        registry(monkeypatch, fake("a", "math:pi", "some"), fake("a", "math:e", "other"))
