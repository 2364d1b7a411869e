"""How long the endpoints and `ringrift-loop status` take with a large ledger.

    python benchmarks/endpoints.py [--games 1000000] [--matches 100000] [--models 500] [--json]

Makes a ledger of that size in a temporary folder (half a gigabyte), asks each endpoint a few times without a login, as
the API server would after one, and runs the command as a process of its own. Exit status 1 when the median of an
endpoint is above 200 ms, or that of the command above 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOT = Path(__file__).resolve().parents[1]
PATHS = (
    "/health",
    "/status",
    "/elo/table",
    "/elo/table?source=trained&config=square8_2p",
    "/nodes/table",
    "/api/overview",
    "/api/variants",
    "/api/models?config=square8_2p",
    "/api/models?config=square8_2p&most=200",
    "/api/models/losses?config=square8_2p",
    "/api/models/refusals?config=square8_2p",
    "/api/models/matchups?config=square8_2p",
    "/api/models/{digest}",
    "/api/games/{game}/lineage",
    "/api/hosts",
    "/api/hosts/load",
    "/api/hosts/local_a/workers",
    "/api/games",
    "/api/games?variant=square8_2p&winner=1",
    "/api/games?variant=square8_2p&generation=3",
    "/api/games?player=p&host=local_a&variant=hex8_2p",
    "/api/games?variant=hex8_2p&plies_from=500",  # none of them: the most that one answer looks at
    "/api/games?result=lps&since=1",
    "/api/play/opponents?variant=square8_2p",
    "/api/control",
    "/api/config",
    "/api/trainings",
)
ENDPOINT_S = 0.2
COMMAND_S = 1.0
TIMES = 7
VARIANTS = ("square8_2p", "hex8_2p")
SLOTS = 16
# SQLite counts by itself: a row a game, in a tenth of the time that Python would take.
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number) "
ROWS = {
    "segments": """INSERT INTO segments (host, name, sha256, epoch, seq, records, games_new, games_known,
      games_quarantined, size_bytes, ingested_at, released_at) {numbers} SELECT 'local_a', 's' || i, printf('%064x', i),
      'e', i, 50, 50, 0, 0, 100000, :now - (:number - i) * 10.0, :now FROM n""",
    "training_runs": """INSERT INTO training_runs (id, variant, state, games, window_games, window_rows, started_at,
      finished_at, model_digest, report) {numbers} SELECT 'run-' || i, iif(i % 2, 'square8_2p', 'hex8_2p'),
      'succeeded', 2000, 20000, 800000, :now - (:number - i) * 5000.0, :now - (:number - i) * 5000.0 + 900,
      printf('%064x', i), :report FROM n""",
    "models": """INSERT INTO models (digest, variant, generation, training_run, manifest, created_at) {numbers}
      SELECT printf('%064x', i), iif(i % 2, 'square8_2p', 'hex8_2p'), (i + 1) / 2, 'run-' || i, '{{}}',
      :now - (:number - i) * 5000.0 FROM n""",
    "games": """INSERT INTO games (id, move_hash, variant, host, segment, position, plies, rows, winner, result, player,
      search, engine_version, played_at, ingested_at, training_run) {numbers} SELECT printf('%032x', i),
      printf('%064x', i), iif(i % 2, 'square8_2p', 'hex8_2p'), 'local_a', 's' || (1 + (i - 1) / 50), i % 50, 80, 40,
      1 + i % 2, 'territory', 'p', '{{}}', '1', :now - (:number - i) * 0.2, :now - (:number - i) * 0.2,
      iif(i < :number - 1000, 'run-' || (1 + (i - 1) % :models), NULL) FROM n""",
    "participants": """INSERT INTO participants (id, variant, kind, model_digest, search) {numbers}
      SELECT printf('%064x', i) || '|gumbel-32', iif(i % 2, 'square8_2p', 'hex8_2p'), 'model', printf('%064x', i),
      '{{}}' FROM n""",
    "matches": """INSERT INTO matches (id, block, variant, purpose, seats, opening, moves, winner, places, result,
      plies, host, engine_version, played_at) {numbers} SELECT printf('%064x', i), printf('%064x', i / 4 * 2 + i % 2),
      iif(i % 2, 'square8_2p', 'hex8_2p'), 'shadow',
      iif(i / 2 % 2, json_array({one}, {other}), json_array({other}, {one})), '', '', 1 + i % 3 % 2,
      iif(i % 3 % 2, '[2, 1]', '[1, 2]'), 'territory', 80, 'local_a', '1', :now - (:number - i) * 2.0 FROM n""",
    "match_players": """INSERT INTO match_players (match_id, seat, variant, participant)
      SELECT id, 1, variant, json_extract(seats, '$[0]') FROM matches
      UNION ALL SELECT id, 2, variant, json_extract(seats, '$[1]') FROM matches""",
    "gate_reports": """INSERT INTO gate_reports (variant, model_digest, gate, passed, report, created_at) {numbers}
      SELECT iif((i + 1) / 2 % 2, 'square8_2p', 'hex8_2p'), printf('%064x', (i + 1) / 2),
      iif(i % 2, 'regression', 'champion'), 1, iif(i % 2, :tests, :contest), :now FROM n""",
    "utilization_samples": """INSERT INTO utilization_samples (host, at, machine, seconds, cpu, workers, jobs, control,
      memory, duty, gpus) {numbers} SELECT 'local_' || iif(i % 2, 'a', 'b'), :now - i / 2 * 30.0,
      'machine-' || i % 2, 30.0, 70.0, 50.0, 5.0, 5.0, 40.0, 0.8, '[]' FROM n""",
    "jobs": """INSERT INTO jobs (id, command_digest, role, host, gpus, fence_s, state, attempt, placed_at,
      last_contact_at, log_offset) {numbers} SELECT 'job-' || i, 'd', 'training', 'local_a', '[]', 900.0, 'succeeded',
      1, :now - i * 900.0, :now, 0 FROM n""",
    "ratings": """INSERT INTO ratings (variant, participant, elo, stderr, games, fitted_at, wins, draws) {numbers}
      SELECT iif(i % 2, 'square8_2p', 'hex8_2p'), printf('%064x', i) || '|gumbel-32', i * 1.5, 20.0, 400, :now, 210, 5
      FROM n""",
    "promotions": """INSERT INTO promotions (variant, model_digest, status, reason, games, created_at) {numbers}
      SELECT iif(i % 2, 'square8_2p', 'hex8_2p'), printf('%064x', i), iif(i % 5 < 2, 'promoted', 'rejected'), 'r', 400,
      :now - (:number - i) * 5000.0 FROM n""",
    "events": """INSERT INTO events (at, kind, variant, message, data) {numbers} SELECT :now - (:number - i) * 3.0,
      iif(i % 10, 'sync', 'tournament'), NULL, 'a line', '{{}}' FROM n""",
}  # fmt: skip

# In every match one of the newest models, or any other in turn, against its neighbour or the champion.
ONE = "printf('%064x', {pool} * 2 - i % 2) || '|gumbel-32'"
POOL = "iif(i / 4 % 10 < 3, :models / 2 - 1 - i / 4 % 4, 1 + i / 4 % (:models / 2 - 1))"
PAIR = {
    "one": ONE.format(pool=POOL),
    "other": ONE.format(pool=f"iif(i / 4 % 10 < 6, :models / 2, ({POOL}) % (:models / 2) + 1)"),
}
LOSSES = {"total": 2.1, "policy": 1.2, "value": 0.5, "owner": 0.3, "score": 0.1, "moves_left": 0.2}
DOCUMENTS = {
    "report": {"start": "the champion", "steps": 2000, "samples": 1, "train": LOSSES, "validation": LOSSES},
    "tests": {"tests": [{"name": f"test {n}", "passed": True, "detail": "x" * 120, "figure": 0.9} for n in range(6)]},
    "contest": {"gain": 20.0, "stderr": 9.0, "games": 400, "reasons": ["x" * 120], "comparisons": []},
}


def main() -> int:
    """Make the ledger, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000_000)
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ |= {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "RINGRIFT_HOME": str(home / "run"),
            "RINGRIFT_CONFIG": str(ROOT / "config" / "unified_loop.yaml"),
            "RINGRIFT_HOSTS": str(ROOT / "config" / "remote_hosts.yaml"),
        }
        made_s = make_ledger(home / "run" / "ledger.db", args.games, args.matches, args.models)
        size = (home / "run" / "ledger.db").stat().st_size
        medians = asyncio.run(ask_endpoints(args.games, args.models)) | {"ringrift-loop status": command_s()}
    late = [what for what, s in medians.items() if s > (COMMAND_S if what.startswith("ringrift") else ENDPOINT_S)]
    if args.json:
        print(json.dumps({"seconds": medians, "late": late, "ledger_bytes": size}))
    else:
        print(
            f"{args.games} games, {args.matches} matches, {args.models} models: {size >> 20} MiB, "
            f"made in {made_s:.0f} s"
        )
        for what, seconds in medians.items():
            print(f"{1000 * seconds:8.1f} ms  {what}{'  LATE' if what in late else ''}")
    return 1 if late else 0


def make_ledger(file: Path, games: int, matches: int, models: int) -> float:
    """Write the rows; returns the seconds that it took."""
    from sqlalchemy import text

    from ringrift_loop.cli.progress import counted
    from ringrift_loop.ledger import curriculum, hosts, workers
    from ringrift_loop.ledger.database import Ledger
    from ringrift_loop.ledger.migrate import migrate

    started, now = time.perf_counter(), time.time()
    migrate(f"sqlite:///{file}")
    numbers = {
        "segments": 1 + games // 50,
        "games": games,
        "matches": matches,
        "events": games // 10,
        "gate_reports": 2 * models,
        "utilization_samples": 5760,  # a day of two hosts
    }
    documents = {name: json.dumps(document) for name, document in DOCUMENTS.items()}
    with Ledger.open(f"sqlite:///{file}").begin() as conn:
        hosts.ensure(conn, ["local_a", "local_b"])
        curriculum.replace(conn, dict.fromkeys(VARIANTS, 1.0), at=now)
        for slot in range(SLOTS):
            workers.assign(conn, "local_a", slot, at=now)
        keep_alive(conn, now)
        for table, rows in counted(list(ROWS.items()), "Tables of the ledger"):
            statement = rows.format(numbers=NUMBERS, **PAIR)
            values = {"number": numbers.get(table, models), "now": now, "models": models, **documents}
            conn.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})
        conn.execute(
            text("INSERT INTO champions SELECT variant, max(digest), 200, :now FROM models GROUP BY variant"),
            {"now": now},
        )
    return time.perf_counter() - started


def keep_alive(conn: Connection, now: float) -> None:
    """What a loop that runs says all the time."""
    from ringrift_loop.ledger import hosts, state, workers

    state.note_alive(conn, at=now, silence_s=300)
    state.count_cycle(conn, at=now)
    hosts.succeeded(conn, "local_a", at=now)
    plays = {variant: {"generation": 1, "games_per_hour": 90.0} for variant in VARIANTS}
    for slot in range(SLOTS):
        workers.report(conn, "local_a", slot, {"state": "playing", "variants": plays}, at=now)


async def ask_endpoints(games: int, models: int) -> dict[str, float]:
    """The median of each endpoint, s; the first answer, which imports and reads the disk, is left out."""
    import httpx
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user

    from ringrift_airflow.endpoints.access import MAY_READ
    from ringrift_airflow.endpoints.app import make_app

    app = make_app()
    app.dependency_overrides[MAY_READ.dependency] = lambda: None  # type: ignore[index]
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="somebody", role="ADMIN")
    create_auth_manager()
    found: dict[str, float] = {}
    transport: Any = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://endpoints") as client:
        for path in PATHS:
            seconds = []
            for _ in range(TIMES + 1):
                started = time.perf_counter()
                # The champion, whose games are many, and a game of half the ledger ago.
                answer = await client.get(path.format(digest=f"{models - 1:064x}", game=f"{games // 2 + 1:032x}"))
                seconds.append(time.perf_counter() - started)
                assert answer.status_code in (200, 503), answer.text
                assert answer.json(), path
            found[path] = statistics.median(seconds[1:])
    return found


def command_s() -> float:
    """The median of `ringrift-loop status`, a process each time, s."""
    seconds = []
    for _ in range(TIMES + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ringrift_loop.cli", "status"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    sys.exit(main())
