"""Limits in trees of files as the kernel shows them, of both versions."""

from __future__ import annotations

import math
from pathlib import Path

import psutil
import pytest

from ringrift_loop.machine.cgroups import Cgroups
from ringrift_loop.machine.memory import job_limit, memory_total, worker_limit
from ringrift_loop.machine.utilization import cpu_use, memory_percent, read_cpu

GIB = 1 << 30


@pytest.fixture
def tree(tmp_path: Path) -> Cgroups:
    (tmp_path / "cgroup").mkdir()
    return Cgroups(tmp_path / "cgroup", tmp_path / "own")


def put(tree: Cgroups, folder: str, **files: object) -> None:
    """Write files of a group; `cpu_max` stands for `cpu.max`."""
    made = tree.mount / folder
    made.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (made / name.replace("_", ".", 1)).write_text(f"{content}\n")


def v2(tree: Cgroups) -> None:
    """A service with half a core and 1 GiB, within a slice with two cores and 8 GiB."""
    tree.own.write_text("0::/system.slice/loop.service\n")
    put(tree, "", cpu_stat="usage_usec 9000000")
    put(tree, "system.slice", cpu_max="200000 100000", cpu_stat="usage_usec 7000000")
    put(tree, "system.slice", memory_max=8 * GIB, memory_current=3 * GIB, memory_stat="inactive_file 1")
    put(tree, "system.slice/loop.service", cpu_max="50000 100000", cpu_stat="usage_usec 2500000\nuser_usec 1")
    put(
        tree,
        "system.slice/loop.service",
        memory_max=GIB,
        memory_current=GIB // 2,
        memory_stat=f"anon 5\ninactive_file {GIB // 4}",
        memory_events="low 0\noom 2\noom_kill 3",
    )


def v1(tree: Cgroups) -> None:
    """The same by version 1: a group of each controller."""
    own = "/system.slice/loop.service"
    lines = ["9:name=systemd:/x", f"4:memory:{own}", f"2:cpuacct:{own}", f"1:cpu:{own}", "0::/"]
    tree.own.write_text("\n".join(lines))
    for folder, quota in (("", -1), ("system.slice", 200000), (own[1:], 50000)):
        put(tree, f"cpu/{folder}", cpu_cfs_quota_us=quota, cpu_cfs_period_us=100000)
    for folder, ns in (("", 9), ("system.slice", 7), (own[1:], 2.5)):
        put(tree, f"cpuacct/{folder}", cpuacct_usage=int(ns * 1e9))
    none = 9223372036854771712
    for folder, limit, used in (("", none, 9 * GIB), ("system.slice", 8 * GIB, 3 * GIB), (own[1:], GIB, GIB // 2)):
        stat = f"inactive_file 7\ntotal_inactive_file {GIB // 4}"
        put(tree, f"memory/{folder}", memory_limit_in_bytes=limit, memory_usage_in_bytes=used, memory_stat=stat)
    put(tree, f"memory{own}", memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 3")


def hybrid(tree: Cgroups) -> None:
    """Version 1 with limits, and version 2 beside it with none."""
    v1(tree)
    put(tree, "unified", cgroup_procs="1")


@pytest.mark.parametrize("kernel", [v1, v2, hybrid])
def test_the_narrowest_limit_counts_with_its_own_use(tree: Cgroups, kernel: object) -> None:
    kernel(tree)  # type: ignore[operator]
    cpu, memory = tree.cpu_limit(), tree.memory_limit()
    assert cpu is not None and memory is not None
    assert (cpu.cores, cpu.usage_s()) == (0.5, 2.5)
    assert (memory.limit_bytes, memory.used_bytes) == (GIB, GIB // 4)
    assert tree.memory_kills() == 3
    counters = read_cpu({}, tree)
    assert (counters.cpus, counters.busy_s) == (0.5, 2.5)
    assert memory_percent(tree) == pytest.approx(25.0)
    assert (memory_total(tree), job_limit(0.0, tree), job_limit(0.75, tree)) == (GIB, GIB // 2, GIB * 3 // 4)


@pytest.mark.parametrize("kernel", [v1, v2])
def test_use_is_measured_against_the_limit(tree: Cgroups, kernel: object) -> None:
    kernel(tree)  # type: ignore[operator]
    before = read_cpu({}, tree)
    put(tree, "system.slice/loop.service", cpu_stat="usage_usec 5000000")
    put(tree, "cpuacct/system.slice/loop.service", cpuacct_usage=int(5e9))
    now = read_cpu({}, tree)
    object.__setattr__(now, "at", before.at + 10.0)
    use = cpu_use(before, now)
    assert use is not None
    assert use.cpu_percent == pytest.approx(50.0)  # 2.5 s in 10 s of half a core


def test_a_container_sees_its_own_group_as_the_root_of_version_1(tree: Cgroups) -> None:
    tree.own.write_text("3:memory:/docker/ab12\n2:cpu,cpuacct:/docker/ab12\n")
    put(tree, "cpu", cpu_cfs_quota_us=150000, cpu_cfs_period_us=100000)
    put(tree, "cpuacct", cpuacct_usage=int(1e9))
    put(tree, "memory", memory_limit_in_bytes=GIB, memory_usage_in_bytes=GIB // 8)
    cpu, memory = tree.cpu_limit(), tree.memory_limit()
    assert cpu is not None and memory is not None
    assert (cpu.cores, cpu.usage_s(), memory.limit_bytes) == (1.5, 1.0, GIB)


def test_without_limits_the_machine_is_the_limit(tree: Cgroups) -> None:
    for own in ("0::/\n", "4:memory:/\n2:cpuacct:/\n1:cpu:/\n0::/\n", "nonsense", ""):
        tree.own.write_text(own)
        assert (tree.cpu_limit(), tree.memory_limit(), tree.memory_kills()) == (None, None, 0)
    assert memory_total(tree) == psutil.virtual_memory().total
    assert worker_limit(0.0, tree) >= 2 * GIB


def test_a_limit_whose_use_nobody_counts_is_none(tree: Cgroups) -> None:
    tree.own.write_text("2:cpuacct:/\n1:cpu:/a\n")
    put(tree, "cpu/a", cpu_cfs_quota_us=50000, cpu_cfs_period_us=100000)
    put(tree, "cpuacct", cpuacct_usage=1)
    assert tree.cpu_limit() is None


def test_damaged_files_are_no_limit(tree: Cgroups) -> None:
    tree.own.write_text("0::/a\n")
    put(tree, "a", cpu_max="lots", memory_max="12x", memory_current="", memory_events="oom_kill many")
    assert (tree.cpu_limit(), tree.memory_limit(), tree.memory_kills()) == (None, None, 0)
    put(tree, "a", cpu_max="50000 100000")
    limit = tree.cpu_limit()
    assert limit is not None and math.isnan(limit.usage_s())
