"""The commands that README and pages show: each is one that its program takes, and the harmless ones run."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from new_ledger import new_ledger
from ringrift_airflow.dag_pages import load_dags
from ringrift_airflow.params import filled_in
from ringrift_loop.cli.entry import COMMANDS, build_parser, main, subparsers_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "log.md")]
# What stands for a word of the reader's own, with one that the program takes.
WORDS = {"VARIANT": "square8_2p", "N": "2", "...": "a reason"}
HARMLESS = {
    ("config", "show"), ("config", "check"), ("config", "reference"), ("status",), ("watch",), ("hosts",),
    ("ledger", "verify"), ("ledger", "events"), ("workers", "rate"),
}  # fmt: skip


def _shown(program: str) -> Iterator[str]:
    """Every command of a program, in blocks and in the text, as the page has it; a line's end is a space."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        indented = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + indented
        inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        for shown in (*lines, *(" ".join(span.split()) for span in inline)):
            for part in re.split(r"[;|]|&&| > ", shown.partition(" # ")[0]):
                if re.match(rf"(\S*/)?{program} ", part.strip()):
                    yield part.strip()


def _arguments(shown: str) -> list[str]:
    return [WORDS.get(word, word) for word in shlex.split(shown)[1:]]


COMMAND_LINES = sorted({shown for shown in _shown("ringrift-loop") if "[" not in shown.split()[0]})
TRIGGERS = sorted(set(_shown("airflow dags trigger")))


def test_the_pages_show_commands() -> None:
    assert len(COMMAND_LINES) > 40
    assert len(TRIGGERS) >= 2


@pytest.mark.parametrize("shown", COMMAND_LINES)
def test_a_documented_command_is_one_that_the_program_takes(shown: str) -> None:
    arguments = _arguments(shown)
    known = [word for word in arguments if not word.startswith("-")]
    assert known[:1] and known[0] in COMMANDS, shown
    parser = build_parser(known[0])
    try:
        parser.parse_args(arguments)
    except SystemExit as ended:
        assert ended.code == 0 or _is_named_only(parser, arguments), shown


def _is_named_only(parser: argparse.ArgumentParser, arguments: list[str]) -> bool:
    """Whether there is nothing but names of commands, as where the text speaks of one."""
    for word in arguments:
        below = subparsers_of(parser)
        if word not in below:
            return False
        parser = below[word]
    return True


@pytest.mark.parametrize("shown", TRIGGERS)
def test_a_documented_trigger_names_a_dag_and_fills_in_its_form(shown: str, dags: dict[str, Any]) -> None:
    dag_id, *rest = _arguments(shown)[2:]
    conf = json.loads(rest[rest.index("--conf") + 1]) if rest else {}
    assert dag_id in dags
    params = dags[dag_id].params
    filled_in({name: params.get_param(name).schema for name in params}, conf)


def _is_harmless(arguments: list[str]) -> bool:
    words = tuple(word for word in arguments if not word.startswith("-"))
    changes = "--hosts" in arguments or not {"reset", "trust"}.isdisjoint(words)
    return (words[:2] in HARMLESS or words[:1] in HARMLESS) and not changes


@pytest.mark.parametrize("shown", [shown for shown in COMMAND_LINES if _is_harmless(_arguments(shown))])
def test_a_harmless_documented_command_runs(
    shown: str, run_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    monkeypatch.chdir(ROOT)
    arguments = _arguments(shown)
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 0 or _is_named_only(build_parser(arguments[0]), arguments), capsys.readouterr().err
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return load_dags(ROOT / "dags")
