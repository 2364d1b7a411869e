from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import ConfigError
from ringrift_loop.tournament.openings import draw_opening

RULES = rules_for("square8_2p")


def test_fifty_seeds_give_at_least_45_openings() -> None:
    assert len({draw_opening(RULES, seed, 4).text for seed in range(50)}) >= 45


def test_an_opening_is_legal_and_the_same_every_time() -> None:
    opening = draw_opening(RULES, 7, 4)
    game = Game("square8_2p")
    for text in opening.text.split():
        game.play(text)
    assert np.array_equal(game.row, opening.state)
    assert draw_opening(RULES, 7, 4).text == opening.text


def test_a_taken_opening_does_not_come_again() -> None:
    first = draw_opening(RULES, 7, 2)
    assert draw_opening(RULES, 7, 2, {first.text}).text != first.text


def test_too_few_random_plies_for_the_number_of_blocks_are_an_error() -> None:
    with pytest.raises(ConfigError, match="opening_random_plies=0"):
        draw_opening(RULES, 1, 0, {""})
