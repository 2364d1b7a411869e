"""The registry of what hosts can be asked: one declaration is enough for the command line and the transports."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import pytest

from ringrift_loop.checked_json import Count, Document
from ringrift_loop.cli import main
from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.agent.actions import ACTIONS, Action
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.layout import HostDirectory


class Question(Document, frozen=True):
    number: Count


class Answer(Document, frozen=True):
    root: str
    twice: int


TWICE = Action(
    "twice", "double", Question, Answer, lambda host_dir, asked: Answer(str(host_dir.root), 2 * asked.number)
)


def ask(monkeypatch: pytest.MonkeyPatch, name: str, root: Path, stdin: bytes) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    return main(["host", name, "--root", str(root)])


def test_a_new_action_is_answered_by_a_local_host_and_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ACTIONS, "twice", TWICE)
    wanted, token = Answer(str(tmp_path), 42), wire.new_token()
    assert asyncio.run(LocalTransport(HostDirectory(tmp_path)).call(TWICE, Question(21))) == wanted
    assert ask(monkeypatch, "twice", tmp_path, wire.request_line(Question(21), token)) == 0
    assert wire.read_answer(capsys.readouterr().out.encode(), token, Answer) == wanted


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("request_json", ['{"mood": "good"}', "[" * 100_000, "5", ""])
def test_no_action_takes_a_request_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, request_json: str
) -> None:
    call = f'{{"v": {wire.VERSION}, "version": "1", "token": "{wire.new_token()}", "request": {request_json}}}'
    assert ask(monkeypatch, name, tmp_path, call.encode()) == 1
    said = capsys.readouterr()
    assert (said.out, "a request" in said.err, list(tmp_path.iterdir())) == ("", True, [])


def test_a_host_that_reports_loads_nothing_heavy() -> None:
    code = "import sys; from ringrift_loop.cluster.agent import actions; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "numpy", "torch", "onnxruntime", "sqlalchemy", "asyncssh"} & set(loaded)
