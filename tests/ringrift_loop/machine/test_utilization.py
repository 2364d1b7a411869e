from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringrift_loop.machine.utilization import CpuCounters, cpu_use, disk_percent, memory_percent, read_cpu, read_gpus

BEFORE = CpuCounters("m", 1000.0, 500.0, {"workers": 100.0, "jobs": 7.0}, 4.0)


def test_use_is_the_share_of_all_cores_between_two_readings() -> None:
    now = CpuCounters("m", 1030.0, 584.0, {"workers": 160.0, "jobs": 7.0, "new": 6.0}, 4.0)
    use = cpu_use(BEFORE, now)
    assert use is not None
    assert use.cpu_percent == pytest.approx(70.0)  # 84 of 120 CPU seconds
    assert use.groups == pytest.approx({"workers": 50.0, "jobs": 0.0, "new": 5.0})


@pytest.mark.parametrize(
    "change", [{"machine": "other"}, {"at": 1001.0}, {"cpus": 8.0}], ids=["another start", "too soon", "more cores"]
)
def test_readings_that_do_not_belong_together_tell_nothing(change: dict[str, object]) -> None:
    now = CpuCounters("m", 1030.0, 584.0, {}, 4.0)
    assert cpu_use(BEFORE, dataclasses.replace(now, **change)) is None  # type: ignore[arg-type]


def test_a_group_whose_processes_have_ended_is_not_taken_for_an_idle_one() -> None:
    assert cpu_use(BEFORE, CpuCounters("m", 1030.0, 584.0, {"workers": 40.0, "jobs": 7.0}, 4.0)) is None


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A shell whose child computes."""
    code = "import time; end = time.time() + 60\nwhile time.time() < end: pass"
    process = subprocess.Popen(["/bin/sh", "-c", f"{sys.executable} -c '{code}'; true"])
    yield process
    subprocess.run(["pkill", "-P", str(process.pid)], check=False)
    process.wait(10)


def test_what_a_childs_child_computes_counts_for_its_group_and_only_once(busy: subprocess.Popen[bytes]) -> None:
    groups = {"workers": [busy.pid], "again": [os.getpid()]}  # the second holds the first as its child
    before = read_cpu(groups)
    over = time.monotonic() + 20.0
    grown = 0.0
    while grown < 0.3 and time.monotonic() < over:
        time.sleep(0.1)
        now = read_cpu(groups)
        grown = now.groups["workers"] - before.groups["workers"]
    assert grown >= 0.3
    assert now.groups["again"] - before.groups["again"] < grown
    assert now.busy_s - before.busy_s >= grown * 0.9
    assert now.machine == before.machine


def test_memory_and_gpus_are_told_or_absent_without_a_fault() -> None:
    assert 0.0 < memory_percent() < 100.0
    gpus, problem = read_gpus()
    assert problem is None
    assert all(gpu.memory_used_mib <= gpu.memory_total_mib for gpu in gpus)


@pytest.mark.parametrize(
    ("gib", "free_gib", "files", "free_files", "percent"),
    [(100, 30, 10, 10, 70.0), (10_000, 50, 10, 10, 75.0), (10_000, 900, 10, 10, 0.0), (100, 30, 1000, 10, 99.0)],
    ids=["small", "large", "large and empty", "out of files"],
)
def test_a_disk_is_as_full_as_its_scarcer_half(
    monkeypatch: pytest.MonkeyPatch, gib: int, free_gib: int, files: int, free_files: int, percent: float
) -> None:
    told = {"f_blocks": gib << 18, "f_bavail": free_gib << 18, "f_frsize": 4096}
    told |= {"f_files": files, "f_favail": free_files}
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(**told))
    assert disk_percent(Path()) == pytest.approx(percent)


def test_the_disk_of_this_machine_is_told(tmp_path: Path) -> None:
    assert 0.0 <= disk_percent(tmp_path) <= 100.0
    with pytest.raises(OSError):
        disk_percent(tmp_path / "gone")
