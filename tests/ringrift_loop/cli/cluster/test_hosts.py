"""`ringrift-loop hosts`: the fleet from the ledger, and `hosts reset`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli import main
from ringrift_loop.launcher.leftovers import launch_lock
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, hosts, models, promotions, state, workers
from ringrift_loop.ledger.database import Ledger

HOSTS = """
standard_hosts:
  a: {ssh_host: 192.0.2.1, ssh_user: loop, role: 'selfplay,training', max_workers: 3, gpu_type: H100, cpus: 64}
  b: {transport: local, enabled: false}
"""
OLD, NEW = "ab" * 32, "cd" * 32


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_home: Path) -> Ledger:
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    new_ledger(RunDirectory(run_home).ledger_url)
    ledger, now = Ledger.open(RunDirectory(run_home).ledger_url), time.time()
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        hosts.succeeded(conn, "a", at=now - 300)
        hosts.failed(conn, "a", "RemoteJobFailed: no", at=now, poll_s=30, max_backoff_s=600)
        for digest in (OLD, "e" * 64, NEW):  # the one between was rejected, so that the second champion is generation 3
            models.add(conn, digest, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        for digest in (OLD, NEW):
            promotions.promote(conn, "square8_2p", digest, reason="test", elo_gain=None, games=0, at=now)
        for slot, (digest, generation) in enumerate([(NEW, 2), (NEW, 2), (OLD, 1)]):
            workers.assign(conn, "a", slot, at=now)
            plays = {"square8_2p": {"model": digest, "generation": generation}}
            workers.report(conn, "a", slot, {"state": "playing", "variants": plays}, at=now)
        workers.assign(conn, "a", 3, at=now)
        state.note_waiting_games(conn, {"a": 7}, at=now)
        state.note_alive(conn, at=now, silence_s=300.0)
    return ledger


@pytest.mark.usefixtures("ledger")
def test_a_row_shows_contact_failures_workers_and_generations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts"]) == 0
    head, a, b, _, note, said, _, fleet = capsys.readouterr().out.splitlines()
    assert note == "For people, as the inventory says; nothing is decided by it:"
    assert said == "a: gpu_type H100, cpus 64"
    assert head.split()[:4] == ["host", "transport", "address", "roles"]
    for cell in ("loop@192.0.2.1", "selfplay,training", "5 min ago", "3/4", "gen 3 x2, gen 1 x1 (behind)", "7"):
        assert f" {cell}" in a
    assert b.startswith("b (disabled)")
    assert "never" in b
    assert fleet == "square8_2p: gen 3 x2, gen 1 x1 (behind)"


def test_a_worker_that_failed_says_why_in_hosts_and_in_status(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    error = "JobOutOfMemory: the worker used 3.2 GiB of its 3.0 GiB"
    with ledger.begin() as conn:
        beat = {"state": "failed", "last_error": error + "\nsecond line"}
        workers.report(conn, "a", 3, beat, at=time.time())
    said = f"Worker a/3 failed: {error}; second line"
    assert main(["hosts"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert main(["status"]) == 0
    assert f"  {said}" in capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("ledger")
def test_programs_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    a, b = answer["hosts"]
    assert (a["consecutive_failures"], a["waiting_games"], b["waiting_games"]) == (1, 7, None)
    assert a["played"] == [
        {"variant": "square8_2p", "generation": 1, "behind": True, "workers": 1},
        {"variant": "square8_2p", "generation": 3, "behind": False, "workers": 2},
    ]


@pytest.mark.usefixtures("ledger")
def test_nobody_plays_on_the_hosts_of_a_loop_that_was_stopped_just_now(
    run_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with launch_lock(RunDirectory(run_home)):
        assert main(["hosts", "--json"]) == 0
    assert main(["hosts", "--json"]) == 0
    decoder, said = json.JSONDecoder(), capsys.readouterr().out
    before, end = decoder.raw_decode(said)
    after, _ = decoder.raw_decode(said[end:].lstrip())
    assert [answer["hosts"][0]["workers_playing"] for answer in (before, after)] == [3, 0]
    assert after["models"] == {}


def test_a_reset_ends_the_pause_and_changes_nothing_else(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with ledger.read() as conn:
        before = hosts.get(conn, "a")
    assert before.next_attempt_at > time.time()
    assert main(["hosts", "reset", "a"]) == 0
    with ledger.read() as conn:
        after = hosts.get(conn, "a")
        [event] = events.latest(conn, kind="host")
    assert after.next_attempt_at == 0.0
    assert (after.consecutive_failures, after.last_seen_at, after.last_error) == (
        1,
        before.last_seen_at,
        before.last_error,
    )
    assert event.message == "a is retried by hand after 1 failures in a row"
    assert main(["hosts", "reset", "c"]) == 2


def test_a_host_under_suspicion_is_named_until_it_is_trusted(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with ledger.begin() as conn:
        hosts.suspect(conn, "a", "its games are longer", at=1.0)
    assert main(["hosts"]) == 0
    assert "a is held back from training: its games are longer" in capsys.readouterr().out
    assert main(["hosts", "trust", "a"]) == 0
    assert json.loads(capsys.readouterr().out) == {"host": "a", "suspicion_before": "its games are longer"}
    with ledger.read() as conn:
        row = hosts.get(conn, "a")
        [event] = events.latest(conn, kind="suspicion")
    assert (row.suspected_at, row.suspicion) == (None, None)
    assert row.trusted_at is not None and row.trusted_at > time.time() - 60.0
    assert "count again" in event.message
    assert main(["hosts"]) == 0
    assert "held back" not in capsys.readouterr().out
    assert main(["hosts", "trust", "a"]) == 2
    assert "a is not under suspicion; those that are: none" in capsys.readouterr().err
