from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.tournament.blocks import FreshBlocks, paired_block
from ringrift_loop.tournament.openings import draw_opening


@pytest.mark.parametrize("players", [2, 3, 4])
def test_the_participant_sits_alone_in_every_seat_once(players: int) -> None:
    plan = paired_block("square8_2p", "gate", "a", "b", players, 0)
    assert Counter(seats.index("a") for seats in plan.seatings) == Counter(range(players))
    assert all(seats.count("b") == players - 1 for seats in plan.seatings)


def test_the_same_plan_has_the_same_ids_and_any_change_gives_others() -> None:
    plan = paired_block("square8_2p", "gate", "a", "b", 2, 0)
    assert plan.id == paired_block("square8_2p", "gate", "a", "b", 2, 0).id
    others = [replace(plan, variant="hex8_2p"), replace(plan, purpose="shadow"), replace(plan, seed=1)]
    others.append(paired_block("square8_2p", "gate", "a", "c", 2, 0))
    assert len({plan.id, *(other.id for other in others)}) == 5
    assert len({plan.match_id(0), plan.match_id(1), others[2].match_id(0)}) == 3


def test_no_two_purposes_of_the_loop_share_an_opening() -> None:
    rules = rules_for("square8_2p")
    texts = [
        draw_opening(rules, paired_block("square8_2p", purpose, "a", "b", 2, seed).opening, 8).text
        for purpose in ("champion", "shadow", "tournament")
        for seed in range(40)
    ]
    assert len(set(texts)) == len(texts) == 120


def test_fresh_blocks_fill_the_gaps_and_turn_no_pair_round() -> None:
    played = {paired_block("hex8_3p", "shadow", "a", "b", 3, seed).id for seed in (0, 3)}
    played.add(paired_block("hex8_3p", "shadow", "b", "a", 3, 1).id)
    fresh = FreshBlocks("hex8_3p", "shadow", 3, played)
    plans = [fresh.next("a", "b"), fresh.next("b", "a"), fresh.next("a", "b"), fresh.next("a", "c")]
    assert [plan.seed for plan in plans] == [2, 4, 5, 0]
    assert plans[1].seatings[0] == ("b", "a", "a")
