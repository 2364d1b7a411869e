"""`ringrift-loop watch`: the page Overview as text, once and on a terminal."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from new_ledger import new_ledger
from pages import prepared
from ringrift_loop.cli import main
from ringrift_loop.cli.screen import screen
from ringrift_loop.config.schema import VARIANT_NAMES, LoopConfig
from ringrift_loop.ledger import events
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.views.overview import LoopState, read_state
from terminal import Terminal

SENTENCE = "Learning: square8_2p +118 ± 33 Elo in the last hour; hex8_2p waits for its gate."


@pytest.fixture
def ledger(run_home: Path) -> Ledger:
    """A loop that learns, with what a hostile host has said in its history."""
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    opened = Ledger.open(url)
    with opened.begin() as conn:
        prepared.fill(conn, time.time())
        events.record(conn, "host", "[red]no markup[/red] :smile:", at=time.time() - 1)
    return opened


def test_without_a_terminal_it_is_printed_once_as_plain_text(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == SENTENCE
    words = " ".join(out.split())
    assert "square8_2p 11 0ba70ba7 866 ± 24 +118 ± 33, last hour 380/300 hex8_2p" in words
    assert "hex8_2p waits for its gate promoted 24 min ago: gains 12 Elo" in words
    assert "Self-play by 2 of 2 workers, 360 games/h" in out
    assert "1 of 2 hosts failed three visits in a row or more" in out
    assert "24 new games from 1 host" in out
    assert err == ""


def test_what_hosts_have_said_is_neither_markup_nor_an_order_to_the_terminal(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--once"]) == 0
    out = capsys.readouterr().out
    assert "[red]no markup[/red] :smile:" in out
    assert "no answer?[31m <script>" in out
    with ledger.read() as conn:
        told = read_state(conn, LoopConfig(), ["local_a", "local_b"], now=time.time())
    # As if nobody before had seen to it.
    history = [replace(event, kind="a\x1b[2Jb", message="c\x1b]0;title\x07d") for event in told.events]
    shown = _printed(replace(told, problems=["e\x9b31mf"], events=history))
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    for text in ("a?[2Jb", "c?]0;title?d", "e?31mf"):
        assert text in shown


def _printed(told: LoopState) -> str:
    """On 80 columns."""
    page = io.StringIO()
    Console(file=page, width=80, color_system=None).print(screen(told))
    return page.getvalue()


def test_80_columns_hold_every_variant_on_a_line(ledger: Ledger) -> None:
    now = time.time()
    config = replace(LoopConfig(), variants=VARIANT_NAMES)
    with ledger.read() as conn:
        told = read_state(conn, config, ["local_a", "local_b"], now=now)
    far = [replace(view, pending=12_345, threshold=12_345, elo=-1234.0, interval=123.0) for view in told.variants]
    lines = _printed(replace(told, variants=far)).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.rstrip().endswith("12345/12345")]
    assert [row[0] for row in rows] == list(VARIANT_NAMES)
    assert all("-1234 ± 123" in " ".join(row) for row in rows)


@pytest.fixture
def terminal(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Of 80 columns and 60 lines."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    with Terminal() as opened:
        yield opened


@contextmanager
def _watching(terminal: Terminal) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "ringrift_loop.cli", "watch"]
    # Named, for otherwise a child gets LINES and COLUMNS as well, which readline has set behind os.environ.
    watching = subprocess.Popen(
        command,
        stdin=terminal.inner,
        stdout=terminal.inner,
        env=dict(os.environ),
        # Whatever a shell starts in the background ignores it; nothing in a terminal does.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield watching
    finally:
        watching.kill()
        watching.wait()


def test_a_terminal_sees_what_happens_and_is_left_as_it_was(ledger: Ledger, terminal: Terminal) -> None:
    with _watching(terminal) as watching:
        seen = terminal.read_until("curriculum")
        assert SENTENCE in seen
        assert "no answer?[31m <script>" in seen
        with ledger.begin() as conn:
            events.record(conn, "gate", "something new", at=time.time())
        terminal.read_until("something new")
        watching.send_signal(signal.SIGINT)
        terminal.read_until("\x1b[?25h\x1b[?1049l")  # the cursor and the earlier text
        assert watching.wait(timeout=20) == 0


def test_sigterm_leaves_the_terminal_as_it_was_too(terminal: Terminal) -> None:
    with _watching(terminal) as watching:
        terminal.read_until(SENTENCE)
        watching.terminate()
        terminal.read_until("\x1b[?25h\x1b[?1049l")
        assert watching.wait(timeout=20) == 0
