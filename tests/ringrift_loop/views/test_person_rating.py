"""A person's rating: against ratings that stand, of games without help, and never part of the ledger's fit."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ringrift_loop.ledger import matches, ratings
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.loop import Loop
from ringrift_loop.views.person_rating import opponent_id, person_ratings
from ringrift_loop.views.play import PlayFile
from ringrift_loop.views.records import PERSON, PersonRating

MODEL = "ab" * 32
VARIANT = "square8_2p"


def game(won: bool, *, seat: int = 1, opponent: str = MODEL, simulations: int = 32, **changes: object) -> PlayFile:
    players, places = [PERSON, opponent], [1, 2] if won else [2, 1]
    if seat == 2:
        players, places = players[::-1], places[::-1]
    file = PlayFile(
        id="0" * 24,
        login="ada",
        variant=VARIANT,
        pie_rule=False,
        players=players,
        simulations=simulations,
        moves=[],
        hints=0,
        taken_back=0,
        resigned=False,
        started_at=1.0,
        changed_at=2.0,
        winner=1,
        result="territory",
        places=places,
    )
    return msgspec.structs.replace(file, **changes)


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    loop = open_loop()
    rated = [(f"{MODEL}|gumbel32", 1000.0), ("random", 0.0)]
    rows = [RatingRow(VARIANT, name, elo, 20.0, 50, 1.0) for name, elo in rated]
    with loop.ledger.begin() as conn:
        ratings.replace(conn, VARIANT, rows, keep_history_of=[])
    return loop


def rating(loop: Loop, *games: PlayFile) -> PersonRating:
    with loop.ledger.read() as conn:
        found = person_ratings(conn, "ada", games)
    assert [one.variant for one in found] == [VARIANT]
    return found[0]


def test_even_results_mean_the_opponents_rating(loop: Loop) -> None:
    even = [game(won, seat=seat) for won in (True, False) for seat in (1, 2)] * 25
    found = rating(loop, *even)
    assert found.elo == pytest.approx(1000.0, abs=5.0)  # the prior is a 0.3 % of the weight
    assert found.stderr == pytest.approx(400 / 2.302585 / (100 * 0.25) ** 0.5, rel=0.03)
    assert found.games == 100


def test_more_wins_mean_more_and_the_seat_is_not_forgotten(loop: Loop) -> None:
    found = [rating(loop, *[game(n < wins, seat=1 + n % 2) for n in range(20)]).elo for wins in (5, 10, 15)]
    assert found[0] < found[1] < found[2]  # type: ignore[operator]
    # Three of four won: 400 log10(3) above, less what the prior takes.
    assert 1000 + 120 < found[2] < 1000 + 191  # type: ignore[operator]


def test_help_and_unrated_opponents_do_not_count(loop: Loop) -> None:
    found = rating(
        loop,
        game(True),
        game(True, hints=1),
        game(True, taken_back=2),
        game(True, simulations=33),
        game(True, opponent="cd" * 32),
    )
    assert (found.games, found.helped, found.unrated) == (1, 2, 2)
    nothing = rating(loop, game(True, hints=1))
    assert (nothing.elo, nothing.stderr, nothing.games) == (None, None, 0)


def test_exchanged_seats_are_the_seats_that_were_played(loop: Loop) -> None:
    # All wins of the second seat: an advantage of that seat explains a part of them, whoever began where.
    swapped = [game(True, seat=1, moves=["PL:0,0x1", "SW"])] * 20
    plain = [game(True, seat=2)] * 20
    assert rating(loop, *swapped).elo == pytest.approx(rating(loop, *plain).elo)


def test_baselines_are_known_by_their_ids(loop: Loop) -> None:
    assert rating(loop, game(True, opponent="random")).games == 1
    assert opponent_id("heuristic", VARIANT, 8, 16).startswith("heuristic@")
    assert opponent_id("heuristic-search", VARIANT, 8, 16).endswith("|gumbel8")


def test_an_opponent_that_compares_other_moves_is_another_one(loop: Loop) -> None:
    assert rating(loop, game(True)).games == 1
    four = rating(loop, game(True, considered=4))
    assert (four.games, four.unrated) == (0, 1)
    assert opponent_id(MODEL, VARIANT, 32, 4) == f"{MODEL}|gumbel32,considered=4"


def test_the_ledger_knows_nothing_of_it(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        before = ratings.table(conn, VARIANT)
    rating(loop, *[game(False)] * 50)
    with loop.ledger.read() as conn:
        assert ratings.table(conn, VARIANT) == before
        assert matches.results(conn, VARIANT) == []
        assert matches.get_participants(conn, VARIANT) == {}
