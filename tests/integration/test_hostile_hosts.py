"""One host lies, in its answers, its file service or its games; beside it an honest one, whose games must come in.

All through the real transport: two SSH servers, the real cycle, the real replay. Each input is one cycle.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import zstandard
from msgspec import structs

import ssh_servers
from ledger_rows import rows
from lying_server import ATTRS, DATA, HANDLE, STATUS, Lie, LyingServer, edited, packed
from new_ledger import new_ledger
from ringrift_loop.cli import main
from ringrift_loop.cluster.selfplay.supervise import reconcile
from ringrift_loop.cluster.sync.audit import audit_hosts
from ringrift_loop.cluster.sync.budget import Budget
from ringrift_loop.cluster.sync.cycle import HostSync, sync_once
from ringrift_loop.cluster.sync.ingest import EngineReplayer
from ringrift_loop.cluster.transport.probing import probe_hosts
from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.launcher.narrator import Narrator
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, hosts, quarantine, schema
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentWriter
from ringrift_loop.status.verify import Finding, verify
from samples import random_game

FAILED, REFUSED = "failed", "refused"
NUL_AND_ESCAPES = "\x1b[2J\x00\nx\ud800"
BIG = 10**400
# Short enough for a host that never answers.
BUDGET = Budget(visit_s=4.0, cpu_s=5.0)


_game = cache(random_game)


def played(seed: int, **changes: Any) -> GameRecord:
    """A random game by the rules."""
    game = _game(seed)
    record = GameRecord(
        id=f"{seed:032x}", variant="square8_2p", pie_rule=False, seed=seed, moves=" ".join(game.moves),
        plies=len(game.moves), winner=game.winner, result=game.result, player="heuristic-search", search={},
        engine=ENGINE_VERSION, started_at=1.0, finished_at=2.0, host="h", worker="0-1",
        targets=base64.b64encode(b"").decode(),
    )  # fmt: skip
    return structs.replace(record, **changes)


class Arena:
    """A coordinator, an honest host and a lying one."""

    def __init__(self, folder: Path, thread: ssh_servers.LoopThread) -> None:
        keys = ssh_servers.Keys(folder / "keys")
        self.servers = {name: LyingServer(folder / "hosts" / name, keys, thread) for name in ("honest", "liar")}
        lines = ["standard_hosts:"]
        for name, server in self.servers.items():
            server.start()
            lines.append(
                f"  {name}: {{ssh_host: 127.0.0.1, ssh_port: {server.port}, ssh_user: {ssh_servers.user()}, "
                f"ssh_key: {keys.private}, root: {server.folder}, host_key: '{server.fingerprint}', max_workers: 1}}"
            )
        (folder / "hosts.yaml").write_text("\n".join(lines))
        (folder / "loop.yaml").write_text("statsd_port: 9\n")
        self.environment = {
            "RINGRIFT_HOME": str(folder / "run"),
            "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
            "RINGRIFT_CONFIG": str(folder / "loop.yaml"),
        }
        directory = RunDirectory(folder / "run")
        url = f"sqlite:///{directory.root / 'ledger.db'}"
        new_ledger(url)
        config = LoopConfig()
        self.loop = Loop(
            replace(config, data_ingestion=replace(config.data_ingestion, min_games_per_sync=1)),
            parse_inventory("\n".join(lines), "hosts.yaml"),
            directory,
            Ledger.open(url),
            Metrics("127.0.0.1", 9, strict=True),
            lambda: 1_000_000.0,
        )
        self._writers = {name: SegmentWriter(self.host_dir(name), 0, 1000, 1e9) for name in self.servers}
        self._replayer = EngineReplayer()
        self._seed = 0

    def host_dir(self, name: str) -> HostDirectory:
        return HostDirectory(self.servers[name].folder)

    def seal(self, name: str, *records: bytes) -> Path:
        """Seal games on a host; a new one when none are given."""
        if not records:
            self._seed += 1
            records = (played(self._seed).to_json(),)
        for record in records:
            self._writers[name].append(record)
        segment = self._writers[name].seal()
        assert segment is not None
        return self.host_dir(name).sealed_segments / segment

    def put(self, data: bytes, records: int = 1) -> None:
        """A file of the liar with the right name for its bytes."""
        self._seed += 1
        name = f"{'e' * 16}-{self._seed:08d}-{records}-{hashlib.sha256(data).hexdigest()[:16]}.jsonl.zst"
        (self.host_dir("liar").sealed_segments / name).write_bytes(data)

    def sync(self) -> dict[str, HostSync]:
        """One cycle over both, due or not."""
        report = sync_once(self.loop, only=["honest", "liar"], replayer=self._replayer, budget=BUDGET)
        return {host.host: host for host in report.hosts}

    def complaints(self) -> list[Finding]:
        """What the audit finds; not the segments that a test takes away before they came in."""
        return [finding for finding in verify(self.loop) if finding.check != "gap"]

    def forget(self) -> None:
        """The liar's files and its lie are gone, and it is due again."""
        self.servers["liar"].lie = Lie()
        for path in self.host_dir("liar").sealed_segments.iterdir():
            path.unlink()
        for path in self.host_dir("liar").heartbeat(0).parent.glob("*"):
            path.unlink()
        with self.loop.ledger.begin() as conn:
            hosts.ensure(conn, ["honest", "liar"])
            hosts.succeeded(conn, "liar", at=1.0)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        for server in self.servers.values():
            server.stop()
        self.loop.ledger.close()


@pytest.fixture(scope="module")
def all_tests_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    thread = ssh_servers.LoopThread()
    arena = Arena(tmp_path_factory.mktemp("hostile"), thread)
    yield arena
    arena.close()
    thread.close()


@pytest.fixture
def arena(all_tests_arena: Arena) -> Arena:
    all_tests_arena.forget()
    return all_tests_arena


def sealed(field: str, value: object) -> Callable[[bytes], bytes]:
    """A report whose first segment has another name, size or age."""

    def edit(document: dict[str, Any]) -> None:
        entry = document["sealed"][0]
        entry[["name", "size_bytes", "age_s"].index(field) if isinstance(entry, list) else field] = value

    return edited(edit)


def worker(**fields: object) -> Callable[[bytes], bytes]:
    """A report with a worker that has these fields."""
    whole: dict[str, object] = {"slot": 0, "alive": True, "variant": "square8_2p", "age_s": 1.0}
    whole |= dict.fromkeys(("stop_requested_s", "heartbeat", "heartbeat_age_s", "problem"))
    return edited(lambda document: document.update(workers=[whole | fields]))


def beat(**fields: object) -> str:
    """A heartbeat with these fields."""
    whole: dict[str, object] = dict.fromkeys(("pid", "slot", "generation", "games", "games_per_hour", "evals_per_s"), 0)
    whole |= {"v": 1, "variant": "square8_2p", "state": "playing", "model": None, "last_error": None, "version": "1"}
    return json.dumps(whole | {"net_share": 0, "at": 1} | fields)


def said(**fields: object) -> Callable[[bytes], bytes]:
    """A report with other fields."""
    return edited(lambda document: document.update(fields))


def raw(text: str, instead: str) -> Callable[[bytes], bytes]:
    """A report with a part of its text replaced."""
    return lambda truth: truth.replace(text.encode(), instead.encode())


def names(number: int) -> list[list[object]]:
    return [[f"{'f' * 16}-{seq:08d}-1-{'0' * 16}.jsonl.zst", 100, 1.0] for seq in range(1, number + 1)]


# What the liar's program says, and what becomes of the host. None: either way, as long as the others go on.
ANSWERS: dict[str, tuple[Lie, str | None]] = {
    "no JSON": (Lie(lambda truth: b"hello\n"), FAILED),
    "nothing": (Lie(lambda truth: b""), FAILED),
    "another JSON": (Lie(lambda truth: b"[1, 2]\n"), FAILED),
    "17 MiB": (Lie(lambda truth: b"x" * (17 << 20)), FAILED),
    "no text": (Lie(lambda truth: b"\x00\xff\xfe\n"), FAILED),
    "a cut answer": (Lie(lambda truth: truth[: len(truth) // 2]), FAILED),
    "100,000 levels": (Lie(lambda truth: b"[" * 100_000 + b"\n"), FAILED),
    "another version": (Lie(said(v=99)), FAILED),
    "an escape as version": (Lie(said(version=NUL_AND_ESCAPES)), FAILED),
    "no fields": (Lie(lambda truth: b'{"v": 1}\n'), FAILED),
    "an age of 400 digits": (Lie(sealed("age_s", BIG)), FAILED),
    "an age without end": (Lie(sealed("age_s", float("inf"))), FAILED),
    "an age below zero": (Lie(sealed("age_s", -1)), FAILED),
    "a size of 400 digits": (Lie(sealed("size_bytes", BIG)), FAILED),
    "a size below zero": (Lie(sealed("size_bytes", -5)), FAILED),
    "a size of 1.5 bytes": (Lie(sealed("size_bytes", 1.5)), FAILED),
    "a size of an exabyte": (Lie(sealed("size_bytes", 1 << 52)), REFUSED),
    "a size below the file's": (Lie(sealed("size_bytes", 10)), FAILED),
    "a size above the file's": (Lie(sealed("size_bytes", 1 << 20)), FAILED),
    "a path as name": (Lie(sealed("name", "../../../etc/passwd")), FAILED),
    "a NUL in a name": (Lie(sealed("name", "\x00")), FAILED),
    "a number as name": (Lie(sealed("name", 7)), FAILED),
    "a segment listed twice": (Lie(edited(lambda document: document.update(sealed=document["sealed"] * 2))), None),
    "a segment that is not there": (Lie(said(sealed=names(1))), FAILED),
    "3,000 segments": (Lie(said(sealed=names(3000))), FAILED),
    "1,000 segments that are not there": (Lie(said(sealed=names(1000))), FAILED),
    "names that are none, with escapes": (Lie(said(refused=[NUL_AND_ESCAPES] * 20)), None),
    "segments gone that nobody named": (Lie(said(gone=["x"])), FAILED),
    "pointers as a list": (Lie(said(pointers=[1])), FAILED),
    "a variant of 400 letters": (Lie(said(pointers={"x" * 400: "0" * 64})), FAILED),
    "2,000 models": (Lie(said(models=[f"{number:064x}" for number in range(2000)])), FAILED),
    "slot -1": (Lie(worker(slot=-1)), FAILED),
    "slot 1e9": (Lie(worker(slot=10**9)), FAILED),
    "slot true": (Lie(worker(slot=True)), FAILED),
    "300 workers": (Lie(edited(lambda document: document.update(workers=[{}] * 300))), FAILED),
    "a worker's age of 400 digits": (Lie(worker(age_s=BIG)), FAILED),
    "a heartbeat's age of 400 digits": (Lie(worker(heartbeat=beat(), heartbeat_age_s=BIG)), FAILED),
    "a problem with NUL and escapes": (Lie(worker(problem=NUL_AND_ESCAPES)), None),
    "a heartbeat with 400 digits": (Lie(worker(heartbeat=beat(games_per_hour=BIG), heartbeat_age_s=1)), None),
    "a heartbeat with NUL": (Lie(worker(heartbeat=beat(last_error=NUL_AND_ESCAPES), heartbeat_age_s=1)), None),
    "a heartbeat of a megabyte": (Lie(worker(heartbeat="x" * (1 << 20), heartbeat_age_s=1)), None),
    "a key twice": (Lie(raw('"gone"', '"sealed":[],"gone"')), None),
    "escapes and NUL as error": (Lie(stderr=b"\x1b]0;x\x07\x00\nTraceback\xff" * 99, exit_status=1), FAILED),
    "an end by a signal": (Lie(signal="KILL"), FAILED),
    "no end": (Lie(exit_status=None), FAILED),
}


def reading(lie: Callable[[int, bytes], bytes | None]) -> Lie:
    """A file service that lies about what it reads."""
    return Lie(packet=lambda kind, number, truth: lie(number, truth) if kind == DATA else truth)


PACKETS: dict[str, tuple[Lie, str | None]] = {
    "more than was asked": (reading(lambda number, truth: packed(DATA, number, b"x" * (4 << 20))), None),
    "one byte more": (reading(lambda number, truth: packed(DATA, number, truth[13:] + b"x")), None),
    "nothing instead of bytes": (reading(lambda number, truth: packed(DATA, number, b"")), FAILED),
    "an early end": (reading(lambda number, truth: packed(STATUS, number, 1, b"", b"")), FAILED),
    "noise": (reading(lambda number, truth: truth[:13] + bytes(len(truth) - 13)), None),
    "a reply cut short": (reading(lambda number, truth: struct.pack(">IBI", 5, DATA, number)), FAILED),
    "a reply without number": (reading(lambda number, truth: struct.pack(">IB", 1, DATA)), FAILED),
    "a reply to nobody": (reading(lambda number, truth: packed(DATA, number + 1000, b"x")), FAILED),
    "a reply of no kind": (reading(lambda number, truth: packed(77, number, b"x")), FAILED),
    "attributes instead of bytes": (reading(lambda number, truth: packed(ATTRS, number, 0)), FAILED),
    "a packet of 2 GiB": (reading(lambda number, truth: struct.pack(">IBI", 1 << 31, DATA, number)), FAILED),
    "a refusal with NUL": (reading(lambda number, truth: packed(STATUS, number, 4, b"\x1b[2J\x00\n", b"")), FAILED),
    "a refusal that is no text": (reading(lambda number, truth: packed(STATUS, number, 4, b"\xff\xfe", b"")), FAILED),
    "a refusal of no kind": (reading(lambda number, truth: packed(STATUS, number, 4_000_000_000, b"", b"")), FAILED),
    "the line cut": (reading(lambda number, truth: None), FAILED),
    "no first packet": (Lie(packet=lambda kind, number, truth: None), FAILED),
    "a handle of a megabyte": (
        Lie(packet=lambda kind, number, truth: packed(HANDLE, number, b"x" * (1 << 20)) if kind == HANDLE else truth),
        FAILED,
    ),
}


@pytest.mark.parametrize(("lie", "outcome"), [*ANSWERS.values(), *PACKETS.values()], ids=[*ANSWERS, *PACKETS])
def test_a_lying_answer_is_its_hosts_failure_and_the_honest_games_come_in(
    arena: Arena, lie: Lie, outcome: str | None
) -> None:
    arena.seal("liar")
    arena.seal("honest")
    arena.servers["liar"].lie = lie
    found = arena.sync()
    assert arena.servers["liar"].tongue_tied is None
    assert (found["honest"].games_new, found["honest"].error) == (1, None)
    with arena.loop.ledger.read() as conn:
        row = hosts.get(conn, "liar")
        words = [row.last_error or "", *(event.message for event in events.latest(conn, limit=5))]
    assert all(text.isprintable() for text in words)
    assert row.consecutive_failures == (found["liar"].error is not None)
    if outcome is not None:
        assert (found["liar"].error is not None) == (outcome == FAILED)
    assert len(found["liar"].error or "") < 3000
    assert arena.complaints() == []


def segment(*records: bytes, head: dict[str, object] | None = None) -> bytes:
    header = {"format": "ringrift-segment", "v": 1, "epoch": "e" * 16, "seq": 1, "records": len(records)}
    return zstandard.compress(b"\n".join([json.dumps(header | (head or {})).encode(), *records, b""]))


def damaged(**fields: object) -> bytes:
    """A game with other fields than it was played with."""
    return json.dumps(json.loads(played(1).to_json()) | fields).encode()


FILES: dict[str, bytes] = {
    "an empty file": b"",
    "noise": bytes(range(256)) * 40,
    "text": b"hello\n",
    "a frame without end": zstandard.compress(bytes(1 << 16))[:-9],
    "256 MiB in a few bytes": zstandard.compress(bytes(256 << 20)),
    "a window of gigabytes": b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(64),
    "no header": zstandard.compress(b"\n"),
    "a header of 100,000 levels": zstandard.compress(b"[" * 100_000 + b"\nx\n"),
    "another epoch inside": segment(b"x", head={"epoch": "0" * 16}),
    "more records than it says": segment(b"x", b"y", head={"records": 1}),
}
RECORDS: dict[str, bytes] = {
    "no JSON": b"x",
    "100,000 levels": b"[" * 100_000,
    "a megabyte of rubbish": b"x" * (1 << 20),
    "two megabytes of rubbish": b"x" * (2 << 20),
    "a seed of 400 digits": damaged(seed=BIG),
    "a time of 400 digits": damaged(finished_at=BIG),
    "5,000 digits": b'{"v": 1, "seed": ' + b"9" * 5000 + b"}",
    "a move of a megabyte": damaged(moves="x" * 1_000_000, plies=1),
    "half a million moves": damaged(moves="x " * 500_000, plies=1),
    "moves after the end": damaged(moves=played(1).moves + " NP", plies=played(1).plies + 1),
    "no moves": damaged(moves="", plies=1),
    "targets that are none": damaged(targets="AAAA"),
    "a player with escapes": damaged(player="\x1b[2J"),
    "an id with a line break": damaged(id="0" * 32 + "\n"),
    "settings of 100 levels": damaged(search={"a": json.loads("[" * 100 + "]" * 100)} | {"b": float("nan")}),
    "lone surrogates": damaged(engine="\ud800"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_file_that_is_no_segment_is_quarantined_and_the_hosts_other_games_come_in(arena: Arena, data: bytes) -> None:
    arena.put(data)
    arena.seal("liar")
    arena.seal("honest")
    found = arena.sync()
    assert [(host.games_new, host.games_quarantined, host.error) for host in found.values()] == [
        (1, 0, None),
        (1, 1, None),
    ]
    assert arena.sync()["liar"].games_quarantined == 0
    assert arena.complaints() == []


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_no_game_is_quarantined_alone(arena: Arena, record: bytes) -> None:
    arena._seed += 1
    arena.seal("liar", record, played(arena._seed).to_json())
    arena.seal("honest")
    found = arena.sync()
    assert [(host.games_new, host.games_quarantined, host.error) for host in found.values()] == [
        (1, 0, None),
        (1, 1, None),
    ]
    with arena.loop.ledger.read() as conn:
        (refused,) = quarantine.latest(conn, limit=1)
    assert refused.reason.isprintable()
    assert len(refused.payload or "") <= quarantine.PAYLOAD_LIMIT


def test_a_game_told_again_in_other_words_counts_once_and_one_with_a_taken_id_is_a_finding(arena: Arena) -> None:
    arena.seal("honest")
    game, other = played(arena._seed), played(arena._seed + 5000)
    arena.sync()
    arena.seal(
        "liar",
        structs.replace(game, id="a" * 32).to_json(),
        structs.replace(game, id="b" * 32, pie_rule=True).to_json(),
        structs.replace(other, id=game.id).to_json(),
    )
    liar = arena.sync()["liar"]
    assert (liar.games_new, liar.games_known, liar.games_quarantined) == (0, 2, 1)
    with arena.loop.ledger.read() as conn:
        assert quarantine.latest(conn, limit=1)[0].reason == (
            f"another game with the id {game.id} is in the ledger, with other moves"
        )
        assert rows(conn, GameRow, id=game.id)


def test_rubbish_without_end_is_taken_in_parts_and_keeps_nobody_waiting(arena: Arena) -> None:
    for _ in range(6):
        arena.put(segment(*[b"x" * (1 << 20)] * 60, head={"seq": arena._seed + 1}), records=60)
    arena.seal("honest")
    found = arena.sync()
    assert found["honest"].games_new == 1
    assert "went into quarantine" in (found["liar"].error or "")
    with arena.loop.ledger.read() as conn:
        kept = sum(len(row.payload or "") for row in quarantine.latest(conn, limit=10_000) if row.host == "liar")
    assert kept <= BUDGET.quarantine_bytes + 60 * quarantine.PAYLOAD_LIMIT


@pytest.mark.parametrize("name", ["100,000 levels", "a worker's age of 400 digits", "a problem with NUL and escapes"])
def test_supervision_the_audit_and_the_doctor_get_through_as_well(arena: Arena, name: str) -> None:
    arena.servers["liar"].lie = ANSWERS[name][0]
    report = reconcile(arena.loop)
    assert all(text.isprintable() for text in report.failed.values())
    assert not any(finding.subject.startswith("honest") for finding in audit_hosts(arena.loop))
    probes = probe_hosts(arena.loop.inventory.enabled, arena.loop.directory)
    assert [probe.host.name for probe in probes] == ["honest", "liar"]


COMMANDS = [
    "sync --host liar",
    "workers reconcile",
    "ledger verify --hosts",
    "ledger events",
    "hosts",
    "status",
    "doctor --host liar",
]


@pytest.mark.parametrize(
    "lie",
    [
        ANSWERS["escapes and NUL as error"][0],
        ANSWERS["a problem with NUL and escapes"][0],
        ANSWERS["names that are none, with escapes"][0],
        ANSWERS["an escape as version"][0],
    ],
)
def test_what_a_host_says_is_printed_and_logged_as_plain_text(
    arena: Arena,
    lie: Lie,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in arena.environment.items():
        monkeypatch.setenv(name, value)
    arena.servers["liar"].lie = lie
    narrator = Narrator(arena.loop.ledger)
    with arena.loop.ledger.begin() as conn:  # as an earlier version might have written it
        events.record(conn, "host", "x", at=1.0)
        conn.execute(schema.events.update().values(message="liar fails: \x1b[2J"))
    for command in COMMANDS:
        main(command.split())
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, caplog.text, *narrator.new_lines()):
        assert all(letter.isprintable() or letter == "\n" for letter in text), text
