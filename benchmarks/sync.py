"""A sync cycle over many hosts: wall clock, CPU of coordinator and servers, round trips, bytes.

    python benchmarks/sync.py
    python benchmarks/sync.py --hosts 10,100,1000 --history 10000 --json
    python benchmarks/sync.py --hosts 100 --history 10000,100000,1000000 --json
    python benchmarks/sync.py --hosts 1000 --history 10000 --postgresql --json

For each number of hosts and each size of the ledger's history: one cycle in which every host has ten new games in one
segment, and one with nothing new. Both are `sync_once` as the loop calls it: connections made anew, host keys checked,
every game replayed through the rules engine, one SQLite file unless `--ledger-url` names an empty database. With
`--postgresql` each size is measured a second time, on a PostgreSQL server of its own (Debian's programs, every commit
synced to the disk); its processes' CPU is not in `cpu_s`.

The hosts are asyncssh's servers in two processes of their own (`tests/ssh_servers.LibraryServer`). They answer
`ringrift-loop host report` by the library function that the command calls, without a process for each command: on a
cluster that process runs on the host, here it would hide the coordinator's cost. So `server_cpu_s` is less than real
hosts spend, and none of it is the coordinator's; wall clock holds both, as all share this machine's cores. The hosts'
files lie in memory, the coordinator's on the disk. The games are random ones with made-up search targets. Each host
still holds the 40 segments of the last ten minutes, which the ledger knows.

`bytes_per_game` counts everything that TCP carried in the cycle, handshakes too, over the new games;
`payload_bytes_per_game` the compressed segments alone. `round_trips_per_host` counts commands and file requests.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.sync.ingest import EngineReplayer
from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import apply_move, legal_moves, new_states, truncate
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY, RESULT, WINNER
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.engine.work import make_work
from ringrift_loop.hosts.inventory import SELFPLAY, SSH, Host, Inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import games, hosts, segments
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.entries import policy_entries
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentName, SegmentWriter
from ringrift_loop.selfplay.targets import SearchTarget, pack_targets

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
import postgresql_server
import ssh_servers

VARIANT = "square8_2p"
NEW_GAMES = 10  # per host
HELD = 40  # known segments that a host still has: one each 15 s, for ten minutes
SERVER_PROCESSES = 2
RAM_DISK = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
SEARCH = {"full": {"simulations": 16}}


def random_record(seed: int) -> GameRecord:
    """A random game, half of its plies with a made-up policy target; replays like a played one."""
    rules, random = rules_for(VARIANT), np.random.default_rng(seed)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    state = new_states(rules, 1)[0]
    texts: list[str] = []
    targets: list[SearchTarget] = []
    while state[PHASE] != GAME_OVER and state[PLY] < rules.ply_budget:
        count = legal_moves(rules, state, work, moves)
        move = int(moves[random.integers(count)])
        if count > 1:
            entries = min(count, 16) if random.random() < 0.5 else 0
            index = np.sort(random.choice(count, entries, replace=False)).astype(np.uint16)
            policy = np.full(entries, 1e-3, np.float32)
            if entries:
                policy += random.dirichlet(np.full(entries, 0.3)).astype(np.float32)
            weight = policy_entries(policy, 0.0)[1] if entries else index
            share = random.random()
            value = np.array([share, 1 - share], np.float16)
            targets.append(SearchTarget(len(texts), entries > 0, index, weight, value))
        texts.append(move_text(rules, state, move, work))
        apply_move(rules, state, work, move)
    if state[PHASE] != GAME_OVER:
        truncate(state)
    return GameRecord(
        id=hashlib.sha256(f"game {seed}".encode()).hexdigest()[:32],
        variant=VARIANT,
        pie_rule=False,
        seed=seed,
        moves=" ".join(texts),
        plies=len(texts),
        winner=None if state[WINNER] < 0 else int(state[WINNER]) + 1,
        result=RESULT_NAMES[state[RESULT]],
        player="heuristic-search",
        search=SEARCH,
        engine=ENGINE_VERSION,
        started_at=time.time() - 20,
        finished_at=time.time() - 10,
        host="bench",
        worker="0-1",
        targets=base64.b64encode(pack_targets(targets)).decode(),
    )


def host_name(number: int) -> str:
    """The inventory's name of a host."""
    return f"h{number:04d}"


def known_segment(host: int, seq: int) -> str:
    """The name of a segment of the history."""
    return str(SegmentName(f"{host:016x}", seq, NEW_GAMES, hashlib.sha256(f"{host} {seq}".encode()).hexdigest()[:16]))


def serve(pipe: Connection, folder: Path, numbers: range, held: dict[int, list[str]]) -> None:
    """A server process: some hosts with the segments that they hold, and ten new games on each.

    Sends the hosts' ports and fingerprints; then answers each word on the pipe by the traffic and CPU so far. With the
    word `play` each host has its new games first.
    """
    thread, traffic, keys = ssh_servers.LoopThread(), ssh_servers.Traffic(), ssh_servers.Keys(folder / "keys")
    servers = {}
    for number in numbers:
        sealed = HostDirectory(folder / host_name(number)).sealed_segments
        sealed.mkdir(parents=True)
        for name in held[number]:
            (sealed / name).touch()
        server = ssh_servers.LibraryServer(folder / host_name(number), keys, thread, traffic)
        servers[number] = server.start()
    pipe.send({number: (server.port, server.fingerprint) for number, server in servers.items()})
    while (word := pipe.recv()) != "end":
        if word == "play":
            for number in numbers:
                writer = SegmentWriter(HostDirectory(folder / host_name(number)), 0, max_games=1000, max_age_s=15)
                for game in range(NEW_GAMES):
                    writer.append(random_record(number * NEW_GAMES + game).to_json())
                writer.close()
        pipe.send(asdict(traffic) | {"cpu_s": time.process_time()})
    for server in servers.values():
        server.stop()
    thread.close()


class Servers:
    """The server processes of one measurement."""

    def __init__(self, folder: Path, number: int, held: dict[int, list[str]]) -> None:
        self.folder = folder
        self._keys = ssh_servers.Keys(folder / "keys")
        spawn = multiprocessing.get_context("spawn")
        self._children = []
        for part in range(SERVER_PROCESSES):
            pipe, end = spawn.Pipe()
            process = spawn.Process(target=serve, args=(end, folder, range(part, number, SERVER_PROCESSES), held))
            process.start()
            end.close()
            self._children.append((process, pipe))

    def inventory(self) -> Inventory:
        """The hosts, when they all listen."""
        listening = {number: where for _, pipe in self._children for number, where in pipe.recv().items()}
        return Inventory({host_name(number): self._host(number, *listening[number]) for number in sorted(listening)})

    def _host(self, number: int, port: int, fingerprint: str) -> Host:
        return Host(
            host_name(number),
            SSH,
            frozenset({SELFPLAY}),
            ssh_host="127.0.0.1",
            ssh_port=port,
            ssh_user=ssh_servers.user(),
            ssh_key=str(self._keys.private),
            host_key=fingerprint,
            root=str(self.folder / host_name(number)),
        )

    def ask(self, word: str) -> dict[str, float]:
        """The sums over all servers so far."""
        for _, pipe in self._children:
            pipe.send(word)
        answers = [pipe.recv() for _, pipe in self._children]
        return {key: sum(answer[key] for answer in answers) for key in answers[0]}

    def close(self) -> None:
        """End them."""
        for process, pipe in self._children:
            pipe.send("end")
            process.join()


def fill(ledger: Ledger, number_of_hosts: int, history: int) -> dict[int, list[str]]:
    """Write so many known games, ten a segment, and all but each host's newest segments released.

    Returns:
        The segments that each host still holds.
    """
    now, per_host = time.time(), -(-history // NEW_GAMES // number_of_hosts)
    for number in range(number_of_hosts):
        name = host_name(number)
        rows, played = [], []
        for seq in range(1, per_host + 1):
            at = now - 15.0 * (per_host - seq)
            segment = known_segment(number, seq)
            released = None if seq > per_host - HELD else at + 600.0
            rows.append(
                SegmentRow(name, segment, "0" * 64, segment[:16], seq, NEW_GAMES, NEW_GAMES, 0, 0, 20_000, at, released)
            )
            for position in range(NEW_GAMES):
                digest = hashlib.sha256(f"{segment} {position}".encode()).hexdigest()
                played.append(
                    GameRow(digest[:32], digest[::-1], VARIANT, name, segment, position, 120, 80, 1, "territory",
                        "heuristic-search", SEARCH, ENGINE_VERSION, at, at)
                )  # fmt: skip
        with ledger.begin() as conn:
            hosts.ensure(conn, [name])
            segments.add(conn, *rows)
            games.add(conn, played)
    return {
        number: [known_segment(number, seq) for seq in range(max(1, per_host - HELD + 1), per_host + 1)]
        for number in range(number_of_hosts)
    }


@contextmanager
def opened(folder: Path, url: str | None) -> Iterator[Ledger]:
    """An empty ledger."""
    url = url or f"sqlite:///{folder / 'ledger.db'}"
    migrate(url)
    with closing(Ledger.open(url)) as ledger:
        yield ledger


def cycle(loop: Loop, servers: Servers, replayer: EngineReplayer) -> dict[str, float]:
    """The cost of one cycle."""
    before, used, began = servers.ask("look"), resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    report = sync_once(loop, replayer=replayer)
    wall = time.perf_counter() - began
    now = resource.getrusage(resource.RUSAGE_SELF)
    if report.failed:
        raise RuntimeError(f"{len(report.failed)} hosts failed, the first: {report.failed[0]}")
    time.sleep(0.5)  # the servers see the last connections end
    moved = {key: value - before[key] for key, value in servers.ask("look").items()}
    number = len(report.hosts)
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, 2),
        "server_cpu_s": round(moved["cpu_s"], 2),
        "games": report.games_new,
        "bytes": round(moved["bytes_moved"]),
        "payload_bytes": sum(host.size_bytes for host in report.hosts),
        "connections_per_host": round(moved["connections"] / number, 2),
        "commands_per_host": round(moved["commands"] / number, 2),
        "file_requests_per_host": round(moved["file_requests"] / number, 2),
    }


def measure(folder: Path, number: int, history: int, url: str | None) -> dict[str, object]:
    """One full and one idle cycle over so many hosts on a ledger with so many games."""
    with opened(folder, url) as ledger:
        began = time.perf_counter()
        held = fill(ledger, number, history)
        with (
            tempfile.TemporaryDirectory(prefix="ringrift-sync-hosts-", dir=RAM_DISK) as hosts_folder,
            closing(Servers(Path(hosts_folder), number, held)) as servers,
        ):
            inventory = servers.inventory()
            metrics = Metrics("127.0.0.1", 9)
            loop = Loop(LoopConfig(), inventory, RunDirectory(folder / "run"), ledger, metrics)
            replayer = EngineReplayer()
            replayer(random_record(1 << 40))  # the kernels are loaded
            servers.ask("play")
            set_up_s = time.perf_counter() - began
            full, idle = cycle(loop, servers, replayer), cycle(loop, servers, replayer)
    if full["games"] != number * NEW_GAMES or idle["games"]:
        raise RuntimeError(f"{number * NEW_GAMES} games were new, taken in were {full['games']}, then {idle['games']}")
    return {
        "hosts": number,
        "history": history,
        "ledger": "sqlite" if url is None else url.partition("+")[0].partition(":")[0],
        "set_up_s": round(set_up_s, 1),
        "wall_s": full["wall_s"],
        "cpu_s": full["cpu_s"],
        "server_cpu_s": full["server_cpu_s"],
        "games": full["games"],
        "bytes_per_game": round(full["bytes"] / full["games"]),
        "payload_bytes_per_game": round(full["payload_bytes"] / full["games"]),
        "round_trips_per_host": full["commands_per_host"] + full["file_requests_per_host"],
        "idle": {
            "wall_s": idle["wall_s"],
            "cpu_s": idle["cpu_s"],
            "server_cpu_s": idle["server_cpu_s"],
            "bytes_per_host": round(idle["bytes"] / number),
            "connections_per_host": idle["connections_per_host"],
            "round_trips_per_host": idle["commands_per_host"] + idle["file_requests_per_host"],
        },
    }


def told(where: Path | None, number: int, history: int, url: str | None) -> dict[str, object]:
    """One size, measured in a temporary folder and printed."""
    folder = Path(tempfile.mkdtemp(prefix="ringrift-sync-", dir=where))
    try:
        size = measure(folder, number, history, url)
    finally:
        shutil.rmtree(folder)
    print(
        f"{number} hosts, {history} games known, {size['ledger']}: {size['games']} new games in {size['wall_s']} s, "
        f"CPU {size['cpu_s']} s (servers {size['server_cpu_s']} s), {size['bytes_per_game']} bytes a game of which "
        f"{size['payload_bytes_per_game']} payload; idle {size['idle']}",
        flush=True,
    )
    return size


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="One sync cycle over many SSH hosts on this machine.")
    parser.add_argument("--hosts", default="10", help="numbers of hosts, separated by commas (default 10)")
    parser.add_argument("--history", default="1000", help="games the ledger knows, separated by commas (default 1000)")
    parser.add_argument("--ledger-url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--postgresql", action="store_true", help="measure each size on PostgreSQL as well")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (default: the system's)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    args = parser.parse_args()
    numbers, histories = ([int(word) for word in text.split(",")] for text in (args.hosts, args.history))
    if not all(1 <= number <= 2000 for number in numbers) or min(histories) < 0:
        parser.error("--hosts are 1 to 2000, --history from 0")
    if args.postgresql and (reason := postgresql_server.missing()) is not None:
        parser.error(reason)
    if args.ledger_url and len(numbers) * len(histories) > 1:
        parser.error("--ledger-url takes one number of hosts and one history")
    sizes = []
    for number in numbers:
        for history in histories:
            sizes.append(told(args.folder, number, history, args.ledger_url))
            if args.postgresql:
                with postgresql_server.server(fsync=True) as url:
                    sizes.append(told(args.folder, number, history, url))
    if args.json:
        print(json.dumps({"servers": "asyncssh, reports answered in the server's process", "sizes": sizes}))


if __name__ == "__main__":
    main()
