"""What a host says of itself: looked up on this machine, over the wire, by our program and by the shell alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop import __version__
from ringrift_loop.checked_json import line, parse
from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.agent.probe import HostFacts, facts_from_shell, host_facts
from ringrift_loop.cluster.agent.requests import Nothing
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.inventory import parse_inventory


def test_facts_of_this_machine_survive_the_wire(tmp_path: Path) -> None:
    facts = host_facts(tmp_path)
    assert parse(line(facts), HostFacts, "a probe") == facts
    assert (facts.version, facts.write_problem, facts.whole) == (__version__, None, True)
    assert min(facts.disk_free_bytes or 0, facts.memory_available_bytes or 0, facts.cpus or 0) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_told_with_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert (host_facts(tmp_path / "file" / "root").write_problem or "").endswith("Not a directory")


def test_a_failing_nvidia_smi_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    facts = host_facts(tmp_path)
    assert facts.gpus == ()
    assert facts.gpu_problem == "nvidia-smi ended with exit status 18: Driver/library version mismatch"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"disk_free_bytes": -1}, "disk_free_bytes: Expected `int` >= 0, got -1"),
        ({"disk_free_bytes": 1 << 60}, "disk_free_bytes: Expected `int` <= "),
        ({"disk_free_bytes": 10**400}, "disk_free_bytes: Expected `int` <= "),
        ({"memory_total_bytes": 1.5}, "memory_total_bytes: Expected `int | null`, got `float`: 1.5"),
        ({"cpus": True}, "cpus: Expected `int | null`, got `bool`: True"),
        ({"load": 10**400}, "load: Number out of range"),
        ({"load": "high"}, "load: Expected `float | null`, got `str`: 'high'"),
        ({"version": ["0.1"]}, "version: Expected `str | null`"),
        ({"version": "0\n"}, "version: Expected `str` matching"),
        ({"rsync": 1}, "rsync: Expected `bool | null`, got `int`: 1"),
        ({"gpus": [{}] * 65}, "gpus"),
        ({"gpus": [{"index": 0}]}, r"gpus\[0\]: Object missing required field `total_mib`"),
        ({"gpus": [{"index": 0, "total_mib": 1, "free_mib": 2}]}, r"gpus\[0\]: 2 of 1 MiB are free"),
        ({"mood": "good"}, "unknown field `mood`"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        parse(json.dumps(json.loads(line(host_facts(tmp_path))) | changes), HostFacts, "a probe")


def test_texts_of_a_host_are_cut_and_hold_nothing_that_moves_a_cursor(tmp_path: Path) -> None:
    document = json.loads(line(host_facts(tmp_path))) | {"write_problem": "\x1b[2J" + "x" * 10_000}
    problem = parse(json.dumps(document), HostFacts, "a probe").write_problem
    assert problem is not None
    assert problem.startswith("?[2Jx")
    assert len(problem) == 500


def probed(folder: Path, remote_path: Path, root: str) -> tuple[bytes, bytes, str]:
    """Have sh run the script; its output, what it complained of, and the token of our program's answer."""
    text = f"standard_hosts:\n  a: {{ssh_host: 192.0.2.1, remote_path: {remote_path}, root: {json.dumps(root)}}}"
    host = parse_inventory(text, "hosts.yaml").hosts["a"]
    token = wire.new_token()
    script = commands.probe_script(host, wire.request_line(Nothing(), token), "<shell>", "</shell>")
    line = commands.bounded(commands.script(), 10)
    done = subprocess.run(["sh", "-c", line], input=script, capture_output=True, cwd=folder, check=True)
    return done.stdout, done.stderr, token


def test_our_program_answers_the_probe_and_makes_no_folder(tmp_path: Path) -> None:
    program = tmp_path / "p" / "venv" / "bin" / "ringrift-loop"
    program.parent.mkdir(parents=True)
    program.symlink_to(Path(sys.executable).parent / "ringrift-loop")
    output, _, token = probed(tmp_path, tmp_path / "p", "none/yet")
    assert b"<shell>" not in output
    assert wire.read_answer(output, token, HostFacts).version == __version__
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize("root", ["it's; a $(touch hurt) root!", "$HOME"])
def test_without_our_program_the_shell_tells_what_it_can(tmp_path: Path, root: str) -> None:
    (tmp_path / root).mkdir()
    output, complaint, _ = probed(tmp_path, Path("/nowhere"), root)
    facts = facts_from_shell(output.decode().partition("<shell>")[2].partition("</shell>")[0])
    assert (facts.version, facts.whole, facts.write_problem, facts.gpus) == (None, False, None, None)
    assert (facts.python or "").startswith("3.")
    assert min(facts.disk_free_bytes or 0, facts.memory_available_bytes or 0, facts.cpus or 0) > 0
    assert b"/nowhere/venv/bin/ringrift-loop: not found" in complaint
    assert [path.name for path in tmp_path.iterdir()] == [root]
    assert list((tmp_path / root).iterdir()) == []


def test_lines_of_the_shell_that_do_not_fit_say_nothing() -> None:
    said = "\nprogram other 1\npython Python 3 evil\ncpus -4\nclock 1e9\nrsync maybe\n\n"
    facts = facts_from_shell(said + "disk_free_kib 99999999999999999999\n")
    assert (facts.version, facts.python, facts.cpus, facts.clock) == (None, None, None, None)
    assert (facts.disk_free_bytes, facts.rsync) == (None, None)
