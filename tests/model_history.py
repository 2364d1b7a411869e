"""A ledger with the history of six models: two champions and one that was taken back, a rejected one, an open one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from ringrift_loop.ledger import games, gates, hosts, matches, models, promotions, ratings, segments, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.ledger.segments import SegmentRow

VARIANT = "square8_2p"
DIGESTS = tuple(digit * 12 + str(number) * 52 for number, digit in enumerate("abcdef", start=1))
SEARCH = "gumbel16,considered=4"
TESTS = ("beats_random", "beats_heuristic", "no_illegal_moves", "latency", "determinism", "export")
GAMES = 12  # that each run claims


@dataclass
class History:
    """Names of what was written, in order."""

    digests: tuple[str, ...] = DIGESTS
    runs: list[str] = field(default_factory=list)
    games: list[list[str]] = field(default_factory=list)


def fill_history(conn: Connection, now: float, variant: str = VARIANT) -> History:
    """Write it; its last event was a minute before `now`.

    Generation 1 became the first champion, 2 was rejected by the champion gate, 3 took over from 1, 4 from 3 and was
    taken back, 5 failed the six tests, and 6 has passed both gates and waits.
    """
    history = History()
    hosts.ensure(conn, ["local_a", "local_b"])
    parents = (None, DIGESTS[0], DIGESTS[0], DIGESTS[2], DIGESTS[2], DIGESTS[2])
    start = now - 6 * 4000.0
    for number, (digest, parent) in enumerate(zip(DIGESTS, parents, strict=True), start=1):
        at = start + 4000.0 * (number - 1)
        player = "heuristic-search" if parent is None else parent
        history.games.append(_games(conn, variant, number, player, at))
        history.runs.append(_train(conn, variant, number, digest, parent, at + 700.0))
        models.add(
            conn, digest, variant, parent_digest=parent, training_run=history.runs[-1], manifest={}, at=at + 1600.0
        )
        _judge(conn, variant, number, digest, at + 1800.0)
    _ratings(conn, variant, now)
    play(conn, variant, DIGESTS[2], DIGESTS[0], now)
    return history


def _games(conn: Connection, variant: str, number: int, player: str, at: float) -> list[str]:
    names = [f"{number:02d}{game:02d}".ljust(32, "0") for game in range(GAMES)]
    for host, own in (("local_a", names[:8]), ("local_b", names[8:])):
        name = f"e-{number}"
        segments.add(
            conn,
            SegmentRow(host, name, f"{number:064x}", "e", number, len(own), len(own), 0, 0, 9000, ingested_at=at),
        )
        games.add(
            conn,
            [
                GameRow(
                    game,
                    f"{host}-{game}".ljust(64, "0"),
                    variant,
                    host,
                    name,
                    position,
                    plies=80,
                    rows=40,
                    winner=1 + position % 2,
                    result="territory",
                    player=player,
                    search={},
                    engine_version="1",
                    played_at=at - 60.0,
                    ingested_at=at + names.index(game),
                )
                for position, game in enumerate(own)
            ],
        )
    return names


def _train(conn: Connection, variant: str, number: int, digest: str, parent: str | None, at: float) -> str:
    run = training.claim(conn, f"run-{number}", variant, at=at)
    # The window reaches back over the run before, and no further.
    window = GAMES if number == 1 else 2 * GAMES
    training.mark_running(conn, run.id, window_games=window, window_rows=40 * window, parent_digest=parent)
    losses = {"owner": 0.5, "score": 0.1, "moves_left": 0.2}
    better = 0.12 * number
    report: dict[str, Any] = {
        "start": "random weights: the first of the variant" if parent is None else "the champion's weights",
        "steps": 2000,
        "samples": 512_000,
        "train": {"total": 2.6 - better, "policy": 1.5 - better, "value": 0.55 - 0.02 * number, **losses},
        "validation": {"total": 2.7 - better, "policy": 1.6 - better, "value": 0.58 - 0.02 * number, **losses},
        "overfit_gap": 0.03,
        "overfit_alarm": False,
    }
    training.succeed(conn, run.id, model_digest=digest, report=report, at=at + 900.0)
    return run.id


def _judge(conn: Connection, variant: str, number: int, digest: str, at: float) -> None:
    failed = number == 5
    tests = [
        {
            "name": name,
            "passed": not (failed and name == "beats_heuristic"),
            "undecided": False,
            "figure": 0.41 if failed and name == "beats_heuristic" else 0.93,
            "limit": 0.55 if name == "beats_heuristic" else 0.9,
            "unit": "share",
            "detail": "41 of 100 games won" if failed and name == "beats_heuristic" else "93 of 100 games won",
            "seconds": 12.0,
        }
        for name in TESTS
    ]
    gates.add(
        conn, variant, digest, gates.REGRESSION, passed=not failed, report={"tests": tests, "seconds": 72.0}, at=at
    )
    if failed:
        promotions.reject(conn, variant, digest, reason="regression gate", elo_gain=None, games=0, at=at + 1.0)
        return
    against = {1: None, 2: 1, 3: 1, 4: 3, 6: 3}[number]
    gain = {1: None, 2: 3.0, 3: 42.0, 4: 31.0, 6: 27.5}[number]
    passed = number != 2
    report = {
        "champion_digest": None if against is None else DIGESTS[against - 1],
        "passed": passed,
        "reasons": ["the first of its variant"] if gain is None else [f"{gain:+.1f} Elo after 400 games"],
        "games": 0 if gain is None else 400,
        "blocks": 0 if gain is None else 200,
        "gain": gain,
        "stderr": None if gain is None else 14.0,
        "posterior": None if gain is None else 0.98,
        "seconds": 300.0,
        "config_hash": "cafe",
    }
    gates.add(conn, variant, digest, gates.CHAMPION, passed=passed, report=report, at=at + 400.0)
    if not passed:
        promotions.reject(conn, variant, digest, reason="champion gate: +3.0", elo_gain=gain, games=400, at=at + 401.0)
    elif number < 6:
        promotions.promote(conn, variant, digest, reason="by the gates", elo_gain=gain, games=400, at=at + 402.0)
    if number == 4:
        promotions.promote(
            conn,
            variant,
            DIGESTS[2],
            reason="it stalls in won games",
            elo_gain=None,
            games=0,
            at=at + 900.0,
            status=promotions.ROLLED_BACK,
        )


def _ratings(conn: Connection, variant: str, now: float) -> None:
    elos = (180.0, 188.0, 231.0, 262.0, 205.0, 259.0)
    rows = [
        RatingRow(variant, f"{digest}|{SEARCH}", elo, 18.0, 400, now - 60.0, wins=210, draws=4)
        for digest, elo in zip(DIGESTS, elos, strict=True)
    ]
    rows.append(RatingRow(variant, "random", 0.0, 0.0, 300, now - 60.0, wins=20, draws=0))
    rows.append(RatingRow(variant, "heuristic@1f2e3d4c", 120.0, 15.0, 300, now - 60.0, wins=120, draws=0))
    ratings.replace(conn, variant, rows, keep_history_of=[])


def play(conn: Connection, variant: str, better: str, worse: str, now: float, *, lost: int = 3) -> None:
    """Ten blocks of two games: the better one loses the first `lost`, but for one game of each of the first two."""
    one, other = f"{worse}|{SEARCH}", f"{better}|{SEARCH}"
    for digest in (worse, better):
        matches.ensure_participant(
            conn, Participant(f"{digest}|{SEARCH}", variant, digest, {"simulations": 16, "considered": 4})
        )
    rows = []
    for block in range(10):
        for turned in (False, True):
            seats = [other, one] if turned else [one, other]
            won = block >= lost or (block == 0 and turned) or (block == 1 and not turned)
            winner = 1 + seats.index(other if won else one)
            name = f"{better[:2]}{worse[:2]}{block}"
            rows.append(
                MatchRow(
                    id=f"{name}{int(turned)}".rjust(64, "0"),
                    block=name.rjust(64, "b"),
                    variant=variant,
                    purpose="champion",
                    seats=seats,
                    opening="",
                    moves="",
                    winner=winner,
                    places=[1 if seat == winner else 2 for seat in (1, 2)],
                    result="territory",
                    plies=80,
                    host="local_a",
                    engine_version="1",
                    played_at=now - 3600.0 + block,
                )
            )
    matches.add(conn, rows)
