"""Which code made a number: version, commit, a digest of the sources that it depends on; and on
which machine.
"""

import ast
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphreid.resources import Resources

PACKAGE = Path(__file__).parents[1]


def digest(modules: Iterable[str]) -> str:
    """A digest of these modules and of all of the package that they import, directly or not, less
    comments and docstrings.

    Args:
        modules: full names, such as "graphreid.methods.cosine".
    """
    waiting, sources = sorted(set(modules)), dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name], imported = _source(name)
            waiting.extend(imported)
    joined = "\n".join(f"{name}\n{text}" for name, text in sorted(sources.items()))
    return hashlib.blake2b(joined.encode(), digest_size=12).hexdigest()


@cache
def _source(name: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(_path(name).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                f"{node.module}.{alias.name}"
                if _is_module(f"{node.module}.{alias.name}")
                else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    # not the package itself: it names everything there is
    imported = sorted(name for name in names if name.startswith("graphreid.") and _is_module(name))
    return ast.unparse(tree), tuple(imported)


def _path(name: str) -> Path:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str) -> bool:
    return name.startswith("graphreid.") and _path(name).is_file()


def code(modules: Iterable[str]) -> dict[str, Any]:
    """The package's version, the digest of the sources used, and in a checkout the commit and
    whether sources differ.
    """
    commit, dirty = _checkout()
    return {
        "version": version("graphreid"),
        "sources": digest(modules),
        "commit": commit,
        "dirty": dirty,
    }


@cache
def _checkout() -> tuple[str | None, bool | None]:
    """Commit and dirty flag; None where these sources are in no checkout (or git is not there)."""
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", str(PACKAGE))
    return (head, None if changed is None else bool(changed))


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            cwd=PACKAGE / "papers",
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def environment(resources: Resources) -> dict[str, Any]:
    """Python, libraries and processor; nothing that names a person or a machine."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": resources.threads or torch.get_num_threads(),
        "device": resources.device
        if resources.device == "cpu"
        else torch.cuda.get_device_name(resources.device),
    }


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
