from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.resources.control import STALE_S
from ringrift_loop.resources.crew import PATIENCE_S, SETTLE_S, WAKE_S, Crew, next_crew, share_out

NOW = 1.7e9
STEP = 30.0
PATIENT = round(PATIENCE_S / STEP) + 1  # looks after which one rests
WAKING = round(WAKE_S / STEP) + 1  # and is woken


def course(crew: Crew, signs: str, *, slots: int = 4, least: int = 1, start: float = NOW) -> list[int]:
    """Workers that rest after each look: c is crowded, i idle, - neither."""
    found = []
    for number, sign in enumerate(signs):
        at = start + STEP * number
        crew = next_crew(crew, slots, crowded=sign == "c", idle=sign == "i", least=least, at=at)
        found.append(crew.resting)
    return found


def test_a_worker_rests_after_minutes_not_at_once_and_the_next_one_after_as_many_again() -> None:
    resting = course(Crew(), "c" * 3 * PATIENT)
    assert resting.index(1) == PATIENT - 1
    assert resting.index(2) == 2 * PATIENT - 1


def test_one_look_at_a_machine_in_its_band_starts_the_waiting_anew() -> None:
    assert course(Crew(), "c" * (PATIENT - 1) + "-" + "c" * (PATIENT - 1))[-1] == 0


def test_the_last_worker_stays_and_where_none_must_it_goes() -> None:
    assert course(Crew(), "c" * 60, slots=2)[-1] == 1
    assert course(Crew(), "c" * 60, slots=2, least=0)[-1] == 2


def test_a_resting_worker_is_woken_after_minutes_and_never_more_than_rest() -> None:
    assert course(Crew(resting=1, at=NOW - STEP), "i" * 60).index(0) == WAKING - 1
    assert min(course(Crew(resting=1, at=NOW - STEP), "i" * 60)) == 0


def test_as_many_are_woken_together_as_find_room() -> None:
    crew = Crew(resting=3, idle_since=NOW - WAKE_S, at=NOW - STEP)
    woken = [next_crew(crew, 4, crowded=False, idle=True, least=1, at=NOW, room=room).resting for room in (1, 2, 3, 9)]
    assert woken == [2, 1, 0, 0]


def test_without_memory_workers_rest_at_once_the_last_one_too() -> None:
    crew = next_crew(Crew(at=NOW - STEP), 4, crowded=False, idle=False, least=1, at=NOW, surplus=1)
    assert crew.resting == 1
    crew = next_crew(crew, 4, crowded=False, idle=True, least=1, at=NOW + STEP, surplus=2)
    assert crew.resting == 3
    crew = next_crew(crew, 4, crowded=False, idle=False, least=1, at=NOW + 2 * STEP, surplus=9)
    assert crew.resting == 4


def test_a_gap_in_the_samples_is_no_patience() -> None:
    waiting = Crew(crowded_since=NOW, at=NOW)
    late = next_crew(waiting, 4, crowded=True, idle=False, least=1, at=NOW + STALE_S + PATIENCE_S)
    assert late.resting == 0
    assert late.crowded_since == late.at


def test_after_a_change_the_workers_are_left_to_settle() -> None:
    crew = Crew(crowded_since=NOW - PATIENCE_S, at=NOW - STEP)
    changed = next_crew(crew, 4, crowded=True, idle=False, least=1, at=NOW)
    assert (changed.resting, changed.settled(NOW + SETTLE_S), changed.settled(NOW + SETTLE_S + 1)) == (1, False, True)


@given(st.text("ci-", max_size=60), st.integers(0, 5), st.integers(0, 5), st.integers(0, 1))
def test_no_more_play_than_there_are_slots_nor_fewer_than_none(signs: str, rest: int, slots: int, least: int) -> None:
    for resting in course(Crew(resting=rest, at=NOW - STEP), signs, slots=slots, least=least):
        assert 0 <= resting <= slots


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6)), st.integers(0, 30))
def test_resting_is_shared_by_the_hosts_of_a_machine(slots: dict[str, int], resting: int) -> None:
    left = share_out(slots, resting)
    assert sum(left.values()) == max(0, sum(slots.values()) - resting)
    assert all(0 <= left[host] <= slots[host] for host in slots)
    touched = [left[host] for host in slots if left[host] < slots[host]]
    assert max(touched, default=0) - min(touched, default=0) <= 1
