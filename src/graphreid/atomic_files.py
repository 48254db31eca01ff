"""Outputs appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def writable(path: str | Path) -> None:
    """Refuse early, before long work, an output that can't be written.

    Raises:
        ValueError: as `whole_file`.
    """
    target = _file(path)
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"cannot write {target}: does the folder exist, may you write there?")


@contextmanager
def whole_file(path: str | Path) -> Generator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and vanishes
    when it does not.

    Raises:
        ValueError: the folder is missing or not writable, or `path` is a folder, a device or a
            pipe.
    """
    target = _file(path)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent
        )
    except OSError as error:
        raise ValueError(
            f"cannot write {target}: {error.strerror} (does the folder exist, may you write there?)"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Generator[Path]:
    """The same for a folder; `path` must not exist yet, or be an empty folder.

    Raises:
        ValueError: `path` holds something already, or its parent is missing or not writable.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists already: remove it, or choose another name")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ValueError(
            f"cannot write {target}: {error.strerror} (does the folder exist, may you write there?)"
        ) from None
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _file(path: str | Path) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"{target} is a folder: give the name of a file")
    if target.exists() and not target.is_file():  # it would be replaced: /dev/null by a file
        raise ValueError(f"{target} is a device or a pipe: give the name of a file")
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
