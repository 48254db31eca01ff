import os
from pathlib import Path

import pytest

from graphreid.atomic_files import whole_file, whole_folder


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with whole_file(target) as temporary:
        temporary.write_text("all")
        assert not target.exists()
    assert target.read_text() == "all"
    assert target.stat().st_mode & 0o600 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("before")

    def fail() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with whole_folder(target) as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    with pytest.raises(ValueError, match="exists already"), whole_folder(target):
        pass
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "other"):
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_what_can_not_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot write"), whole_file(tmp_path / "no" / "out.txt"):
        pass
    with pytest.raises(ValueError, match="is a folder"), whole_file(tmp_path):
        pass
    with pytest.raises(ValueError, match="device or a pipe"), whole_file("/dev/null"):
        pass
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="device or a pipe"), whole_file(pipe):
        pass
    with pytest.raises(ValueError, match="cannot write"), whole_folder(tmp_path / "no" / "out"):
        pass
