"""The four tests of the regression gate that judge games."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

from ringrift_loop.config.schema import Regression
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import GateError, IllegalMoveError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.promotion.games import rule_of
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.ratings.floors import error_rates

TRUNCATED = "truncated"


def check_legality(subject: Subject, rows: Sequence[MatchRow]) -> TestResult:
    """Replay every game move by move; the figure is the number of illegal moves of the model.

    An illegal move ends the playing of a game with an error; the replay makes sure that none got into the log either.
    """
    _require_games(rows)
    checked = illegal = 0
    first = ""
    for row in rows:
        game = Game(row.variant)
        opening = len(row.opening.split())
        for ply, text in enumerate(row.moves.split()):
            own = ply >= opening and row.seats[game.to_play - 1] == subject.participant
            checked += own
            try:
                game.play(text)
            except (IllegalMoveError, ValueError) as error:
                illegal += 1
                first = first or f"; match {row.id}, ply {ply}: {error}"
                break
    if checked == 0:
        raise GateError(f"{subject.participant} made no move in {len(rows)} games")
    detail = f"{checked} moves of the model in {len(rows)} games replayed, {illegal} games hold an illegal move{first}"
    return TestResult("no_illegal_moves", illegal == 0, float(illegal), 0.0, "moves", detail, 0.0)


def check_endings(subject: Subject, rows: Sequence[MatchRow]) -> TestResult:
    """Count the games that did not end within the variant's ply budget."""
    _require_games(rows)
    budget = variant_of(subject.variant).ply_budget
    unfinished = [row for row in rows if row.result == TRUNCATED or row.winner is None]
    longest = max(row.plies for row in rows)
    results = ", ".join(f"{result} {count}" for result, count in sorted(Counter(row.result for row in rows).items()))
    detail = f"{len(rows)} games, longest {longest} of {budget} plies; {results}"
    return TestResult("games_finish", not unfinished, float(len(unfinished)), 0.0, "unfinished", detail, 0.0)


def check_win_rate(subject: Subject, baseline: str, rows: Sequence[MatchRow], limits: Regression) -> TestResult:
    """Compare the share of games won against copies of a baseline with the floor for the number of players.

    The rule in `ratings/floors.py` judges, and its error rates are told. A game that was cut off is not won. The
    interval is Wilson's, 95 %.

    Raises:
        GateError: no games, other ones than the rule looks at, or unequally many in the seats.
    """
    _require_games(rows)
    players = variant_of(subject.variant).players
    rule = rule_of(limits, baseline, players)
    games = Counter(row.seats.index(subject.participant) + 1 for row in rows)
    wins = Counter(seat for row in rows if (seat := row.seats.index(subject.participant) + 1) == row.winner)
    if len(set(games.values())) != 1 or len(games) != players:
        raise GateError(f"the model must sit in each of {players} seats equally often, got {dict(games)}")
    total, won = games.total(), wins.total()
    verdict = rule.judge(total, won) if total in rule.looks else "continue"
    if verdict == "continue":
        raise GateError(f"{won} of {total} games won against {baseline} decide nothing, the looks are {rule.looks}")
    low, high = wilson(won, total)
    seats = ", ".join(f"seat {seat}: {wins[seat]}/{games[seat]}" for seat in sorted(games))
    look = f"decided at look {rule.looks.index(total) + 1} of {len(rule.looks)}, games {total} of {rule.looks[-1]}"
    detail = (
        f"{won} of {total} games won against {players - 1} x {baseline}, 95 % {low:.1%}..{high:.1%}; {seats}; {look}; "
        f"{error_rates(rule).sentence()}"
    )
    return TestResult(f"beats_{baseline}", verdict == "pass", won / total, rule.floor, "win rate", detail, 0.0)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a proportion (E. B. Wilson, JASA 22, 1927)."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _require_games(rows: Sequence[MatchRow]) -> None:
    if not rows:
        raise GateError("no game was played, so there is nothing to judge")
