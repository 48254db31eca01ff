"""Which code made a number, and on which machine."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphreid.resources import Resources

PACKAGE = Path(__file__).parents[1]


def code() -> dict[str, Any]:
    """The package's version, a digest of its sources, and in a checkout the commit and whether
    sources differ from it.
    """
    commit, dirty = _checkout()
    return {"version": version("graphreid"), "sources": _digest(), "commit": commit, "dirty": dirty}


def environment(resources: Resources) -> dict[str, Any]:
    """Python, libraries and processor; nothing that names a person or a machine."""
    on_cpu = resources.device == "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": resources.threads or torch.get_num_threads(),
        "device": resources.device if on_cpu else torch.cuda.get_device_name(resources.device),
    }


@cache
def _digest() -> str:
    digest = hashlib.blake2b(digest_size=12)
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(file.relative_to(PACKAGE)).encode() + b"\n" + file.read_bytes())
    return digest.hexdigest()


@cache
def _checkout() -> tuple[str | None, bool | None]:
    """Commit and whether files differ; None where the sources are in no checkout, or git is not
    there.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    changed = _git("status", "--porcelain", "--", ".")
    return _git("rev-parse", "HEAD"), None if changed is None else bool(changed)


def _git(*words: str) -> str | None:
    command = ["git", *words]
    try:
        done = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
