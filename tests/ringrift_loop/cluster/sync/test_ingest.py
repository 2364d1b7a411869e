"""From a segment to games: replayed, counted once, refused singly, in one transaction."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from msgspec.structs import replace

from ledger_rows import rows
from ringrift_loop.cluster.sync import ingest
from ringrift_loop.cluster.sync.ingest import EngineReplayer, Replayed, check_segment, ingest_checked
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import games, hosts, quarantine
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentName, UnknownVersionError, segment_path
from ringrift_loop.selfplay.targets import SearchTarget, pack_targets
from ringrift_loop.status.verify import verify
from samples import random_game

PutGames = Callable[..., list[str]]
Replayer = Callable[[GameRecord], Replayed]


@pytest.fixture
def take(loop: Loop, host_dir: Callable[[str], HostDirectory], trusting: Replayer) -> Callable[..., ingest.Ingested]:
    """Ingest a segment that lies on a host, as if it had been pulled."""
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])

    def run(host: str, name: str, replayer: Replayer | None = trusting) -> ingest.Ingested:
        incoming = loop.directory.incoming / host
        incoming.mkdir(parents=True, exist_ok=True)
        shutil.copy(host_dir(host).sealed_segments / name, incoming / name)
        checked = check_segment(host, incoming / name, at=50.0, replayer=replayer or EngineReplayer())
        return ingest_checked(loop.ledger, loop.directory, [checked], at=50.0)[0]

    return run


def played(make_record: Callable[..., GameRecord], seed: int) -> GameRecord:
    """A random game of square8_2p by the rules."""
    game = random_game(seed)
    return make_record(
        seed,
        moves=" ".join(game.moves),
        plies=len(game.moves),
        winner=game.winner,
        result=game.result,
        engine=ENGINE_VERSION,
    )


def test_games_that_replay_come_in_and_one_that_does_not_is_refused_alone(
    loop: Loop, make_record: Callable[..., GameRecord], put_games: PutGames, take: Callable[..., ingest.Ingested]
) -> None:
    good, cheat, liar = (played(make_record, seed) for seed in (1, 2, 3))
    nothing, shares = np.empty(0, np.uint16), np.array([0.5, 0.5], np.float16)
    searched = pack_targets([SearchTarget(ply, False, nothing, nothing, shares) for ply in (0, 1)])
    good = replace(good, targets=base64.b64encode(searched).decode())
    moves = cheat.moves.split(" ")
    cheat = replace(cheat, moves=" ".join([moves[0], moves[0], *moves[2:]]))
    liar = replace(liar, winner=3 - liar.winner if liar.winner else 1)
    (name,) = put_games("a", [good.to_json(), cheat.to_json(), b"{}", liar.to_json()])
    result = take("a", name, None)  # the rules engine
    assert (result.new, result.known, result.quarantined) == (1, 0, 3)
    with loop.ledger.read() as conn:
        (row,) = rows(conn, GameRow, id=good.id)
        refused = {one.position: one for one in quarantine.latest(conn)}
    assert (row.host, row.segment, row.position, row.plies) == ("a", name, 0, good.plies)
    assert row.rows == 2  # the plies that were searched
    assert "ply 1" in refused[1].reason
    assert refused[1].game_id == cheat.id
    assert "game record" in refused[2].reason
    assert "replayed, it is" in refused[3].reason
    assert verify(loop, files=True) == []


def test_the_same_segment_twice_changes_nothing(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested]
) -> None:
    (name,) = put_games("a", [1, 2, 3])
    assert take("a", name).new == 3
    assert take("a", name).repeated
    with loop.ledger.read() as conn:
        assert games.count(conn) == 3
        assert len(rows(conn, SegmentRow)) == 1
    assert not list((loop.directory.incoming / "a").iterdir())


def test_a_game_from_two_hosts_is_counted_once(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested]
) -> None:
    (first,), (second,) = put_games("a", [1, 2]), put_games("b", [2, 3, 3])
    take("a", first)
    result = take("b", second)
    assert (result.new, result.known) == (1, 2)
    assert verify(loop) == []


def test_a_cloned_host_brings_known_games_only(
    loop: Loop, put_games: PutGames, host_dir: Callable[[str], HostDirectory], take: Callable[..., ingest.Ingested]
) -> None:
    (name,) = put_games("a", [1, 2])
    shutil.copytree(host_dir("a").root, host_dir("b").root)
    assert take("a", name).new == 2
    assert take("b", name).known == 2
    assert verify(loop) == []


def test_a_damaged_segment_is_quarantined_as_a_whole_and_kept(
    loop: Loop, put_games: PutGames, host_dir: Callable[[str], HostDirectory], take: Callable[..., ingest.Ingested]
) -> None:
    (name,) = put_games("a", [1, 2])
    path = host_dir("a").sealed_segments / name
    path.write_bytes(path.read_bytes()[:-5])
    assert take("a", name).quarantined == 2
    with loop.ledger.read() as conn:
        (refused,) = quarantine.latest(conn)
    assert refused.position is None
    assert "is damaged" in refused.reason
    assert segment_path(loop.directory, "a", name).exists()
    assert verify(loop) == []


def test_a_segment_of_a_later_version_waits_for_an_update(
    loop: Loop, host_dir: Callable[[str], HostDirectory], take: Callable[..., ingest.Ingested]
) -> None:
    data = zstandard.compress(b'{"format":"ringrift-segment","v":2}\ngame\n')
    name = str(SegmentName("0" * 16, 1, 1, hashlib.sha256(data).hexdigest()[:16]))
    folder = host_dir("a").sealed_segments
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    with pytest.raises(UnknownVersionError):
        take("a", name)
    with loop.ledger.read() as conn:
        assert len(rows(conn, SegmentRow)) == 0
        assert quarantine.count(conn) == 0
    assert (loop.directory.incoming / "a" / name).exists()


def test_search_settings_that_the_ledger_cannot_keep_refuse_the_game(
    make_record: Callable[..., GameRecord], put_games: PutGames, take: Callable[..., ingest.Ingested]
) -> None:
    record = make_record(1, search={"temperature": 1.5}).to_json()
    (name,) = put_games("a", [record.replace(b":1.5", b":NaN"), 2])
    result = take("a", name)
    assert (result.new, result.quarantined) == (1, 1)


def test_search_settings_without_end_in_one_segment_refuse_the_games(
    make_record: Callable[..., GameRecord], put_games: PutGames, take: Callable[..., ingest.Ingested]
) -> None:
    (name,) = put_games("a", [make_record(number, search={"s": number}).to_json() for number in range(70)])
    result = take("a", name)
    assert (result.new, result.quarantined) == (64, 6)


def test_a_record_with_an_effect_that_nobody_foresaw_is_refused_alone(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested], caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = put_games("a", [1, 2, 3])
    result = take("a", name, lambda record: Replayed(6 // (record.seed - 2)))
    assert (result.new, result.quarantined) == (2, 1)
    with loop.ledger.read() as conn:
        (row,) = quarantine.latest(conn)
    assert row.position == 1
    assert row.reason == "unexpected ZeroDivisionError: integer division or modulo by zero; the log has the traceback"
    assert "in _check_games" in caplog.text


def test_a_segment_with_an_effect_that_nobody_foresaw_is_refused_as_a_whole(
    put_games: PutGames, take: Callable[..., ingest.Ingested], monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = put_games("a", [1, 2])
    monkeypatch.setattr(ingest, "read_segment", lambda path: path / 0)
    assert take("a", name).quarantined == 2


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError()])
def test_what_is_wrong_with_this_machine_is_no_fault_of_the_game(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested], error: Exception
) -> None:
    def broken(record: GameRecord) -> int:
        raise error

    (name,) = put_games("a", [1])
    with pytest.raises(type(error)):
        take("a", name, broken)


@pytest.mark.parametrize("error", [DataError("not over"), IllegalMoveError("no such move")])
def test_the_replayers_reason_is_kept(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested], error: Exception
) -> None:
    def refuse(record: GameRecord) -> int:
        raise error

    (name,) = put_games("a", [1])
    take("a", name, refuse)
    with loop.ledger.read() as conn:
        assert quarantine.latest(conn)[0].reason == str(error)


def test_a_kill_before_the_commit_leaves_no_trace_and_the_next_try_completes(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested], monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = put_games("a", [1, 2])

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    for module, step in ((ingest, "_move_all"), (ingest.segments, "add"), (ingest.games, "add")):
        with monkeypatch.context() as patch:
            patch.setattr(module, step, die)
            with pytest.raises(Killed):
                take("a", name)
        with loop.ledger.read() as conn:
            assert (games.count(conn), len(rows(conn, SegmentRow))) == (0, 0)
    assert take("a", name).new == 2
    assert verify(loop, files=True) == []


def test_the_hosts_name_is_the_inventorys_whatever_the_record_says(
    loop: Loop, put_games: PutGames, take: Callable[..., ingest.Ingested], make_record: Callable[..., GameRecord]
) -> None:
    (name,) = put_games("a", [make_record(1, host="b").to_json()])
    take("a", name)
    with loop.ledger.read() as conn:
        assert Counter(row.host for row in rows(conn, GameRow)) == {"a": 1}


def test_a_file_with_another_name_is_refused(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "x.zst").write_bytes(b"")
    with pytest.raises(DataError, match="a segment is named"):
        check_segment("a", tmp_path / "x.zst", at=0.0, replayer=EngineReplayer())


def test_segments_of_several_hosts_come_in_together_and_a_game_in_two_of_them_once(
    loop: Loop,
    put_games: PutGames,
    take: Callable[..., ingest.Ingested],
    host_dir: Callable[[str], HostDirectory],
    trusting: Replayer,
) -> None:
    (before,), (first, second), (other,) = put_games("a", [1]), put_games("a", [2, 3], [4]), put_games("b", [3, 5, 5])
    take("a", before)
    pulled = []
    for host, name in [("a", before), ("a", first), ("a", second), ("b", other)]:
        path = loop.directory.incoming / host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(host_dir(host).sealed_segments / name, path)
        pulled.append(check_segment(host, path, at=60.0, replayer=trusting))
    done = ingest_checked(loop.ledger, loop.directory, pulled, at=60.0)
    assert [(one.name, one.new, one.known, one.repeated) for one in done] == [
        (before, 0, 0, True),
        (first, 2, 0, False),
        (second, 1, 0, False),
        (other, 1, 2, False),
    ]
    assert not any(path.is_file() for path in loop.directory.incoming.rglob("*"))
    with loop.ledger.read() as conn:
        assert Counter(row.host for row in rows(conn, GameRow)) == {"a": 4, "b": 1}
    assert verify(loop, files=True) == []
