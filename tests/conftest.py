"""Every annotated shape is checked while the tests run; data beside the checkout is found in one
place.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "graphreid"

# numba compiles the functions of kernels/ itself, cyclopts reads the signatures of cli/, and pytest
# rewrites the asserts of testing/: those stay as they are
CHECKED = [
    ".".join(("graphreid", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in ("kernels", "cli", "testing", "__init__.py")
]
install_import_hook(CHECKED, "beartype.beartype")


@pytest.fixture
def golden() -> Path:
    """Numbers that published code gives on small inputs."""
    return ROOT / "tests" / "golden"


def skip_unless_ci(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks; where the environment says CI, fail, for nothing may
    be lacking there.
    """
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason} (CI is set: nothing is skipped)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def shared() -> Path:
    """The folder with the data sets and the papers' texts, which are not part of the repository."""
    folder = Path(os.environ.get("GRAPHREID_SHARED", ROOT.parent / "shared"))
    for name in ("data", "papers"):
        if not (folder / name).is_dir():
            skip_unless_ci(
                f"no {name}/ in {folder}: set GRAPHREID_SHARED to the folder that has it"
            )
    return folder
