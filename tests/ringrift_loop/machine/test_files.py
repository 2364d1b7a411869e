from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ringrift_loop.machine.files import arriving, open_plain, write_json, write_whole


def test_a_file_is_replaced_as_a_whole_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.json"
    write_json(path, {"a": 1})
    write_whole(path, b"other")
    assert path.read_bytes() == b"other"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def write() -> None:
        with arriving(path) as file:
            file.write(b"half of the n")
            raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        write()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_only_a_plain_file_is_opened_and_a_pipe_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"text")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    with open_plain(tmp_path / "plain") as file:
        assert file.read() == b"text"
    for name in ("pipe", "link", "."):
        with pytest.raises(OSError, match=r"not a plain file|symbolic links|Is a directory"):
            open_plain(tmp_path / name)
