"""Retention on a run directory with files of every kind, and a ledger that refers to some of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from new_ledger import new_ledger
from ringrift_loop.cli.entry import main
from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import (
    events,
    games,
    hosts,
    jobs,
    models,
    promotions,
    schema,
    segments,
    state,
    training,
    workers,
)
from ringrift_loop.loop import Loop
from ringrift_loop.retention import retain as module
from ringrift_loop.retention.plan import DAY_S
from ringrift_loop.retention.references import References, read_references
from ringrift_loop.retention.retain import check_ledger, retain
from ringrift_loop.selfplay.segments import SegmentName, segment_path
from ringrift_loop.status.verify import verify

ROOT = Path(__file__).resolve().parents[3]
VARIANT = "square8_2p"
EPOCH = "ab" * 8


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """Replay windows of 100 rows at most; a game has 20, a segment one game."""
    return open_loop(training={"window_rows_min": 50, "window_rows_max": 100})


def _old(loop: Loop, path: Path, *, days: float = 400, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    for each in (path, *(folder for folder in path.parents if loop.directory.root in folder.parents)):
        os.utime(each, (loop.clock() - days * DAY_S,) * 2)
    return path


def _segment(loop: Loop, seq: int, *, run: str | None, days: float = 400) -> Path:
    """A segment with one game, the higher `seq` the newer."""
    name, at = str(SegmentName(EPOCH, seq, 1, "0" * 16)), 1000.0 + seq
    path = _old(loop, segment_path(loop.directory, "local_a", name), days=days)
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        segments.add(conn, segments.SegmentRow("local_a", name, "0" * 64, EPOCH, seq, 1, 1, 0, 0, 1000, at))
        row = games.GameRow(
            f"{seq}", f"{seq}", VARIANT, "local_a", name, 0, 40, 20, 1, "t", "p", {}, ENGINE_VERSION, at, at, run
        )  # fmt: skip
        games.add(conn, [row])
    return path


def _run(loop: Loop, run_id: str, state: str) -> Path:
    values = {"id": run_id, "variant": VARIANT, "state": state, "games": 0, "started_at": 1.0}
    with loop.ledger.begin() as conn:
        conn.execute(schema.training_runs.insert().values(**values))
    return _old(loop, loop.directory.training_output(run_id) / "checkpoint")


def _model(loop: Loop, number: int) -> str:
    digest = f"{number:064x}"
    _old(loop, loop.directory.model(digest) / "model.onnx")
    with loop.ledger.begin() as conn:
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=float(number))
    return digest


def test_segments_that_a_window_reaches_or_that_wait_for_training_stay(loop: Loop) -> None:
    _run(loop, "done", "succeeded")
    _run(loop, "open", "running")
    paths = {seq: _segment(loop, seq, run="done") for seq in range(1, 16)}
    paths[16] = _segment(loop, 16, run=None)
    with loop.ledger.begin() as conn:  # an open run has claimed a very old game
        conn.execute(schema.games.update().where(schema.games.c.id == "1").values(training_run="open"))

    report = retain(loop, apply=True)

    # Two windows of 100 rows are the ten newest consumed games: 6 to 15.
    assert [seq for seq, path in paths.items() if not path.exists()] == [2, 3, 4, 5]
    with loop.ledger.read() as conn:
        pruned = conn.execute(select(schema.segments.c.seq).where(schema.segments.c.pruned_at.is_not(None)))
        assert sorted(pruned.scalars()) == [2, 3, 4, 5]
    freed = {kind.kind: (kind.freed, kind.freed_bytes) for kind in report.kinds}
    assert freed["segments"] == (4, 4000)


def test_a_window_never_has_a_game_whose_file_is_gone(loop: Loop) -> None:
    _run(loop, "done", "succeeded")
    for seq in range(1, 16):
        _segment(loop, seq, run="done")
    with loop.ledger.begin() as conn:
        run = training.claim(conn, "next", VARIANT, at=5.0)
    retain(loop, apply=True)
    with loop.ledger.read() as conn:
        window = training.window(conn, run, rows=10_000, rows_max=10_000, seen_until=0.0, engine_version=ENGINE_VERSION)
    assert len(window) == 10
    assert all(segment_path(loop.directory, game.host, game.segment).exists() for game in window)
    assert not [finding for finding in verify(loop) if finding.check == "file"]


def test_folders_of_open_runs_stay_and_those_of_ended_ones_go(loop: Loop) -> None:
    folders = {state: _run(loop, state, state) for state in ("claimed", "succeeded", "failed")}
    nobodys = _old(loop, loop.directory.training("forgotten") / "bundle" / "window")
    fresh = _old(loop, loop.directory.training("new") / "report.json", days=0.5)
    retain(loop, apply=True)
    assert {state: path.exists() for state, path in folders.items()} == {
        "claimed": True,
        "succeeded": False,
        "failed": False,
    }
    assert (nobodys.exists(), fresh.exists()) == (False, True)
    assert not loop.directory.retired.exists()


def test_models_in_use_stay(loop: Loop) -> None:
    digests = [_model(loop, number) for number in range(1, 10)]
    old_champion, champion, taken_back, rejected, played, parent, generator, undecided, newest = digests
    with loop.ledger.begin() as conn:
        for digest in (old_champion, champion, taken_back):
            promotions.promote(conn, VARIANT, digest, reason="r", elo_gain=None, games=0, at=1.0)
        promotions.promote(
            conn, VARIANT, champion, reason="back", elo_gain=None, games=0, at=2.0, status=promotions.ROLLED_BACK
        )
        promotions.choose_generator(conn, VARIANT, generator, at=3.0)
        for digest in (rejected, played, parent, generator, newest):
            promotions.reject(conn, VARIANT, digest, reason="weak", elo_gain=None, games=0, at=3.0)
        hosts.ensure(conn, ["local_a"])
        workers.assign(conn, "local_a", 0, at=1.0)
        beat = {"state": "playing", "variants": {VARIANT: {"model": played}}}
        workers.report(conn, "local_a", 0, beat, at=1.0)
    _run(loop, "open", "running")
    with loop.ledger.begin() as conn:
        conn.execute(schema.training_runs.update().values(parent_digest=parent))
    retain(loop, apply=True)
    kept = {digest for digest in digests if loop.directory.model(digest).exists()}
    assert kept == {old_champion, champion, played, parent, generator, undecided, newest}


def test_a_dry_run_changes_nothing_and_says_what_would_go(loop: Loop) -> None:
    path = _run(loop, "done", "succeeded")
    said: list[str] = []
    report = retain(loop, apply=False, say=said.append)
    assert (path.exists(), report.freed_bytes, report.applied) == (True, 1000, False)
    assert said[0].startswith(f"would delete {loop.directory.training('done')} (1000 bytes): ")
    assert said[0].endswith(" days old, kept for 7")
    assert said[1] == "a dry run: would free 0.000 GiB: 1 of 1 training"
    with loop.ledger.read() as conn:
        assert events.latest(conn, kind="retention") == []


def test_what_was_freed_is_an_event(loop: Loop) -> None:
    _run(loop, "done", "succeeded")
    retain(loop, apply=True)
    with loop.ledger.read() as conn:
        [event] = events.latest(conn, kind="retention")
    assert event.message == "freed 0.000 GiB: 1 of 1 training"
    assert event.data["freed_bytes"] == 1000


def test_what_becomes_referred_to_after_the_look_stays(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deletion a person makes an old, rejected model the champion."""
    digests = [_model(loop, number) for number in (1, 2)]
    with loop.ledger.begin() as conn:
        for digest in digests:
            promotions.reject(conn, VARIANT, digest, reason="weak", elo_gain=None, games=0, at=3.0)
    looks: list[References] = []

    def look(conn: object, config: object) -> References:
        looks.append(read_references(conn, config))  # type: ignore[arg-type]
        if len(looks) == 2:  # in the transaction that deletes
            promotions.promote(conn, VARIANT, digests[0], reason="r", elo_gain=None, games=0, at=4.0)  # type: ignore[arg-type]
            return read_references(conn, config)  # type: ignore[arg-type]
        return looks[-1]

    monkeypatch.setattr(module, "read_references", look)
    retain(loop, apply=True)
    assert digests[0] not in looks[0].models
    assert loop.directory.model(digests[0]).exists()


def _job(loop: Loop, job_id: str, state: str) -> Path:
    """A job for matches in the ledger, and its folder."""
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        row = jobs.place(conn, job_id, jobs.Placement("digest", "tournament", "local_a", [], 300.0), at=loop.clock())
        if state == jobs.UNREACHABLE:
            jobs.lose_sight(conn, row, contact_at=None)
        elif state == jobs.RUNNING:
            jobs.contact(conn, row, at=loop.clock())
        elif state != jobs.PLACED:
            jobs.end(conn, row, state, at=loop.clock())
    return _old(loop, loop.directory.matches(job_id) / "output" / "block.json", days=3)


def test_matches_go_after_a_day_unless_their_job_may_run(loop: Loop) -> None:
    states = (*jobs.ACTIVE, jobs.SUCCEEDED, jobs.FAILED, jobs.CANCELLED)
    files = {state: _job(loop, f"match-{state}", state) for state in states}
    unknown = _old(loop, loop.directory.matches("match-unknown") / "bundle" / "bundle.json", days=1.1)
    fresh = _old(loop, loop.directory.matches("match-fresh") / "bundle" / "bundle.json", days=0.9)
    report = retain(loop, apply=True)
    assert {state for state, file in files.items() if file.exists()} == set(jobs.ACTIVE)
    assert (unknown.parents[1].exists(), fresh.exists()) == (False, True)
    freed = {kind.kind: (kind.found, kind.referenced, kind.freed) for kind in report.kinds}
    assert freed["matches"] == (8, 3, 4)


def test_what_is_written_to_after_the_look_stays(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deletion somebody asks for the same matches again; the job is not placed yet."""
    used, left = (_old(loop, loop.directory.matches(name) / "bundle" / "bundle.json") for name in ("used", "left"))

    def look(conn: Connection, config: LoopConfig) -> References:
        looks.append(1)
        if len(looks) == 2:  # in the transaction that deletes
            used.write_text("the same blocks")
        return read_references(conn, config)

    looks: list[int] = []
    monkeypatch.setattr(module, "read_references", look)
    report = retain(loop, apply=True)
    assert (used.exists(), left.exists()) == (True, False)
    assert [choice.item.path for choice in report.choices] == [str(loop.directory.matches("left"))]


def test_an_audit_that_finds_something_is_kept_and_stands_in_the_way(loop: Loop) -> None:
    path = _segment(loop, 1, run=None)

    def found() -> int | None:
        with loop.ledger.read() as conn:
            verified = state.verification(conn)
        return None if verified is None else verified[1]

    assert found() is None
    check_ledger(loop)
    assert found() == 0
    path.unlink()
    with pytest.raises(LedgerError, match=r"nothing is deleted .* 1 in all, the first is file: .*file is missing"):
        check_ledger(loop)
    assert found() == 1


def test_old_logs_go_and_their_empty_folders_but_no_link_is_followed(loop: Loop, tmp_path: Path) -> None:
    logs = loop.directory.airflow / "logs"
    old = _old(loop, logs / "dag_id=a" / "run_id=b" / "attempt=1.log")
    new = _old(loop, logs / "dag_id=a" / "run_id=c" / "attempt=1.log", days=2)
    outside = _old(loop, tmp_path / "outside" / "precious")
    (logs / "latest").symlink_to(outside.parent)
    job = _old(loop, loop.directory.job_log("train-1"))
    retain(loop, apply=True)
    assert not job.exists()
    assert (old.exists(), old.parent.exists(), new.exists(), outside.exists()) == (False, False, True, True)


def test_a_quota_takes_the_oldest_first(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(retention={"training_gib": 2500 / 2**30, "training_days": 3000.0})
    folders = [_old(loop, loop.directory.training(f"run-{days}") / "checkpoint", days=days) for days in (30, 20, 10)]
    retain(loop, apply=True)
    assert [path.exists() for path in folders] == [False, True, True]


def test_a_run_that_was_killed_half_way_is_finished_by_the_next(loop: Loop) -> None:
    left = _old(loop, loop.directory.retired / "0-run" / "checkpoint")
    _run(loop, "done", "succeeded")
    retain(loop, apply=True)
    assert not left.exists()


def test_the_command_tells_on_stderr_and_answers_in_json(
    run_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    folder = run_home / "training" / "forgotten"
    folder.mkdir(parents=True)
    os.utime(folder, (1.0, 1.0))
    assert main(["retention"]) == 0
    assert folder.exists()
    assert main(["retention", "--apply"]) == 0
    assert not folder.exists()
    said = capsys.readouterr()
    assert [json.loads(line)["applied"] for line in said.out.splitlines()] == [False, True]
    assert "no Airflow was started in" in said.err
