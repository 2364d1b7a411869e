from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from latent import LatentArena
from ringrift_loop.config import LoopConfig
from ringrift_loop.config.schema import VARIANT_NAMES, Evaluation
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger import models
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.duration import game_s
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.shadow import run_shadow
from ringrift_loop.tournament.shadow_budget import affordable, due_tournaments

TWELVE = replace(LoopConfig(), variants=VARIANT_NAMES, evaluation=Evaluation(simulations=32))


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_2p"])
def test_small_boards_alone_play_what_is_configured(variant: str) -> None:
    assert affordable(LoopConfig(), variant, 300.0, variants=2) == 16
    assert affordable(LoopConfig(), variant, None, variants=2) == 16
    assert affordable(LoopConfig(), variant, -86_400.0, variants=2) == 16  # the clock was set back


def test_all_twelve_variants_keep_to_the_cores_and_each_spends_the_same_time() -> None:
    """Two days of tournaments every five minutes, each variant's savings counted from its last games."""
    last = dict.fromkeys(VARIANT_NAMES, 0.0)
    spent: Counter[str] = Counter()
    games: Counter[str] = Counter()
    for now in range(300, 2 * 86_400, 300):
        for variant in VARIANT_NAMES:
            number = affordable(TWELVE, variant, now - last[variant], variants=12)
            assert number % variant_of(variant).players == 0
            if number:
                last[variant] = now
                games[variant] += number
                spent[variant] += number * game_s(TWELVE, variant)  # type: ignore[assignment]
    share_s = TWELVE.evaluation.shadow_cores / 12 * 2 * 86_400
    assert sum(spent.values()) <= 12 * share_s
    for variant in VARIANT_NAMES:
        assert 0.5 * share_s <= spent[variant] <= share_s, variant
    assert games["square8_2p"] > 15 * games["hexagonal_2p"] > 0


def test_a_variant_is_due_once_its_savings_buy_a_block(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(evaluation={"shadow_cores": 0.05})
    loop = replace(loop, config=replace(loop.config, variants=("square8_2p", "hexagonal_2p")))
    for digit, variant in (("1", "square8_2p"), ("2", "hexagonal_2p")):
        with loop.ledger.read() as conn:
            assert variant not in due_tournaments(conn, loop.config, now=loop.clock())
        with loop.ledger.begin() as conn:
            models.add(conn, digit * 64, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
        elos = {
            "random": 0.0,
            "mcts-64@2": 0.0,
            baseline_id("heuristic", variant): 0.0,
            f"{digit * 64}|gumbel16,considered=4": 0.0,
        }
        run_shadow(loop, variant, 16, arena=LatentArena(elos, seed=1, at=loop.clock()))
    now = loop.clock()
    with loop.ledger.read() as conn:
        assert due_tournaments(conn, loop.config, now=now) == {}
        assert due_tournaments(conn, loop.config, now=now + 300.0) == {"square8_2p": 16}
        block_s = 2 * game_s(loop.config, "hexagonal_2p") / (0.05 / 2)
        assert due_tournaments(conn, loop.config, now=now + block_s + 1.0) == {"square8_2p": 16, "hexagonal_2p": 2}
