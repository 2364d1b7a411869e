"""Command lines are run here as a host's shell would run them: what went in comes out."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringrift_loop.cli import build_parser
from ringrift_loop.cluster.agent.actions import ACTIONS
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.hosts.inventory import Host

HOST = Host("a", "ssh", frozenset(), ssh_host="h", root="/srv/it's here; rm -rf $HOME")


def words_of(command: list[str]) -> list[str]:
    """The words that a program gets when the line is run by /bin/sh."""
    line = commands.bounded(["printf", "%s\\0", *command], 5)
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_any_word_reaches_the_program_as_it_is(words: list[str]) -> None:
    assert words_of(words) == words


def test_our_own_commands_keep_strange_folders_in_one_word() -> None:
    for action in ACTIONS:
        command = commands.action(HOST, action)
        assert words_of(command) == command
        assert command[command.index("--root") + 1] == HOST.root


def test_the_commands_are_ones_that_the_program_knows() -> None:
    parser = build_parser("host")
    for action in ACTIONS:
        assert parser.parse_args(commands.action(HOST, action)[1:]).action == action
    assert build_parser("engine").parse_args(commands.compile_engine(HOST)[1:]).action == "compile"


def test_the_program_is_found_where_it_was_installed() -> None:
    host = Host("a", "ssh", frozenset(), ssh_host="h", remote_path="/opt/ringrift/")
    assert commands.action(host, "report")[0] == "/opt/ringrift/venv/bin/ringrift-loop"
    assert commands.action(host, "report")[-2:] == ["--root", "ringrift"]


def test_a_bounded_command_ends_in_time_and_a_limit_of_nought_is_refused() -> None:
    line = commands.bounded(commands.shell("trap '' TERM; sleep 20 & exit 5"), 20)
    assert subprocess.run(["/bin/sh", "-c", line], stdout=subprocess.DEVNULL, check=False).returncode == 5
    with pytest.raises(ValueError, match="above 0"):
        commands.bounded(["true"], 0)
