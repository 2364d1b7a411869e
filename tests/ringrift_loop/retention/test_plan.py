"""Which files go: properties that hold for whatever lies there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.retention.plan import DAY_S, KINDS, MIN_AGE_S, Item, Limit, choose

NOW = 1_800_000_000.0
ages = st.floats(-DAY_S, 400 * DAY_S)
items = st.lists(
    st.builds(
        lambda number, kind, size, age, reference: Item(kind, f"{number}", size, NOW - age, reference),
        st.integers(0, 10**9),
        st.sampled_from(KINDS),
        st.integers(0, 10_000),
        ages,
        st.none() | st.just("something"),
    ),
    unique_by=lambda item: item.path,
    max_size=30,
)
limits = st.fixed_dictionaries(
    {kind: st.builds(Limit, st.floats(DAY_S, 300 * DAY_S), st.floats(1.0, 100_000.0)) for kind in KINDS}
)


@given(items, limits)
def test_what_something_refers_to_and_what_is_new_stays(found: list[Item], limits: dict[str, Limit]) -> None:
    for choice in choose(found, limits, now=NOW):
        assert choice.item.reference is None
        assert NOW - choice.item.changed_at >= MIN_AGE_S


@given(items, limits)
def test_what_is_left_keeps_to_age_and_quota_as_far_as_it_may_go(found: list[Item], limits: dict[str, Limit]) -> None:
    gone = {choice.item.path for choice in choose(found, limits, now=NOW)}
    for kind, limit in limits.items():
        left = [item for item in found if item.kind == kind and item.path not in gone]
        free = [item for item in left if item.reference is None and NOW - item.changed_at >= MIN_AGE_S]
        assert all(NOW - item.changed_at <= limit.age_s for item in free)
        assert not free or sum(item.size for item in left) <= limit.quota


@given(items, limits)
def test_nothing_goes_without_need_and_the_oldest_go_first(found: list[Item], limits: dict[str, Limit]) -> None:
    chosen = choose(found, limits, now=NOW)
    for kind, limit in limits.items():
        own = [choice.item for choice in chosen if choice.item.kind == kind]
        assert [item.changed_at for item in own] == sorted(item.changed_at for item in own)
        if own and NOW - own[-1].changed_at <= limit.age_s:
            before_last = sum(item.size for item in found if item.kind == kind) - sum(item.size for item in own[:-1])
            assert before_last > limit.quota


@given(items, limits)
def test_a_second_run_finds_nothing_to_do(found: list[Item], limits: dict[str, Limit]) -> None:
    gone = {choice.item.path for choice in choose(found, limits, now=NOW)}
    assert choose([item for item in found if item.path not in gone], limits, now=NOW) == []
