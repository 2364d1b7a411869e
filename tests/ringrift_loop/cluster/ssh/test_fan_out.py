"""One command on several hosts: each has its result, and enough is what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringrift_loop.cluster.ssh import fan_out as module
from ringrift_loop.cluster.ssh.fan_out import FAILED, OK, TIMED_OUT, UNREACHABLE, fan_out
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Host

HERE = Host("here", "local", frozenset())


def test_every_host_has_a_result_and_only_an_exit_status_of_0_is_a_success(
    ssh_server: Any, ssh_host: Callable[..., Host]
) -> None:
    good, swapped, gone = (ssh_server(name) for name in "abc")
    hosts = [ssh_host("a", good), ssh_host("b", swapped, key="SHA256:" + "A" * 43), ssh_host("c", gone), HERE]
    gone.stop()

    report = fan_out(hosts, 'echo hello; echo oops >&2; test -n "$SSH_CONNECTION$HOME"', min_success=2)

    assert [result.status for result in report.results] == [OK, UNREACHABLE, UNREACHABLE, OK]
    assert [result.exit_status for result in report.results] == [0, None, None, 0]
    assert (report.results[0].stdout, report.results[0].stderr) == ("hello\n", "oops\n")
    assert (report.outcome, report.succeeded, report.failed) == ("partial", ["a", "here"], ["b", "c"])
    lines = report.table().splitlines()
    assert lines[0].split() == ["host", "status", "exit", "seconds", "last", "words"]
    assert "host key is not the host_key" in lines[2]
    assert "nothing listens" in lines[3]


def test_a_command_that_takes_too_long_is_ended_with_its_children(
    ssh_server: Any, ssh_host: Callable[..., Host], tmp_path: Any
) -> None:
    hosts = [ssh_host("a", ssh_server("a")), HERE]

    report = fan_out(hosts, f"(sleep 30; touch {tmp_path}/late) & sleep 30", limit_s=2.4)

    assert [result.status for result in report.results] == [TIMED_OUT, TIMED_OUT]
    assert report.outcome == "too few"
    assert [result.exit_status for result in report.results] == [124, 124]


def test_words_are_not_read_by_a_shell_and_may_differ_from_host_to_host() -> None:
    assert fan_out([HERE], ["echo", "$HOME;", "a  b"]).results[0].stdout == "$HOME; a  b\n"
    hosts = [HERE, replace(HERE, name="there")]
    report = fan_out(hosts, lambda host: ["echo", host.name])
    assert [result.stdout for result in report.results] == ["here\n", "there\n"]
    assert report.outcome == "all"


def test_a_command_that_is_killed_early_failed_and_was_not_too_slow() -> None:
    (result,) = fan_out([HERE], "kill -9 $PPID; sleep 5").results
    assert (result.status, result.exit_status) == (FAILED, 137)


@pytest.mark.parametrize(
    ("asked", "hosts", "needed"), [(None, 7, 7), (3, 7, 3), (0, 7, 0), (0.5, 7, 4), (0.9, 10, 9), (0.01, 10, 1)]
)
def test_min_success_is_a_number_or_a_share_rounded_up(asked: Any, hosts: int, needed: int) -> None:
    assert module._needed(asked, hosts) == needed


@pytest.mark.parametrize("asked", [-1, 8, 1.5])
def test_an_impossible_min_success_is_refused(asked: Any) -> None:
    with pytest.raises(ConfigError, match="min_success is a number of hosts up to 7"):
        module._needed(asked, 7)


def test_no_more_hosts_than_allowed_are_busy_at_once(tmp_path: Any) -> None:
    hosts = [replace(HERE, name=f"h{number}") for number in range(6)]
    # Each counts who is there beside it; the folder's entries are made and removed by the commands themselves.
    script = f"mkdir {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.1; rmdir {tmp_path}/$$"

    report = fan_out(hosts, script, at_once=2)

    assert max(int(result.stdout) for result in report.results) <= 2
    assert len(report.succeeded) == 6
