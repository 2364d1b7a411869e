"""Matches that are played as jobs on hosts: the same games as here, each once, whatever the hosts do."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop.cluster.agent.actions import Action, Asked, Told
from ringrift_loop.cluster.agent.host_jobs import stop_job
from ringrift_loop.cluster.jobs.host_arena import HostArena
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import HostUnreachable
from ringrift_loop.hosts.inventory import Host, load_inventory, parse_inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import events, jobs, matches, models, promotions
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.promotion.regression import run_test
from ringrift_loop.status.verify import verify
from ringrift_loop.tournament.arena import EngineArena
from ringrift_loop.tournament.blocks import BlockPlan, paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.remote import placement
from ringrift_loop.tournament.remote.outcome import write_block
from ringrift_loop.tournament.shadow import run_shadow
from ringrift_loop.tournament.store import LedgerShelf, completed

PROJECT = Path(__file__).resolve().parents[4]
VARIANT = "square8_2p"
PLANS = [paired_block(VARIANT, "manual", baseline_id("heuristic", VARIANT), "random", 2, seed) for seed in range(4)]
one_kind = pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)


@pytest.fixture
def loop(loop: Loop) -> Loop:
    """Small matches."""
    config = loop.config
    return replace(
        loop,
        config=replace(
            config,
            evaluation=replace(config.evaluation, simulations=2),
            promotion=replace(config.promotion, looks=(4, 8)),
            regression=replace(config.regression, games=4),
        ),
    )


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two very small networks with random weights, by digest."""
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    folder = tmp_path_factory.mktemp("models")
    for seed in (1, 2):
        torch.manual_seed(seed)
        net = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8)).eval()
        facts = {"engine_version": ENGINE_VERSION, "parent": None, "training_run": None, "created_at": 1.0}
        save_model(net, folder.joinpath, variant=VARIANT, **facts)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def digests(loop: Loop, two_models: Path) -> list[str]:
    """The champion and a candidate, registered."""
    found = sorted(path.name for path in two_models.iterdir())
    shutil.copytree(two_models, loop.directory.model(found[0]).parent)
    with loop.ledger.begin() as conn:
        for at, digest in enumerate(found):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=float(at))
        promotions.promote(conn, VARIANT, found[0], reason="first", elo_gain=None, games=0, at=1.0)
    return found


class Watched:
    """An arena that remembers what it was asked and has played; `here` plays the same again on this machine."""

    def __init__(self, arena: HostArena, loop: Loop) -> None:
        self._arena, self._loop = arena, loop
        self.asked: list[tuple[list[BlockPlan], list[str]]] = []
        self.rows: list[MatchRow] = []

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        self.asked.append((list(plans), list(taken)))
        for rows in self._arena.play(plans, deadline=deadline, taken=taken):
            self.rows += rows
            yield rows

    def here(self) -> list[MatchRow]:
        return [
            row
            for plans, taken in self.asked
            for rows in EngineArena(self._loop).play(plans, taken=taken)
            for row in rows
        ]


def games(rows: Iterable[MatchRow]) -> list[MatchRow]:
    """What decides about participants: all of the rows but where and when they were played."""
    return sorted((replace(row, host="", played_at=0.0) for row in rows), key=lambda row: row.id)


def nobody() -> Any:
    raise AssertionError("nothing is left to be played here")


@pytest.fixture
def on_a_host(
    loop: Loop, ssh_server: Any, ssh_entry: Callable[..., str], tmp_path: Path
) -> Iterator[tuple[Loop, Watched]]:
    """A loop with one tournament host, reached by SSH."""
    text = "standard_hosts:\n" + ssh_entry("a", ssh_server("a"), "role: tournament")
    reached = replace(loop, inventory=parse_inventory(text, "hosts.yaml"))
    yield reached, Watched(HostArena(reached, here=nobody, poll_s=0.1, patience_s=5.0), reached)
    for job in (tmp_path / "hosts" / "a" / "jobs").glob("[!.]*"):
        stop_job(HostDirectory(tmp_path / "hosts" / "a"), job.name)


@one_kind
def test_a_shadow_tournament_on_a_host_has_the_games_that_it_has_here(
    on_a_host: tuple[Loop, Watched], digests: list[str]
) -> None:
    loop, arena = on_a_host
    report = run_shadow(loop, VARIANT, 4, arena=arena)
    assert report.games == 4
    assert {row.host for row in arena.rows} == {"a"}
    assert games(arena.rows) == games(arena.here())
    with loop.ledger.read() as conn:
        (job,) = jobs.all_jobs(conn)
        logged = matches.of_blocks(conn, [plan.id for plan in arena.asked[0][0]])
    assert (job.host, job.role, job.state) == ("a", "tournament", "succeeded")
    assert games(row for rows in logged.values() for row in rows) == games(arena.rows)
    assert not loop.directory.matches(job.id).exists()
    assert verify(loop) == []


@one_kind
def test_a_gate_test_on_a_host_has_the_games_that_it_has_here(
    on_a_host: tuple[Loop, Watched], digests: list[str]
) -> None:
    loop, arena = on_a_host
    result = run_test("beats_random", loop, digests[1], VARIANT, 600.0, arena=arena)
    assert result.figure is not None, result.detail
    # The gate looks after each block of two games and stops where the rest would change nothing.
    asked = len(arena.asked)
    assert len(arena.rows) == 2 * asked and {row.host for row in arena.rows} == {"a"}
    assert games(arena.rows) == games(arena.here())
    assert run_test("beats_random", loop, digests[1], VARIANT, 600.0, arena=arena).figure == result.figure
    assert len(arena.asked) == asked  # the second time they were in the match log


@one_kind
def test_a_champion_gate_on_a_host_looks_at_the_same_numbers_of_games(
    on_a_host: tuple[Loop, Watched], digests: list[str]
) -> None:
    loop, arena = on_a_host
    report = champion_gate(loop, digests[1], arena=arena)
    assert [len(plans) for plans, _ in arena.asked] == [2, 2]
    assert (report.games, report.blocks) == (8, 4)
    assert games(arena.rows) == games(arena.here())
    with loop.ledger.read() as conn:
        assert [row.state for row in jobs.all_jobs(conn)] == ["succeeded"] * 2


# From here on the hosts are folders of this machine behind the same arena, and say what a test has prepared.


@pytest.fixture
def honest(loop: Loop) -> list[list[MatchRow]]:
    """The games of PLANS, block by block in the plans' order."""
    played = {rows[0].block: rows for rows in EngineArena(loop).play(PLANS)}
    return [played[plan.id] for plan in PLANS]


class Hall:
    """Tournament hosts in folders of this machine; each runs a line of shell instead of the program."""

    def __init__(self, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tmp_path, self._monkeypatch = tmp_path, monkeypatch
        entries = [f"  {name}: {{ssh_host: 192.0.2.1, role: tournament}}\n" for name in "ab"]
        self.loop = replace(loop, inventory=parse_inventory("standard_hosts:\n" + "".join(entries), "hosts.yaml"))
        self.played_here: list[str] = []
        self.away: set[str] = set()

    def folder(self, name: str) -> HostDirectory:
        return HostDirectory(self._tmp_path / name)

    def transport(self, host: Host, _directory: RunDirectory) -> LocalTransport:
        if host.name in self.away:
            raise ConnectionRefusedError(f"{host.name} is away")
        return LocalTransport(self.folder(host.name))

    def run(self, line: str) -> None:
        """What every host does with a bundle, in its job's folder; `root` is the host's own."""
        self._monkeypatch.setattr(placement, "COMMAND", ("sh", "-ec", line, "sh", "{output}", "{root}"))

    def delivers(self, name: str, plan: BlockPlan, rows: Sequence[MatchRow]) -> Path:
        """Let a host have a block ready."""
        write_block(self.ready(name), plan, rows)
        return self.ready(name) / f"{plan.id}.json"

    def ready(self, name: str) -> Path:
        return self.folder(name).root / "ready"

    def arena(self) -> HostArena:
        hall = self

        class Here(EngineArena):
            def play(self, plans: Sequence[BlockPlan], **options: Any) -> Iterator[list[MatchRow]]:
                hall.played_here += [plan.id for plan in plans]
                return super().play(plans, **options)

        here = lambda: Here(self.loop)  # noqa: E731
        return HostArena(self.loop, here=here, transports=self.transport, poll_s=0.05, patience_s=0.2)

    def stored(self) -> list[MatchRow]:
        with self.loop.ledger.read() as conn:
            return [row for rows in matches.of_blocks(conn, [plan.id for plan in PLANS]).values() for row in rows]

    def told(self) -> list[str]:
        with self.loop.ledger.read() as conn:
            return [event.message for event in events.latest(conn, kind="tournament")]


@pytest.fixture
def hall(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall(loop, tmp_path / "hosts", monkeypatch)


DELIVER = 'mkdir -p "$1"; [ ! -d "$2/ready" ] || cp "$2"/ready/* "$1"'


def test_blocks_that_were_delivered_before_a_kill_count_and_the_others_are_played_elsewhere(
    hall: Hall, honest: list[list[MatchRow]]
) -> None:
    hall.run(DELIVER + '; [ "${2##*/}" = b ] || kill -9 $$')
    for plan, rows in zip(PLANS[:2], honest[:2], strict=True):
        hall.delivers("a", plan, rows)
    hall.delivers("b", PLANS[2], honest[2])

    completed(LedgerShelf(hall.loop), hall.arena(), PLANS)

    hosts = {row.block: row.host for row in hall.stored()}
    assert [hosts[plan.id] for plan in PLANS[:3]] == ["a", "a", "b"]
    assert hall.played_here == [PLANS[3].id]
    assert len(hall.stored()) == 8
    assert games(hall.stored())[0].opening in {rows[0].opening for rows in honest}
    assert hall.told() == []
    with hall.loop.ledger.read() as conn:
        assert {row.host: row.state for row in jobs.all_jobs(conn)} == {"a": "failed", "b": "succeeded"}


def test_nothing_that_a_lying_host_says_comes_into_the_ledger_and_it_is_told(
    hall: Hall, honest: list[list[MatchRow]]
) -> None:
    hall.run(DELIVER)
    forged, other, short, _ = (
        json.loads(hall.delivers("a", *pair).read_bytes()) for pair in zip(PLANS, honest, strict=True)
    )
    game = forged["games"][0]
    game["winner"] = 3 - (game["winner"] or 1)
    other["games"].reverse()  # the other seat's moves: from the same opening, so they are games, with another result
    other["games"][0]["moves"] = other["games"][0]["moves"].replace(honest[1][0].opening, "", 1).strip()
    short["games"][1]["moves"] = short["games"][1]["moves"].rpartition(" ")[0]
    for plan, lie in zip(PLANS, (forged, other, short), strict=False):
        (hall.ready("a") / f"{plan.id}.json").write_text(json.dumps(lie))
    stranger = replace(PLANS[0], seed=99)
    hall.delivers("a", stranger, [replace(row, id=stranger.match_id(n)) for n, row in enumerate(honest[0])])
    shutil.copy(hall.ready("a") / f"{PLANS[3].id}.json", hall.ready("a") / f"{PLANS[2].id}.json")  # comes twice
    (hall.ready("a") / "deep").write_text("{}")
    hall.away.add("b")

    completed(LedgerShelf(hall.loop), hall.arena(), PLANS)

    assert hall.played_here == [plan.id for plan in PLANS[:3]]
    assert {row.host for row in hall.stored() if row.block == PLANS[3].id} == {"a"}
    assert "a" not in {row.host for row in hall.stored() if row.block != PLANS[3].id}
    assert len(hall.stored()) == 8
    (message,) = hall.told()
    assert "5 blocks of square8_2p from a refused" in message


def test_a_block_that_comes_again_changes_nothing_and_other_moves_under_its_id_are_told(
    hall: Hall, honest: list[list[MatchRow]]
) -> None:
    hall.run(DELIVER)
    hall.delivers("a", PLANS[0], honest[0])
    hall.away.add("b")
    shelf = LedgerShelf(hall.loop)
    completed(shelf, hall.arena(), PLANS[:1])
    before = hall.stored()
    assert list(hall.arena().play(PLANS[:1])) == []  # known: neither yielded nor played
    assert (hall.stored(), hall.told()) == (before, [])

    with hall.loop.ledger.read() as conn:
        assert matches.of_blocks(conn, [PLANS[0].id])
    again = next(
        rows
        for seed in range(20)
        for rows in _played_otherwise(hall.loop, PLANS[0], seed)
        if rows[0].opening == honest[0][0].opening and games(rows) != games(honest[0])
    )
    hall.delivers("a", PLANS[0], again)
    assert list(hall.arena().play(PLANS[:1])) == []
    assert hall.stored() == before
    assert "in the match log with other moves" in hall.told()[0]


def _played_otherwise(loop: Loop, plan: BlockPlan, seed: int) -> Iterator[list[MatchRow]]:
    from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
    from ringrift_loop.tournament.players import RandomPlayer

    players = {name: RandomPlayer(seed) for name in plan.participants}
    return play_blocks([plan], players, MatchSettings(loop.config.evaluation.opening_random_plies), clock=loop.clock)


def test_matches_are_played_here_when_no_host_answers_and_the_log_says_why(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    hall.away |= {"a", "b"}
    with caplog.at_level("INFO"):
        completed(LedgerShelf(hall.loop), hall.arena(), PLANS[:1])
    assert hall.played_here == [PLANS[0].id]
    assert "a: a is away; b: b is away" in caplog.text

    here = replace(
        hall.loop, inventory=parse_inventory("standard_hosts: {a: {transport: local, role: tournament}}", "")
    )
    with caplog.at_level("INFO"):
        completed(LedgerShelf(here), HostArena(here), PLANS[1:2])
    assert "no enabled host reached by SSH has the role tournament" in caplog.text


def test_the_hosts_of_make_run_play_matches_on_this_machine_without_ssh_and_say_so_once(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = replace(loop, inventory=load_inventory(PROJECT / "config" / "remote_hosts.yaml"))
    assert [host.transport for host in shipped.inventory.with_role(placement.ROLE)] == ["local"]

    def asked_of(host: Host, _directory: RunDirectory) -> Any:
        raise AssertionError(f"{host.name} was asked")

    arena = HostArena(shipped, transports=asked_of)
    with caplog.at_level("INFO"):
        played = [rows for plan in PLANS for rows in arena.play([plan])]
    assert {row.block for rows in played for row in rows} == {plan.id for plan in PLANS}
    told = [(record.levelname, record.message) for record in caplog.records if "played here" in record.message]
    assert told == [("INFO", "matches are played here: no enabled host reached by SSH has the role tournament")]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    with loop.ledger.read() as conn:
        assert jobs.all_jobs(conn) == []
    assert not loop.directory.all_matches.exists()


@pytest.mark.parametrize("seconds", [30.0, 100.0])
def test_a_host_that_hangs_leaves_half_of_the_time_for_the_others(
    hall: Hall, honest: list[list[MatchRow]], clock: Any, seconds: float
) -> None:
    hall.run(DELIVER + '; touch "$2/delivered"; sleep 60')
    hall.delivers("a", PLANS[0], honest[0])
    hall.away.add("b")

    def late() -> float:
        return float(clock.now + seconds * (hall.folder("a").root / "delivered").exists())

    hall.loop = replace(hall.loop, clock=late)
    shelf = LedgerShelf(hall.loop)
    if seconds < 50.0:
        completed(shelf, hall.arena(), PLANS[:2], deadline=clock.now + 50.0)
        assert hall.played_here == [PLANS[1].id]
    else:
        with pytest.raises(TimeoutError, match="1 of 2 blocks unfinished"):
            completed(shelf, hall.arena(), PLANS[:2], deadline=clock.now + 50.0)
    assert {row.block for row in hall.stored() if row.host == "a"} == {PLANS[0].id}
    with hall.loop.ledger.read() as conn:
        assert [row.state for row in jobs.all_jobs(conn)] == ["failed"]


def test_a_line_on_which_nothing_arrives_uses_up_no_more_than_the_hosts_time(hall: Hall, clock: Any) -> None:
    hall.run(DELIVER)
    hall.away.add("b")

    class Slow(LocalTransport):
        async def push_folder(self, local: Path, remote: str) -> None:
            await asyncio.sleep(600.0)

    ways = lambda host, directory: hall.transport(host, directory) and Slow(hall.folder(host.name))  # noqa: E731
    arena = HostArena(hall.loop, transports=ways, poll_s=0.05, patience_s=0.0)
    rows = completed(LedgerShelf(hall.loop), arena, PLANS[:1], deadline=clock.now + 2.0)
    assert len(rows) == 2 and "a" not in {row.host for row in rows}


def test_a_host_that_goes_out_of_sight_keeps_its_job_and_another_one_plays(
    hall: Hall, honest: list[list[MatchRow]]
) -> None:
    hall.run(DELIVER + '; [ "${2##*/}" = b ] || sleep 60')
    for plan, rows in zip(PLANS, honest, strict=True):
        hall.delivers("b", plan, rows)

    class Fading(LocalTransport):
        async def call(self, action: Action[Asked, Told], request: Asked) -> Told:
            if any(self.host_dir.jobs.glob("*/process.json")):
                raise HostUnreachable("a does not answer")
            return await super().call(action, request)

    def ways(host: Host, directory: RunDirectory) -> LocalTransport:
        return Fading(hall.folder("a")) if host.name == "a" else hall.transport(host, directory)

    arena = HostArena(hall.loop, here=nobody, transports=ways, poll_s=0.05, patience_s=0.0)
    completed(LedgerShelf(hall.loop), arena, PLANS)
    assert {row.host for row in hall.stored()} == {"b"} and len(hall.stored()) == 8
    with hall.loop.ledger.read() as conn:
        (lost,) = (row for row in jobs.all_jobs(conn) if row.host == "a")
    assert lost.state == "unreachable"

    later = replace(hall.loop, clock=lambda: hall.loop.clock() + 3600.0)
    more = HostArena(later, transports=ways, poll_s=0.05, patience_s=0.0)
    completed(LedgerShelf(later), more, [replace(PLANS[0], seed=9)])
    with hall.loop.ledger.read() as conn:
        written_off = jobs.get(conn, lost.id)
    assert written_off is not None and written_off.state == "failed"
    assert verify(hall.loop) == []
    stop_job(hall.folder("a"), lost.id)


def test_whoever_asks_again_finds_the_job_of_the_one_before(hall: Hall, honest: list[list[MatchRow]]) -> None:
    """The first process dies while it waits; the second one takes the result of the same job."""
    hall.run(f'{DELIVER}; echo x >> "$2/runs"; until [ -e "$2/go" ]; do sleep 0.05; done')
    for plan, rows in zip(PLANS, honest, strict=True):
        hall.delivers("a", plan, rows)

    class Killed(BaseException):
        pass

    def dies(host: Host, directory: RunDirectory) -> LocalTransport:
        if any(hall.folder("a").jobs.glob("*/process.json")):
            raise Killed
        return hall.transport(host, directory)

    with pytest.raises(Killed):
        list(HostArena(hall.loop, here=nobody, transports=dies).play(PLANS))
    (hall.folder("a").root / "go").touch()
    completed(LedgerShelf(hall.loop), hall.arena(), PLANS)
    assert (hall.folder("a").root / "runs").read_text() == "x\n"
    assert {row.host for row in hall.stored()} == {"a"} and len(hall.stored()) == 8
    assert hall.played_here == []
