"""A ledger such as a loop has after some days, with every state that the pages show."""

from __future__ import annotations

import math
from pathlib import Path

from sqlalchemy import Connection, insert

from ringrift_loop.experiments.record import (
    Arm,
    Budget,
    Experiment,
    Match,
    Point,
    Run,
    Verdict,
    write_experiment,
)
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import (
    curriculum,
    events,
    gates,
    hosts,
    models,
    promotions,
    ratings,
    resources,
    segments,
    state,
    training,
    utilization,
    workers,
)
from ringrift_loop.ledger.schema import games
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.training.claim import run_name
from ringrift_loop.training.progress import Losses, ProgressFile

INVENTORY = """
standard_hosts:
  local_a: {transport: local, role: "selfplay,training"}
  local_b: {transport: local, role: selfplay}
  far: {ssh_host: 127.0.0.1, role: selfplay, connection: not_there, enabled: false}
"""
EVIL = "no answer\x1b[31m <script>alert(1)</script><img src=x onerror=alert(2)>\x00"
HOUR = 3600.0
DAG_RUN = "manual__prepared"
"""The run of the training's DAG whose training goes on."""
TRAINING = run_name("square8_2p", DAG_RUN)
GAINS = {"square8_2p": (0, 61, 105, 148, 176, 240, 271, 330, 391, 448, 566), "hex8_2p": (0, 40, 52)}


def fill_files(run: RunDirectory) -> None:
    """What the training that goes on has told of itself."""
    folder = run.training_output(TRAINING)
    folder.mkdir(parents=True)
    file = ProgressFile(folder, 2400, step=0)
    for step in range(60, 1440, 60):
        total = 4.2 * math.exp(-step / 900) + 1.1
        if step % 240 == 0:
            file.validated(Losses(step, total + 0.08, total - 0.5, 0.58))
        wobble = 0.08 * math.sin(step)
        left_s = (2400 - step) / 8
        file.write(Losses(step, total + wobble, total - 0.55, 0.55 + wobble), samples_per_second=2048.0, left_s=left_s)

    write_experiment(_folder(run.experiments / "moves"), experiment())
    (_folder(run.experiments / "torn") / "experiment.json").write_text('{"v": 1, "name": "torn"')


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def experiment() -> Experiment:
    """Two arms with two seeds; the first one is stronger."""
    runs = [
        Run(
            arm=arm,
            seed=seed,
            core_seconds=600.0,
            games=800,
            generation=5,
            model="a" * 64,
            finished=True,
            points=tuple(
                Point(
                    core_seconds=60.0 * step,
                    games=80 * step,
                    generation=step // 2,
                    elo=None if step < 2 else 120.0 * step**0.6 + 60 * (1 - arm) + 15 * seed,
                    stderr=None if step < 2 else 30.0,
                )
                for step in range(1, 11)
            ),
        )
        for arm in (0, 1)
        for seed in (1, 2)
    ]
    return Experiment(
        name="moves",
        question="Are searches better over 4 moves at the root than over 16?",
        variant="square8_2p",
        created_at=1.7e9,
        updated_at=1.7e9 + 4000,
        state="finished",
        version="0.1.0",
        engine_version="1",
        budget=Budget(kind="core_seconds", amount=600.0),
        arms=(
            Arm(name="4 moves", settings={"selfplay.considered_moves": "4"}),
            Arm(name="16 moves", settings={"selfplay.considered_moves": "16"}),
        ),
        seeds=(1, 2),
        runs=tuple(runs),
        matches=(
            Match(seed=1, games=200, share=0.71, low=0.64, high=0.77),
            Match(seed=2, games=160, share=0.66, low=0.58, high=0.73),
        ),
        verdict=Verdict(
            winner=0,
            decided=True,
            games=360,
            elo=139.0,
            low=101.0,
            high=178.0,
            llr=(3.4, -5.0),
            bound=2.94,
            sentence="4 moves is stronger than 16 moves by 139 Elo (101 to 178).",
        ),
        core_seconds=2600.0,
    )


def digest(variant: str, generation: int) -> str:
    """Of the variant's model of that generation."""
    return f"{generation:02x}{'c5' if variant == 'hex8_2p' else 'a7'}" * 16


def fill(conn: Connection, now: float) -> None:
    """Write it all; `square8_2p` learns, `hex8_2p` has a candidate that waits for its gate."""
    state.put(conn, state.STARTED_AT, now - 30 * HOUR, at=now)
    state.put(conn, state.ALIVE_AT, now, at=now)
    state.count_cycle(conn, at=now - 12)
    curriculum.replace(conn, {"square8_2p": 0.8, "hex8_2p": 1.2}, at=now - 900)
    _hosts(conn, now)
    for variant, elos in GAINS.items():
        _champions(conn, variant, elos, now)
    _games(conn, "square8_2p", 640, now)
    _games(conn, "hex8_2p", 210, now)
    training.claim(conn, TRAINING, "square8_2p", at=now - 700)
    training.mark_running(conn, TRAINING, window_games=640, window_rows=25_600, parent_digest=digest("square8_2p", 11))
    _games(conn, "square8_2p", 380, now, first=640)
    candidate = digest("hex8_2p", 4)
    models.add(conn, candidate, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=now - 400)
    report = {"reasons": ["gains 118 Elo, at least 0 with 95 %"], "games": 240}
    gates.add(conn, "square8_2p", digest("square8_2p", 11), gates.CHAMPION, passed=True, report=report, at=now - 1500)
    _machines(conn, now)
    for seconds, kind, variant, message in (
        (1500, "gate", "square8_2p", "square8_2p: the candidate gains 118 Elo over the champion"),
        (1480, "promotion", "square8_2p", "square8_2p: 0ba7 promoted. gains 118 Elo, at least 0 with 95 %"),
        (1100, "tournament", "square8_2p", "square8_2p: shadow tournament, 40 games"),
        (900, "curriculum", None, "weights: hex8_2p 1.2, square8_2p 0.8"),
        (700, "training", "square8_2p", "square8_2p: training on 640 new games"),
        (60, "host", None, EVIL),
        (12, "sync", None, "24 new games from 1 host"),
    ):
        events.record(conn, kind, message, at=now - seconds, variant=variant)


def _hosts(conn: Connection, now: float) -> None:
    hosts.ensure(conn, ["local_a", "local_b"])
    hosts.succeeded(conn, "local_a", at=now - 12)
    for _ in range(3):
        hosts.failed(conn, "local_b", EVIL, at=now - 60, poll_s=30, max_backoff_s=600)
    for slot in (0, 1):
        workers.assign(conn, "local_a", slot, at=now - HOUR)
    keep_alive(conn, now)


def keep_alive(conn: Connection, now: float) -> None:
    """What a loop that runs says all the time: a test session takes longer than a loop may be silent."""
    state.put(conn, state.ALIVE_AT, now, at=now)
    state.put(conn, state.LAST_CYCLE_AT, now - 12, at=now)
    for slot in (0, 1):
        plays = {
            variant: {
                "model": digest(variant, len(elos)),
                "generation": len(elos),
                "games_per_hour": 90.0,
                "games": 40,
                "computed_s": 1700.0,
            }
            for variant, elos in GAINS.items()
        }
        beat = {"state": "playing", "variant": "square8_2p", "variants": plays}
        workers.report(conn, "local_a", slot, beat, at=now - 5)
    sample = SampleRow("local_a", now - 10, "this-one", 900.0, 71.0, 64.0, 3.0, 41.0, 1.5, duty=0.9, disk=48.0)
    utilization.add(conn, sample)


def _machines(conn: Connection, now: float) -> None:
    """Samples of a day, the decision that holds, weights, a rate that somebody asked for."""
    for index in range(1, 96):
        at, cpu = now - 10 - 900.0 * index, 71.0 + index % 7
        sample = SampleRow("local_a", at, "this-one", 900.0, cpu, 64.0, 3.0, 41.0, 1.5, duty=0.9, disk=48.0)
        utilization.add(conn, sample)
    decision = resources.DecisionRow("this-one", now - 40, resources.HOLD, 0.9, {}, {}, "cpu 74% within 60-80%")
    resources.decide(conn, decision)
    resources.replace_weights(conn, {"square8_2p": 0.9, "hex8_2p": 1.3}, at=now - 900)
    answer = "71% of the CPU is used: within 60-80%, granted"
    resources.negotiate(conn, resources.NegotiationRow(now - 600, "operator", "more hex games", 400.0, 360, answer))


def _champions(conn: Connection, variant: str, elos: tuple[int, ...], now: float) -> None:
    """A champion every two and a half hours, the last one 25 minutes ago; each rated at every fit since."""
    rows: list[ratings.RatingRow] = []
    for number, elo in enumerate(elos, 1):
        at = now - 1480 - (len(elos) - number) * 2.5 * HOUR
        own = digest(variant, number)
        models.add(conn, own, variant, parent_digest=None, training_run=None, manifest={}, at=at - 600)
        gain = None if number == 1 else float(elo - elos[number - 2])
        reason = "the first model" if gain is None else f"gains {gain:.0f} Elo, at least 0 with 95 %"
        promotions.promote(conn, variant, own, reason=reason, elo_gain=gain, games=240, at=at)
        anchor = ratings.RatingRow(variant, "random", 0.0, 0.0, 100, at)
        rows.append(ratings.RatingRow(variant, f"{own}|gumbel-32", 300.0 + elo, 12.0, 400, at, wins=260, draws=4))
        for step in range(4):
            wobble = 6.0 * math.sin(7 * number + step)
            moment = at + step * 0.6 * HOUR
            if moment > now:
                break
            fitted = ratings.RatingRow(
                variant, f"{own}|gumbel-32", 300.0 + elo + wobble, 24.0 - 4 * step, 100 * (step + 1), moment
            )
            kept = [row for row in rows if row.participant != fitted.participant]
            ratings.replace(conn, variant, [anchor, *kept, fitted], keep_history_of=[fitted.participant])
    ratings.replace(conn, variant, [anchor, *rows], keep_history_of=[])


def _games(conn: Connection, variant: str, number: int, now: float, *, first: int = 0) -> None:
    segment = f"{variant}-{first}"
    segments.add(
        conn,
        segments.SegmentRow(
            host="local_a", name=segment, sha256="e" * 64, epoch="e1", seq=first + 1 + 5000 * (variant == "hex8_2p"),
            records=number, games_new=number, games_known=0, games_quarantined=0, size_bytes=100 * number,
            ingested_at=now,
        ),
    )  # fmt: skip
    conn.execute(
        insert(games),
        [
            {
                "id": f"{variant}-{first + index}",
                "move_hash": f"{variant}-{first + index}",
                "variant": variant,
                "host": "local_a",
                "segment": segment,
                "position": index,
                "plies": 78,
                "rows": 40,
                "winner": 1 + index % 2,
                "result": "territory",
                "player": digest(variant, len(GAINS[variant])),
                "search": {},
                "engine_version": "1",
                "played_at": now - 8.0 * (number - index),
                "ingested_at": now - 8.0 * (number - index),
            }
            for index in range(number)
        ],
    )
