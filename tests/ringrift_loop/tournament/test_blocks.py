from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ringrift_loop.tournament.blocks import paired_block


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
