"""What travels about jobs and their folders: the same on the other side, and nothing from a host is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop.cluster.agent import job_folder, job_record
from ringrift_loop.cluster.agent.job_folder import FileEntry
from ringrift_loop.cluster.agent.job_record import Gpu, JobFailure, JobSpec, JobStatus
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory

FAILURE = JobFailure("code", "exit status 3", "run", 3, None, "line one\nline two\n")
STATUS = JobStatus("failed", "ab" * 32, True, None, FAILURE, "log\n", 4, 4)


def test_everything_arrives_as_it_was_sent() -> None:
    spec = JobSpec(("sh", "-c", 'echo "é $HOME" {input}'), 60.0, 900.0, (0, 3))
    assert job_record.spec_from_bytes(job_record.spec_to_bytes(spec)) == spec
    assert job_record.status_from_bytes(job_record.status_to_bytes(STATUS)) == STATUS
    gpus = (Gpu(0, 24000, 100), Gpu(1, 24000, 24000))
    assert job_record.gpus_from_bytes(job_record.gpus_to_bytes(gpus)) == gpus
    listing = {"a/b.bin": FileEntry(5, "cd" * 32)}
    assert job_folder.listing_from_bytes(job_folder.listing_to_bytes(listing)) == listing
    assert job_folder.missing_from_bytes(job_folder.missing_to_bytes(["a/b.bin"]), listing) == ["a/b.bin"]


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"state": "fine"},
        {"digest": "x"},
        {"collected": 1},
        {"result": 7},
        {"log": "x" * (job_record.MAX_LOG_BYTES + 1)},
        {"log_next": -1},
        {"log_size": True},
        {"failure": {"failure_class": "other"}},
        {"failure": FAILURE.as_json() | {"exit_status": 1 << 40}},
        {"failure": FAILURE.as_json() | {"stderr": None}},
    ],
)
def test_a_status_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    document = json.loads(job_record.status_to_bytes(STATUS)) | changes
    with pytest.raises(DataError):
        job_record.status_from_bytes(json.dumps(document).encode())


def test_what_a_host_says_of_a_failure_is_cut_to_size() -> None:
    failure = job_record.failure_from_json(FAILURE.as_json() | {"message": "a\x00\n" * 9999, "stderr": "é\x00" * 9999})
    assert len(failure.message) <= 500
    assert failure.message.isprintable()
    assert len(failure.stderr) == job_record.STDERR_TAIL_BYTES
    assert "\x00" not in failure.stderr


@pytest.mark.parametrize(
    "changes",
    [{"command": []}, {"command": ["a\x00"]}, {"command": "true"}, {"limit_s": 0}, {"fence_s": None}, {"gpus": [99]}],
)
def test_a_spec_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    document = json.loads(job_record.spec_to_bytes(JobSpec(("true",), 60.0))) | changes
    with pytest.raises(DataError):
        job_record.spec_from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a//b", "a/../b", ".hidden", "-rf", "a\nb", "", "/".join("abcdefghij")]
)
def test_a_listing_with_an_unsafe_name_is_refused(name: str) -> None:
    raw = json.dumps({"v": 1, "files": {name: [1, "ab" * 32]}}).encode()
    with pytest.raises(DataError):
        job_folder.listing_from_bytes(raw)


@pytest.mark.parametrize("entry", [[-1, "ab" * 32], [1, "AB" * 32], [1], 1, [True, "ab" * 32], [1.5, "ab" * 32]])
def test_a_listing_with_an_impossible_file_is_refused(entry: Any) -> None:
    with pytest.raises(DataError):
        job_folder.listing_from_bytes(json.dumps({"v": 1, "files": {"x": entry}}).encode())


def test_a_host_may_not_ask_for_files_that_nobody_spoke_of() -> None:
    with pytest.raises(DataError):
        job_folder.missing_from_bytes(b'{"v": 1, "missing": ["id_rsa"]}', {"x": FileEntry(1, "ab" * 32)})


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
