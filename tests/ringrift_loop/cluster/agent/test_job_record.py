"""What travels about jobs and their folders: the same on the other side, and nothing from a host is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop.checked_json import line, parse
from ringrift_loop.cluster.agent import job_folder, job_record
from ringrift_loop.cluster.agent.gpus import Gpu
from ringrift_loop.cluster.agent.job_folder import FileEntry, FolderFiles
from ringrift_loop.cluster.agent.job_record import JobExit, JobFailure, JobSpec, JobStatus
from ringrift_loop.cluster.agent.requests import ExpectFolder, Gpus, Missing
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory

FAILURE = JobFailure("code", "exit status 3", "run", 3, None, "line one\nline two\n")
STATUS = JobStatus("failed", "ab" * 32, True, None, FAILURE, "log\n", 4, 4)
SPEC = JobSpec(("sh", "-c", 'echo "é $HOME" {input}'), 60.0, 900.0, (0, 3))
LISTING = FolderFiles({"a/b.bin": FileEntry(5, "cd" * 32)})


@pytest.mark.parametrize(
    "document",
    [
        SPEC,
        STATUS,
        JobExit(True, FAILURE),
        Gpus((Gpu(0, 24000, 100), Gpu(1, None, None))),
        ExpectFolder("jobs/ab/input", LISTING),
        Missing(("a/b.bin",)),
    ],
)
def test_everything_arrives_as_it_was_sent(document: Any) -> None:
    assert parse(line(document), type(document), "it") == document
    assert line(document).count(b"\n") == 1


def test_files_of_an_earlier_version_are_read() -> None:
    """As commit 6931780 wrote them."""
    spec = '{"v": 1, "command": ["sh", "-c", "echo \\"\\u00e9 $HOME\\" {input}"], '
    spec += '"limit_s": 60.0, "fence_s": 900.0, "gpus": [0, 3]}'
    assert job_record.spec_from_bytes(spec.encode()) == SPEC
    failure = {"failure_class": "code", "message": "exit status 3", "stage": "run", "exit_status": 3, "signal": None}
    failure |= {"stderr": "line one\nline two\n"}
    exits = [{"v": 1, "exit_status": 3, "signal": None, "cancelled": False, "failure": failure}]
    exits += [{"v": 1, "cancelled": False, "failure": failure}]
    assert [parse(json.dumps(one), JobExit, "exit.json").failure for one in exits] == [FAILURE, FAILURE]
    assert job_record.failure_from_json(failure) == FAILURE
    assert FAILURE.as_json() == failure


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "fine"},
        {"state": "failed\n"},
        {"digest": "x"},
        {"collected": 1},
        {"result": 7},
        {"log": "x" * (job_record.MAX_LOG_BYTES + 1)},
        {"log_next": -1},
        {"log_next": 10**400},
        {"log_next": 1 << 31},  # more than the ledger's column holds
        {"log_size": 1 << 31},
        {"log_size": True},
        {"mood": "good"},
        {"failure": {"failure_class": "other"}},
        {"failure": FAILURE.as_json() | {"exit_status": 1 << 40}},
        {"failure": FAILURE.as_json() | {"stderr": None}},
    ],
)
def test_a_status_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="a status"):
        parse(json.dumps(json.loads(line(STATUS)) | changes), JobStatus, "a status")


def test_what_a_host_says_of_a_failure_is_cut_to_size() -> None:
    failure = job_record.failure_from_json(FAILURE.as_json() | {"message": "a\x00\n" * 9999, "stderr": "é\x00" * 9999})
    assert len(failure.message) <= 500
    assert failure.message.isprintable()
    assert len(failure.stderr) == job_record.STDERR_TAIL_BYTES
    assert "\x00" not in failure.stderr


def test_a_log_keeps_its_lines_and_nothing_that_a_terminal_would_obey() -> None:
    assert JobStatus("running", log="a\tb\n\x1b[2J\x00\n").log == "a\tb\n?[2J?\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"command": []},
        {"command": ["a\x00"]},
        {"command": "true"},
        {"limit_s": 0},
        {"limit_s": 10**400},
        {"fence_s": None},
        {"gpus": [99]},
    ],
)
def test_a_spec_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="a job's spec"):
        job_record.spec_from_bytes(json.dumps(json.loads(line(SPEC)) | changes).encode())


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a//b", "a/../b", ".hidden", "-rf", "a\nb", "", "/".join("abcdefghij")]
)
def test_a_listing_with_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(DataError):
        parse(json.dumps({"files": {name: [1, "ab" * 32]}}), FolderFiles, "a listing")


@pytest.mark.parametrize(
    "entry", [[-1, "ab" * 32], [1, "AB" * 32], [1], 1, [True, "ab" * 32], [1.5, "ab" * 32], [10**400, "ab" * 32]]
)
def test_a_listing_with_an_impossible_file_is_refused(entry: Any) -> None:
    with pytest.raises(DataError, match="a listing"):
        parse(json.dumps({"files": {"x": entry}}), FolderFiles, "a listing")


def test_a_host_may_not_ask_for_files_that_nobody_spoke_of() -> None:
    with pytest.raises(DataError, match="nobody asked about"):
        Missing(("id_rsa",)).check_against(ExpectFolder("jobs/ab/input", LISTING))


@pytest.mark.parametrize("folder", ["jobs/x", "games/sealed/x", "../jobs/x/input", "/jobs/x/input", "jobs/../../x", ""])
def test_only_folders_within_a_jobs_own_are_touched(tmp_path: Path, folder: str) -> None:
    with pytest.raises(DataError):
        job_folder.below(HostDirectory(tmp_path), folder)


def test_a_file_that_is_not_what_was_announced_never_gets_its_name(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="arrived damaged"),
        job_folder.arriving(tmp_path / "x", FileEntry(3, "ab" * 32)) as file,
    ):
        file.write(b"abc")
    assert list(tmp_path.iterdir()) == []
