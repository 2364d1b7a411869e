"""One model's history from its games to its reign, and what became of a game.

The same query serves the page's graph and `ringrift-loop lineage`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from ringrift_loop.checked_json import convert
from ringrift_loop.errors import DataError, LedgerError
from ringrift_loop.json_value import JsonValue, number, whole
from ringrift_loop.ledger.schema import games, gate_reports, models, training_runs
from ringrift_loop.ratings.holdout import Holdout
from ringrift_loop.text import clean, clean_lines, counted
from ringrift_loop.views.family import (
    SENTENCE,
    Family,
    LossMeans,
    ModelLine,
    PointerStep,
    generations_of,
    losses_of,
)


@dataclass(frozen=True)
class GamesShare:
    """A part of a window's new games."""

    name: str
    """A host, a model's digest or a baseline."""
    generation: int | None
    """The model's; None for everything else."""
    games: int


@dataclass(frozen=True)
class GameWindow:
    """What a training run learned from."""

    new_games: int
    """That this run was the first to use."""
    games: int
    """Of the whole window, older ones included; 0 before the training began."""
    rows: int
    players: tuple[GamesShare, ...]
    """Who played the new games."""
    hosts: tuple[GamesShare, ...]
    """Where the new games were played."""
    first_at: float | None
    """When the first of the new games was taken in."""
    last_at: float | None


@dataclass(frozen=True)
class TrainingStep:
    """One training run."""

    run: str
    state: str
    started_at: float
    finished_at: float | None
    start: str | None
    """What it started from, in words."""
    steps: int | None
    samples: int | None
    train: LossMeans | None
    validation: LossMeans | None
    overfit_gap: float | None
    overfit_alarm: bool
    data: str | None
    """What its window looked like, in a sentence."""
    holdout: str | None
    """How the candidate does on games that no training sees, in a sentence."""
    error: str | None


@dataclass(frozen=True)
class TestVerdict:
    """One of the six tests."""

    __test__ = False  # pytest: not a test class

    name: str
    passed: bool
    undecided: bool
    figure: float | None
    limit: float | None
    unit: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """One report of a gate."""

    gate: str
    """`regression` or `champion`."""
    passed: bool
    undecided: bool
    at: float
    reasons: tuple[str, ...]
    tests: tuple[TestVerdict, ...]
    """Of the regression gate."""
    against: str | None
    """The champion that it was judged against."""
    gain: float | None
    stderr: float | None
    posterior: float | None
    games: int
    blocks: int
    seconds: float | None
    config_hash: str | None


@dataclass(frozen=True)
class Origin:
    """Where a model came from that was imported."""

    source: str
    """The package, or a folder."""
    digest: str
    """On its card: of the weights in float32."""
    made_at: float | None
    trainings: int
    """That made it, as far as its card knows them."""
    licence: str
    measured: tuple[str, ...]
    """Its games against the baselines where it was made, a sentence each."""


@dataclass(frozen=True)
class Lineage:
    """How one model came about and what became of it."""

    model: ModelLine
    ancestors: tuple[ModelLine, ...]
    """Its parent first; at most twelve."""
    children: tuple[ModelLine, ...]
    """Models whose training started from it, oldest first."""
    start: str | None
    """Digest of the weights that training started from, also of another variant's model; None: random weights."""
    start_variant: str | None
    """Whose model that is."""
    origin: Origin | None
    """None: it was trained here."""
    window: GameWindow | None
    """None: it was not trained here."""
    training: TrainingStep | None
    verdicts: tuple[Verdict, ...]
    """Oldest first."""
    decisions: tuple[PointerStep, ...]
    """Oldest first."""


@dataclass(frozen=True)
class WindowWithGame:
    """A training run whose window held a game."""

    run: str
    state: str
    started_at: float
    is_first: bool
    """The run that consumed it."""
    model: str | None
    """Digest of the candidate that came of it."""
    generation: int | None


@dataclass(frozen=True)
class GameLineage:
    """Where a game came from and what learned from it."""

    id: str
    variant: str
    host: str
    segment: str
    position: int
    """Record number within the segment, from 0."""
    plies: int
    result: str
    winner: int | None
    played_at: float
    ingested_at: float
    player: str
    """Digest of the model that played it, or a baseline's name."""
    player_model: ModelLine | None
    windows: tuple[WindowWithGame, ...]
    """Oldest first; empty while it waits for training."""


def lineage(conn: Connection, digest: str) -> Lineage:
    """How a model came about and what became of it.

    Raises:
        LedgerError: no such model is registered.
    """
    variant = conn.execute(select(models.c.variant).where(models.c.digest == digest)).scalar()
    if variant is None:
        raise LedgerError(f"no model {digest[:64]} is registered")
    family = Family.read(conn, variant)
    own = family.rows[digest]
    ancestors = family.ancestors(digest)
    children = [row.digest for row in family.rows.values() if row.parent_digest == digest]
    lines = {line.digest: line for line in family.lines(conn, [digest, *ancestors, *children])}
    run = None if own.training_run is None else _run(conn, own.training_run)
    start = own.parent_digest if run is None else run.parent_digest
    return Lineage(
        model=lines[digest],
        ancestors=tuple(lines[each] for each in ancestors),
        children=tuple(sorted((lines[each] for each in children), key=lambda line: line.generation)),
        start=start,
        start_variant=None
        if start is None
        else conn.execute(select(models.c.variant).where(models.c.digest == start)).scalar(),
        origin=_origin(conn, digest),
        window=None if run is None else _window(conn, run),
        training=None if run is None else _training(run),
        verdicts=tuple(_verdict(row) for row in _reports(conn, digest)),
        decisions=tuple(family.steps(digest)),
    )


def game_lineage(conn: Connection, game_id: str) -> GameLineage:
    """Where a game came from, and the training runs whose window held it.

    A run's window is what it claimed and then the games of earlier runs, both from the newest back; the ledger has the
    number of games in it. So a game's place follows from what was claimed since, and no list has to be kept.

    Raises:
        LedgerError: no such game is in the ledger.
    """
    game = conn.execute(select(games).where(games.c.id == game_id)).first()
    if game is None:
        raise LedgerError(f"no game {clean(game_id, 64)} is in the ledger")
    found = conn.execute(select(models.c.variant).where(models.c.digest == game.player)).scalar()
    line = None
    if found is not None:
        (line,) = Family.read(conn, found).lines(conn, [game.player])
    return GameLineage(
        id=game.id,
        variant=game.variant,
        host=clean(game.host),
        segment=clean(game.segment),
        position=game.position,
        plies=game.plies,
        result=clean(game.result),
        winner=game.winner,
        played_at=game.played_at,
        ingested_at=game.ingested_at,
        player=clean(game.player),
        player_model=line,
        windows=() if game.training_run is None else tuple(_windows_with(conn, game)),
    )


def _reports(conn: Connection, digest: str) -> list[Row[Any]]:
    query = select(gate_reports).where(gate_reports.c.model_digest == digest).order_by(gate_reports.c.id)
    return list(conn.execute(query))


def _verdict(row: Row[Any]) -> Verdict:
    report: dict[str, JsonValue] = row.report if isinstance(row.report, dict) else {}
    listed, reasons = report.get("tests"), report.get("reasons")
    tests = tuple(_test(test) for test in listed if isinstance(test, dict)) if isinstance(listed, list) else ()
    against, used = report.get("champion_digest"), report.get("config_hash")
    return Verdict(
        gate=row.gate,
        passed=row.passed,
        undecided=report.get("undecided") is True,
        at=row.created_at,
        reasons=tuple(clean(str(reason), SENTENCE) for reason in reasons) if isinstance(reasons, list) else (),
        tests=tests,
        against=str(against) if against is not None else None,
        gain=number(report.get("gain")),
        stderr=number(report.get("stderr")),
        posterior=number(report.get("posterior")),
        games=whole(report.get("games")) or 0,
        blocks=whole(report.get("blocks")) or 0,
        seconds=number(report.get("seconds")),
        config_hash=str(used) if used is not None else None,
    )


def _test(test: Mapping[str, JsonValue]) -> TestVerdict:
    return TestVerdict(
        name=clean(str(test.get("name", ""))),
        passed=test.get("passed") is True,
        undecided=test.get("undecided") is True,
        figure=number(test.get("figure")),
        limit=number(test.get("limit")),
        unit=clean(str(test.get("unit", ""))),
        detail=clean(str(test.get("detail", "")), SENTENCE),
    )


def _run(conn: Connection, run_id: str) -> Row[Any] | None:
    return conn.execute(select(training_runs).where(training_runs.c.id == run_id)).first()


def _training(run: Row[Any]) -> TrainingStep:
    report: dict[str, JsonValue] = run.report if isinstance(run.report, dict) else {}
    start = report.get("start")
    return TrainingStep(
        run=run.id,
        state=run.state,
        started_at=run.started_at,
        finished_at=run.finished_at,
        start=clean(str(start)) if start is not None else None,
        steps=whole(report.get("steps")),
        samples=whole(report.get("samples")),
        train=losses_of(report.get("train")),
        validation=losses_of(report.get("validation")),
        overfit_gap=number(report.get("overfit_gap")),
        overfit_alarm=report.get("overfit_alarm") is True,
        data=_data(report.get("targets")),
        holdout=_holdout(report.get("holdout")),
        error=None if run.error is None else clean_lines(run.error, SENTENCE),
    )


def _data(told: JsonValue) -> str | None:
    """None for the report of a training from before the figures were told."""
    if not isinstance(told, dict):
        return None
    names = ("policy_entropy", "soft_share", "plies", "plies_low", "plies_high", "unfinished_share", "distinct_share")
    figures = [number(told.get(name)) for name in names]
    seats, players = told.get("seat_wins"), whole(told.get("players"))
    if None in figures or not isinstance(seats, list) or players is None:
        return None
    wins = ", ".join(f"{number(seat) or 0.0:.0%}" for seat in seats[:players])
    surprise = number(told.get("policy_surprise")) or 0.0  # which no report of an older training has
    beyond = f", {surprise:.2f} nats from what their players expected" if surprise else ""
    text = (
        "policy targets of {:.2f} nats{beyond}, {:.0%} of them soft; {:.0f} plies, nine of ten games {:.0f} to {:.0f}; "
        "{:.1%} cut off, {:.0%} different openings"
    )
    return f"{text.format(*figures, beyond=beyond)}; seats won {wins}"


def _holdout(told: JsonValue) -> str | None:
    if told is None:
        return None
    try:
        return convert(told, Holdout, "a training's holdout").sentence()
    except DataError as error:
        return clean(str(error), SENTENCE)


def _origin(conn: Connection, digest: str) -> Origin | None:
    manifest = conn.execute(select(models.c.manifest).where(models.c.digest == digest)).scalar()
    told: JsonValue = manifest.get("imported") if isinstance(manifest, dict) else None
    card = told.get("card") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(card, dict):
        return None
    trainings, measured = card.get("lineage"), card.get("measured")
    return Origin(
        source=clean(str(told.get("from", "")), SENTENCE),
        digest=clean(str(card.get("digest", ""))),
        made_at=number(card.get("created_at")),
        trainings=len(trainings) if isinstance(trainings, list) else 0,
        licence=clean(str(card.get("licence", ""))),
        measured=tuple(map(_measured, measured)) if isinstance(measured, list) else (),
    )


def _measured(told: JsonValue) -> str:
    match: dict[str, JsonValue] = told if isinstance(told, dict) else {}
    share, low, high = (number(match.get(name)) or 0.0 for name in ("share", "low", "high"))
    games_played = counted(whole(match.get("games")) or 0, "game")
    return f"{share:.1%} [{low:.1%}, {high:.1%}] of {games_played} against {clean(str(match.get('opponent', '')))}"


def _window(conn: Connection, run: Row[Any]) -> GameWindow:
    own = games.c
    query = (
        select(own.player, own.host, func.count(), func.min(own.ingested_at), func.max(own.ingested_at))
        .where(own.variant == run.variant, own.training_run == run.id)
        .group_by(own.player, own.host)
    )
    players: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    times: list[float] = []
    for player, host, count, first_at, last_at in conn.execute(query):
        players[player] += count
        hosts[host] += count
        times += [first_at, last_at]
    generations = generations_of(conn, list(players))
    return GameWindow(
        new_games=run.games,
        games=run.window_games,
        rows=run.window_rows,
        players=tuple(GamesShare(clean(name), generations.get(name), count) for name, count in players.most_common()),
        hosts=tuple(GamesShare(clean(name), None, count) for name, count in hosts.most_common()),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )


def _windows_with(conn: Connection, game: Row[Any]) -> list[WindowWithGame]:
    """The runs whose window held a game that `game.training_run` consumed."""
    own, runs = games.c, training_runs.c
    same = (own.variant == game.variant) & (own.training_run == game.training_run)
    same &= own.engine_version == game.engine_version
    newer = (own.ingested_at > game.ingested_at) | ((own.ingested_at == game.ingested_at) & (own.id < game.id))
    place = conn.execute(select(func.count()).where(same & newer)).scalar_one()
    first = _run(conn, game.training_run)
    assert first is not None  # a foreign key
    later = (
        select(runs.id, runs.state, runs.started_at, runs.games, runs.window_games, runs.model_digest)
        .where(runs.variant == game.variant, runs.started_at > first.started_at, runs.state != "failed")
        .order_by(runs.started_at)
    )
    found = []
    for run in (first, *conn.execute(later)):
        place += run.games if run.id != first.id else 0  # what it claimed comes before all that was consumed earlier
        if place < run.window_games:
            found.append(run)
    generations = generations_of(conn, [run.model_digest for run in found if run.model_digest is not None])
    return [
        WindowWithGame(
            run.id,
            run.state,
            run.started_at,
            is_first=run.id == first.id,
            model=run.model_digest,
            generation=generations.get(run.model_digest or ""),
        )
        for run in found
    ]
