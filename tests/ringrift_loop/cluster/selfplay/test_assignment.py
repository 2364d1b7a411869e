"""Which slot plays what: every variant has a slot, weights move the rest, slots are not moved too often."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.cluster.selfplay.assignment import DWELL_S, Held, Slot, assign, playing, share_gaps

VARIANTS = ["square8_2p", "hex8_2p", "square19_2p"]


def slots(number: int) -> list[Slot]:
    return [Slot("host", index) for index in range(number)]


@given(
    st.integers(1, 12),
    st.lists(st.floats(0.7, 1.5), min_size=3, max_size=3),
    st.lists(st.integers(0, 500), min_size=3, max_size=3),
)
def test_every_slot_plays_and_every_variant_has_one_when_there_are_enough(
    number: int, weights: list[float], games: list[int]
) -> None:
    recent = dict(zip(VARIANTS, games, strict=True))
    chosen = assign(slots(number), {}, dict(zip(VARIANTS, weights, strict=True)), recent, at=0.0)
    assert set(chosen) == set(slots(number))
    assert len(set(chosen.values())) == min(number, 3)


def test_slots_beyond_one_each_follow_the_weights() -> None:
    chosen = assign(slots(10), {}, {"square8_2p": 1.5, "hex8_2p": 0.75, "square19_2p": 0.75}, {}, at=0.0)
    counts = Counter(chosen.values())
    assert counts["square8_2p"] == 5
    assert counts["hex8_2p"] + counts["square19_2p"] == 5


def test_what_plays_as_it_should_is_left_alone() -> None:
    held = {slot: Held(VARIANTS[slot.number % 3], 0.0) for slot in slots(6)}
    recent = dict.fromkeys(VARIANTS, 100)
    chosen = assign(slots(6), held, dict.fromkeys(VARIANTS, 1.0), recent, at=10 * DWELL_S)
    assert chosen == {slot: one.variant for slot, one in held.items()}


def test_one_slot_at_a_time_moves_to_the_variant_that_lags_and_only_after_its_dwell() -> None:
    held = {slot: Held("hex8_2p" if slot.number == 3 else "square8_2p", 0.0) for slot in slots(4)}
    weights, recent = {"square8_2p": 1.0, "hex8_2p": 1.0}, {"square8_2p": 900, "hex8_2p": 100}
    early = assign(slots(4), held, weights, recent, at=DWELL_S - 1)
    assert Counter(early.values()) == {"square8_2p": 3, "hex8_2p": 1}
    later = assign(slots(4), held, weights, recent, at=DWELL_S)
    assert Counter(later.values()) == {"square8_2p": 2, "hex8_2p": 2}


def test_the_last_slot_of_a_variant_is_not_taken_when_there_are_slots_for_all() -> None:
    held = {Slot("host", 0): Held("square8_2p", 0.0), Slot("host", 1): Held("hex8_2p", 0.0)}
    weights, recent = {"square8_2p": 1.0, "hex8_2p": 1.0}, {"square8_2p": 1000, "hex8_2p": 0}
    assert assign(slots(2), held, weights, recent, at=10 * DWELL_S) == {slot: one.variant for slot, one in held.items()}


def test_with_a_slot_each_a_variant_that_is_far_ahead_lends_its_slot_to_one_that_lags() -> None:
    held = {Slot("host", 0): Held("square8_2p", 0.0), Slot("host", 1): Held("hex8_2p", 0.0)}
    weights = {"square8_2p": 0.7, "hex8_2p": 1.5}
    lent = assign(slots(2), held, weights, {"square8_2p": 500, "hex8_2p": 500}, at=DWELL_S)
    assert set(lent.values()) == {"hex8_2p"}
    both = {slot: Held(variant, DWELL_S) for slot, variant in lent.items()}
    assert assign(slots(2), both, weights, {"square8_2p": 300, "hex8_2p": 700}, at=3 * DWELL_S) == lent
    back = assign(slots(2), both, weights, {"square8_2p": 100, "hex8_2p": 900}, at=3 * DWELL_S)
    assert sorted(back.values()) == ["hex8_2p", "square8_2p"]


def test_weights_that_differ_little_move_no_only_slot() -> None:
    held = {Slot("host", 0): Held("square8_2p", 0.0), Slot("host", 1): Held("hex8_2p", 0.0)}
    weights = {"square8_2p": 0.9, "hex8_2p": 1.1}
    chosen = assign(slots(2), held, weights, {"square8_2p": 900, "hex8_2p": 100}, at=DWELL_S)
    assert chosen == {slot: one.variant for slot, one in held.items()}


def test_a_single_slot_takes_turns_between_the_variants() -> None:
    (slot,), weights = slots(1), dict.fromkeys(VARIANTS, 1.0)
    games, held, played = Counter[str](), {}, []
    for turn in range(6):
        at = turn * DWELL_S
        variant = assign([slot], held, weights, games, at=at)[slot]
        if slot not in held or held[slot].variant != variant:
            held = {slot: Held(variant, at)}
        games[variant] += 100
        played.append(variant)
    assert Counter(played) == dict.fromkeys(VARIANTS, 2)


def test_slots_of_a_variant_that_is_no_longer_improved_are_given_away() -> None:
    held = {slot: Held("square19_4p", 0.0) for slot in slots(2)}
    chosen = assign(slots(2), held, {"square8_2p": 1.0, "hex8_2p": 1.0}, {}, at=1.0)
    assert sorted(chosen.values()) == ["hex8_2p", "square8_2p"]


def test_gaps_are_shares_and_sum_to_nought() -> None:
    gaps = share_gaps({"square8_2p": 1.5, "hex8_2p": 0.5}, {"square8_2p": 30, "hex8_2p": 30, "other": 1000})
    assert gaps == {"square8_2p": 0.25, "hex8_2p": -0.25}


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
