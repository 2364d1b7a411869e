"""Which slots play when not all of them may."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.cluster.selfplay.assignment import Slot, playing


def fleet_of(*sizes: int) -> list[Slot]:
    return [Slot(f"host{number}", slot) for number, size in enumerate(sizes) for slot in range(size)]


@given(st.lists(st.integers(0, 9), max_size=6), st.floats(0, 1), st.floats(0, 1))
def test_a_share_leaves_every_host_its_part_and_a_smaller_one_wakes_nobody(
    sizes: list[int], one: float, other: float
) -> None:
    slots, share = fleet_of(*sizes), max(one, other)
    chosen = playing(slots, share)
    assert abs(len(chosen) - share * len(slots)) <= 0.5 or len(chosen) == 1
    assert set(playing(slots, min(one, other))) <= set(chosen)
    by_host = Counter(slot.host for slot in chosen)
    # Half a slot of each host more or less: no two hosts are further apart than whole slots make them.
    parts = [(by_host[f"host{number}"] / size, 0.5 / size) for number, size in enumerate(sizes) if size]
    assert all(abs(a - b) <= half_a + half_b + 1e-9 for a, half_a in parts for b, half_b in parts)


def test_the_whole_share_plays_nought_rests_and_the_least_share_keeps_one_slot() -> None:
    slots = fleet_of(2, 4)
    assert playing(slots, 1.0) == slots
    assert playing(slots, 0.0) == []
    assert len(playing(slots, 0.001)) == 1
    assert playing([], 0.5) == []


def test_which_slots_rest_is_always_the_same() -> None:
    assert [str(slot) for slot in playing(fleet_of(2, 4), 0.5)] == ["host0/0", "host1/0", "host1/1"]
    assert [str(slot) for slot in playing(fleet_of(1, 1, 1), 0.67)] == ["host0/0", "host1/0"]
