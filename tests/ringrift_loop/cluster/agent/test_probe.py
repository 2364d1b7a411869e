"""What a host says of itself: looked up on this machine, over the wire, by our program and by the shell alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop import __version__
from ringrift_loop.cli import main
from ringrift_loop.cluster.agent.probe import Gpu, facts_from_bytes, facts_to_bytes, host_facts
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.inventory import parse_inventory

Script = Callable[[str], None]


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """A program of that name that does what a line of shell says."""

    def put(line: str) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return put


def test_facts_of_this_machine_survive_the_wire(tmp_path: Path) -> None:
    facts = host_facts(tmp_path)
    assert facts_from_bytes(b"Welcome!\n" + facts_to_bytes(facts)) == facts
    assert (facts.version, facts.write_problem, facts.whole) == (__version__, None, True)
    assert min(facts.disk_free_bytes or 0, facts.memory_available_bytes or 0, facts.cpus or 0) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_one_line_and_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "probe", "--root", str(tmp_path / "none" / "yet")]) == 0
    assert facts_from_bytes(capsys.readouterr().out.encode()).version == __version__
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_told_with_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert (host_facts(tmp_path / "file" / "root").write_problem or "").endswith("Not a directory")


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, nvidia_smi: Script) -> None:
    nvidia_smi("printf '0, NVIDIA A10, rev 2, 23028, 22510\\n1, NVIDIA GB10, [N/A], [N/A]\\n'")
    facts = host_facts(tmp_path)
    assert facts.gpus == (Gpu(0, "NVIDIA A10, rev 2", 23028, 22510), Gpu(1, "NVIDIA GB10", None, None))
    assert facts_from_bytes(facts_to_bytes(facts)).gpus == facts.gpus


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "echo 'Driver/library version mismatch'; exit 18",
            "nvidia-smi ended with 18: Driver/library version mismatch",
        ),
        ("echo surprise", "nvidia-smi said 'surprise'"),
    ],
)
def test_a_failing_nvidia_smi_is_a_problem(tmp_path: Path, nvidia_smi: Script, line: str, problem: str) -> None:
    nvidia_smi(line)
    facts = host_facts(tmp_path)
    assert (facts.gpus, facts.gpu_problem) == ((), problem)


def test_a_machine_without_nvidia_smi_has_no_gpu_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (host_facts(tmp_path).gpus, host_facts(tmp_path).gpu_problem) == ((), None)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"v": 99, "version": "9.9"}, r"v=99 by ringrift-loop '9.9', this is .*; install the same version"),
        ({"disk_free_bytes": -1}, "disk_free_bytes must be a whole number"),
        ({"disk_free_bytes": 1 << 60}, "disk_free_bytes must be a whole number"),
        ({"memory_total_bytes": 1.5}, "memory_total_bytes must be a whole number"),
        ({"cpus": True}, "cpus must be a whole number"),
        ({"clock": float("nan")}, "clock must be a number"),
        ({"load": "high"}, "load must be a number"),
        ({"version": ["0.1"]}, "version must be text"),
        ({"rsync": 1}, "rsync must be true or false"),
        ({"gpus": [{}] * 65}, "gpus must be a list of at most 64"),
        ({"gpus": [{"index": 0}]}, "gpus must be GPUs with index and name"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    document = {"v": 1, **asdict(host_facts(tmp_path)), **changes}
    with pytest.raises(DataError, match=complaint):
        facts_from_bytes(json.dumps(document).encode())


def test_texts_of_a_host_are_cut_and_hold_nothing_that_moves_a_cursor(tmp_path: Path) -> None:
    document = {"v": 1, **asdict(host_facts(tmp_path)), "write_problem": "\x1b[2J" + "x" * 10_000}
    problem = facts_from_bytes(json.dumps(document).encode()).write_problem
    assert problem is not None
    assert problem.startswith("?[2Jx")
    assert len(problem) == 500


@pytest.mark.parametrize("root", ["it's; a $(touch hurt) root", "-n"])
def test_without_our_program_the_shell_tells_what_it_can(tmp_path: Path, root: str) -> None:
    text = "standard_hosts:\n  a: {ssh_host: 192.0.2.1, remote_path: /nowhere}"
    host = parse_inventory(text, "hosts.yaml").hosts["a"]
    (tmp_path / root).mkdir()
    line = commands.bounded([*commands.probe(host)[:-1], root], 10)
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd=tmp_path, check=True)
    facts = facts_from_bytes(done.stdout)
    assert (facts.version, facts.whole, facts.write_problem, facts.gpus) == (None, False, None, None)
    assert (facts.python or "").startswith("3.")
    assert min(facts.disk_free_bytes or 0, facts.memory_available_bytes or 0, facts.cpus or 0) > 0
    assert b"/nowhere/venv/bin/ringrift-loop: not found" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [root]
    assert list((tmp_path / root).iterdir()) == []


def test_lines_of_the_shell_that_do_not_fit_say_nothing() -> None:
    said = b"sh-probe\nprogram other 1\npython Python 3 evil\ncpus -4\nclock 1e9\nrsync maybe\n\n"
    said += b"disk_free_kib 99999999999999999999\n"
    facts = facts_from_bytes(said)
    assert (facts.version, facts.python, facts.cpus, facts.clock) == (None, None, None, None)
    assert (facts.disk_free_bytes, facts.rsync) == (None, None)
