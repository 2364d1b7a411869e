from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_rows import rows
from ringrift_loop.errors import ConfigError, LedgerError, NoCapacity
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.ledger import curriculum, games, hosts, leases, models, segments, state, training, workers
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.training.claim import (
    TrainingClaim,
    claim_due,
    claim_for_run,
    claim_in_turn,
    lease_name,
    reap_stuck,
    settle,
)
from ringrift_loop.training.due import TrainingWait, in_turn, request, survey
from ringrift_loop.training.remote import placement

SQUARE, HEX = "square8_2p", "hex8_2p"


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    return open_loop(training={"trigger_threshold_games": 3, "min_interval_seconds": 600, "stuck_after_seconds": 1000})


def move_clock(loop: Loop, seconds: float) -> None:
    loop.clock.now += seconds  # type: ignore[attr-defined]


def add_games(loop: Loop, variant: str, *numbers: int) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        first = numbers[0]
        segments.add(conn, a_segment(variant, first, len(numbers), at=loop.clock()))
        games.add(conn, [a_game(variant, number, first, at=loop.clock()) for number in numbers])


def a_segment(variant: str, first: int, records: int, *, at: float) -> SegmentRow:
    return SegmentRow(
        sha256=f"{variant}{first}", host="local_a", epoch="e", seq=first, name=f"{variant}-{first}", records=records,
        games_new=records, games_known=0, games_quarantined=0, size_bytes=1, ingested_at=at,
    )  # fmt: skip


def a_game(variant: str, number: int, segment: int, *, at: float) -> GameRow:
    return GameRow(
        id=f"{variant}-{number}", move_hash=f"{variant}-{number}", variant=variant, host="local_a",
        segment=f"{variant}-{segment}", position=number, plies=60, rows=40, winner=1, result="territory",
        player="heuristic-search", search={}, engine_version="1", played_at=at, ingested_at=at,
    )  # fmt: skip


def wait_of(loop: Loop, variant: str) -> TrainingWait:
    return next(each for each in survey(loop) if each.variant == variant)


def test_a_variant_is_due_when_it_has_its_games_and_not_before(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2)
    assert not wait_of(loop, SQUARE).is_due
    assert wait_of(loop, SQUARE).describe() == "square8_2p: 2 of 3 games"
    add_games(loop, SQUARE, 3)
    assert wait_of(loop, SQUARE).is_due
    assert not wait_of(loop, HEX).is_due


def test_long_games_make_a_variant_due_by_their_rows(loop: Loop) -> None:
    loop = replace(loop, config=replace(loop.config, training=replace(loop.config.training, trigger_threshold_rows=80)))
    add_games(loop, SQUARE, 1)
    assert wait_of(loop, SQUARE).describe() == "square8_2p: 1 of 2 games"
    add_games(loop, SQUARE, 2)
    assert wait_of(loop, SQUARE).is_due
    assert claim_due(loop, [SQUARE], key="run 1").games == 2


def test_the_pause_between_two_runs_is_counted_in_core_seconds_of_selfplay_too(loop: Loop) -> None:
    settings = replace(loop.config.training, min_interval_core_seconds=20.0)
    loop = replace(loop, config=replace(loop.config, training=settings))
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        workers.assign(conn, "local_a", 0, at=loop.clock())
        play = {"generation": 1, "games_per_hour": 9.0, "computed_s": 500.0, "games": 100}  # 5 s a game
        workers.report(conn, "local_a", 0, {"state": "playing", "variants": {SQUARE: play}}, at=loop.clock())
    add_games(loop, SQUARE, 1, 2, 3)
    assert wait_of(loop, SQUARE).is_due  # the first run waits for nothing
    with loop.ledger.begin() as conn:  # unless there is a model to play with already
        models.add(conn, "a" * 64, SQUARE, parent_digest=None, training_run=None, manifest={}, at=loop.clock())
    assert wait_of(loop, SQUARE).describe() == "square8_2p: 3 of 3 games, with 15 of 20 core-seconds of self-play"
    assert not wait_of(loop, SQUARE).is_due
    add_games(loop, SQUARE, 4)
    assert wait_of(loop, SQUARE).is_due


def test_a_clock_that_was_set_back_makes_no_pause_of_a_year(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    year = 365 * 86_400.0
    row = {"id": "t", "variant": SQUARE, "state": "succeeded", "started_at": loop.clock() + year}
    with loop.ledger.begin() as conn:
        conn.execute(training_runs.insert().values(**row, games=0, finished_at=loop.clock() + year + 60.0))
    assert wait_of(loop, SQUARE).is_due


def test_the_variant_with_the_most_games_over_its_threshold_comes_first(loop: Loop) -> None:
    add_games(loop, HEX, 1, 2, 3)
    add_games(loop, SQUARE, 11, 12, 13, 14)
    assert [each.variant for each in survey(loop)] == [SQUARE, HEX]


def test_of_two_that_are_due_the_one_with_the_larger_curriculum_weight_is_trained_first(loop: Loop) -> None:
    add_games(loop, HEX, 1, 2, 3)
    add_games(loop, SQUARE, 11, 12, 13, 14)
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {SQUARE: 0.8, HEX: 1.5}, at=loop.clock())
    assert [each.variant for each in survey(loop) if each.is_due] == [HEX, SQUARE]


def test_who_was_killed_after_asking_may_ask_again_at_once(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    request(loop, SQUARE, asker="wait 1")
    assert [each.variant for each in survey(loop, asker="wait 1") if each.is_due] == [SQUARE]
    assert [each.variant for each in survey(loop, asker="wait 2") if each.is_due] == []


def test_a_run_that_could_not_be_made_leaves_no_request_behind(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="by hand")
    add_games(loop, SQUARE, 4, 5, 6)
    request(loop, SQUARE, asker="wait 1")
    with pytest.raises(NoCapacity, match=claim.run_id):
        claim_due(loop, [SQUARE], key="run 1")
    settle(loop, claim.run_id)
    move_clock(loop, 600)
    assert wait_of(loop, SQUARE).is_due


def test_games_that_a_run_by_hand_has_used_start_no_second_run(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    request(loop, SQUARE, asker="wait 1")
    claim = claim_for_run(loop, [SQUARE], key="by hand")
    with loop.ledger.begin() as conn:
        models.add(conn, "d" * 64, SQUARE, parent_digest=None, training_run=claim.run_id, manifest={}, at=1.0)
        training.succeed(conn, claim.run_id, model_digest="d" * 64, report={}, at=loop.clock())
    add_games(loop, SQUARE, 4)
    with pytest.raises(NoCapacity, match="another run has used the games of square8_2p"):
        claim_due(loop, [SQUARE], key="run 1")
    assert claim_for_run(loop, [SQUARE], key="by hand again").games == 1


def test_a_task_that_is_repeated_gets_its_own_run_although_another_variant_is_free_by_now(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    other = claim_for_run(loop, [SQUARE], key="other")
    mine = claim_for_run(loop, [SQUARE, HEX], key="mine")
    settle(loop, other.run_id)
    assert claim_for_run(loop, [SQUARE, HEX], key="mine") == claim_due(loop, [SQUARE, HEX], key="mine") == mine


def test_a_machine_that_was_off_finds_its_run_as_it_was(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    move_clock(loop, 50_000)
    with loop.ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, loop.clock(), at=loop.clock())
    assert reap_stuck(loop) == []
    move_clock(loop, 1001)
    assert reap_stuck(loop) == [claim.run_id]


def test_a_run_that_was_asked_for_is_not_asked_for_again_until_the_request_runs_out(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    request(loop, SQUARE, asker="wait 1")
    assert not wait_of(loop, SQUARE).is_due
    move_clock(loop, 301)  # the event was lost
    assert wait_of(loop, SQUARE).is_due


def test_after_a_run_the_variant_rests_although_it_has_games(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    add_games(loop, SQUARE, 4, 5, 6)
    assert "is claimed" in wait_of(loop, SQUARE).describe()
    settle(loop, claim.run_id)
    assert wait_of(loop, SQUARE).describe() == "square8_2p: 6 of 3 games, next run in 10 min at the earliest"
    move_clock(loop, 600)
    assert wait_of(loop, SQUARE).is_due


def test_nothing_is_due_while_the_loop_is_halted(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=loop.clock())
    assert not wait_of(loop, SQUARE).is_due


def test_a_claim_takes_the_new_games_of_its_variant_alone(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    assert (claim.variant, claim.games) == (SQUARE, 3)
    with loop.ledger.read() as conn:
        assert games.pending_by_variant(conn) == {HEX: 1}


def test_the_same_asker_gets_the_same_run_when_its_task_is_repeated(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    assert claim_for_run(loop, [SQUARE], key="run 1") == claim_for_run(loop, [SQUARE], key="run 1")


def test_one_run_of_a_variant_at_a_time_and_the_other_asker_is_told_which(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    with pytest.raises(NoCapacity, match=claim.run_id):
        claim_for_run(loop, [SQUARE], key="run 2")


def test_when_two_variants_asked_the_second_one_can_ask_again(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    request(loop, SQUARE, asker="wait 1")
    request(loop, HEX, asker="wait 2")
    assert claim_for_run(loop, [SQUARE, HEX], key="run 1").variant == SQUARE
    assert wait_of(loop, HEX).waits_for_place


def test_a_failed_run_gives_its_games_back_and_settling_twice_changes_nothing(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    assert settle(loop, claim.run_id)["games_given_back"] == 3
    assert settle(loop, claim.run_id)["games_given_back"] == 0
    with loop.ledger.read() as conn:
        assert games.pending(conn, SQUARE) == 3


def test_an_asker_whose_run_has_failed_gets_a_new_one(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    first = claim_for_run(loop, [SQUARE], key="run 1")
    settle(loop, first.run_id)
    assert claim_for_run(loop, [SQUARE], key="run 1").run_id == f"{first.run_id}-2"


def test_a_run_with_a_candidate_keeps_its_games(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_for_run(loop, [SQUARE], key="run 1")
    with loop.ledger.begin() as conn:
        training.succeed(conn, claim.run_id, model_digest="ab" * 32, report={}, at=loop.clock())
    assert settle(loop, claim.run_id) == {"run_id": claim.run_id, "state": "succeeded", "games_given_back": 0}


def test_a_run_that_nobody_works_on_ends_after_its_time_and_one_with_a_lease_does_not(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    dead, alive = (claim_for_run(loop, [variant], key="run 1").run_id for variant in (SQUARE, HEX))
    assert reap_stuck(loop) == []
    move_clock(loop, 1001)
    with leases.hold(loop.ledger, lease_name(HEX), clock=loop.clock):
        assert reap_stuck(loop) == [dead]
        with loop.ledger.read() as conn:
            assert training.require(conn, alive).state == "claimed"
            assert games.pending(conn, SQUARE) == 3


def test_the_limits_that_runs_are_failed_by_are_published(loop: Loop) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        metrics = Metrics("127.0.0.1", collector.getsockname()[1], strict=True)
        large = replace(loop.config, variants=("square8_2p", "hexagonal_2p"))
        reap_stuck(replace(loop, config=large, metrics=metrics))
        told = {collector.recv(2048).decode() for _ in large.variants}
    assert told == {
        "ringrift_training_limit_seconds,config=square8_2p:1000.0|g",
        f"ringrift_training_limit_seconds,config=hexagonal_2p:{1000 * (25 / 8) ** 2}|g",
    }


@pytest.mark.parametrize("variants", [[], ["chess_2p"]])
def test_a_variant_that_is_not_played_is_refused_with_those_that_are(loop: Loop, variants: list[str]) -> None:
    with pytest.raises(ConfigError, match="square8_2p, hex8_2p"):
        claim_for_run(loop, variants, key="run 1")


def test_without_any_game_there_is_no_run(loop: Loop) -> None:
    with pytest.raises(LedgerError, match="nothing to train on"):
        claim_for_run(loop, [SQUARE], key="run 1")
    with loop.ledger.read() as conn:
        assert rows(conn, TrainingRunRow) == []


def all_due(loop: Loop) -> list[str]:
    return [each.variant for each in survey(loop) if each.is_due]


def has_a_candidate(loop: Loop, claim: TrainingClaim) -> None:
    digest = claim.run_id.ljust(64, "0")
    with loop.ledger.begin() as conn:
        models.add(conn, digest, claim.variant, parent_digest=None, training_run=claim.run_id, manifest={}, at=1.0)
        training.succeed(conn, claim.run_id, model_digest=digest, report={}, at=loop.clock())


def on_hosts(loop: Loop, *gpus: int) -> Loop:
    entries = [
        f"  t{n}: {{ssh_host: 127.0.0.{n + 1}, ssh_user: r, remote_path: p, role: training"
        + (f", has_gpu: true, gpu_count: {count}}}" if count else "}")
        for n, count in enumerate(gpus)
    ]
    return replace(loop, inventory=parse_inventory("\n".join(["standard_hosts:", *entries]), "hosts.yaml"))


def test_one_training_at_a_time_on_one_machine_and_the_other_variant_waits_for_its_place_alone(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3, 4)
    add_games(loop, HEX, 11, 12, 13)
    claim = claim_due(loop, [SQUARE], key="run 1")
    assert all_due(loop) == []
    assert "1 of 1 trainings at once are under way or asked for: " + claim.run_id in wait_of(loop, HEX).describe()
    has_a_candidate(loop, claim)
    assert all_due(loop) == [HEX]  # although the gates have not judged square8_2p's candidate


def test_a_variant_has_no_second_run_until_the_gates_have_judged_its_candidate(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    claim = claim_due(loop, [SQUARE], key="run 1")
    has_a_candidate(loop, claim)
    add_games(loop, SQUARE, 4, 5, 6)
    move_clock(loop, 600)
    at_its_gates = f"the candidate of training run {claim.run_id} is at its gates"
    assert at_its_gates in wait_of(loop, SQUARE).describe()
    for again in (lambda: claim_due(loop, [SQUARE], key="run 2"), lambda: claim_in_turn(loop, SQUARE, key="run 3")):
        with pytest.raises(NoCapacity, match=at_its_gates):
            again()
    settle(loop, claim.run_id)
    assert all_due(loop) == [SQUARE]


def test_a_candidate_whose_run_was_deleted_keeps_its_variant_for_two_trainings_time_at_most(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    has_a_candidate(loop, claim_due(loop, [SQUARE], key="deleted"))
    add_games(loop, SQUARE, 4, 5, 6)
    move_clock(loop, 1999)
    assert all_due(loop) == []
    move_clock(loop, 2)
    assert all_due(loop) == [SQUARE]


def test_a_run_that_is_cleared_as_a_whole_is_not_kept_from_its_own_variant(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    has_a_candidate(loop, claim_in_turn(loop, SQUARE, key="cleared"))
    again = claim_in_turn(loop, SQUARE, key="cleared")
    has_a_candidate(loop, again)
    settle(loop, again.run_id)
    move_clock(loop, 600)
    add_games(loop, SQUARE, 4, 5, 6)
    assert all_due(loop) == [SQUARE]


def test_of_two_runs_that_one_event_woke_each_takes_one_variant_and_none_is_lost(loop: Loop) -> None:
    loop = on_hosts(loop, 8, 8)
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    assert all_due(loop) == [HEX, SQUARE]
    request(loop, SQUARE, asker="wait 1")
    request(loop, HEX, asker="wait 2")
    taken = [claim_due(loop, [SQUARE, HEX], key=key).variant for key in ("run 1", "run 2")]
    assert taken == [SQUARE, HEX]
    with pytest.raises(NoCapacity):
        claim_due(loop, [SQUARE, HEX], key="run 3")


@pytest.mark.parametrize(
    ("gpus", "wanted", "places"),
    [((), 0, 1), ((), 2, 2), ((8, 8, 4), 0, 2), ((8, 8), 1, 1), ((8, 8), 12, 2), ((0,), 3, 3)],
)
def test_there_are_as_many_places_as_hosts_that_take_a_training_or_as_the_configuration_says(
    loop: Loop, gpus: tuple[int, ...], wanted: int, places: int
) -> None:
    loop = on_hosts(loop, *gpus) if gpus else loop
    settings = replace(loop.config.training, max_concurrent_jobs=wanted)
    assert placement.places(loop.inventory, settings) == places


def test_a_run_by_hand_that_finds_no_place_has_the_next_one_and_a_second_one_the_place_after_that(
    open_loop: Callable[..., Loop],
) -> None:
    loop = open_loop(training={"trigger_threshold_games": 1, "min_interval_seconds": 0})
    loop = replace(loop, config=replace(loop.config, variants=(SQUARE, HEX, "hexagonal_2p")))
    for number, variant in enumerate(loop.config.variants):
        add_games(loop, variant, number)
    running = claim_due(loop, [SQUARE], key="woken")
    for _ in range(2):  # they ask every minute; the order of the first time holds
        for variant, key in ((HEX, "hand 1"), ("hexagonal_2p", "hand 2")):
            with pytest.raises(NoCapacity, match=running.run_id):
                claim_in_turn(loop, variant, key=key)
            move_clock(loop, 60)
    settle(loop, running.run_id)
    assert all_due(loop) == []  # square8_2p has its games back, but the place is asked for
    with pytest.raises(NoCapacity, match=f"training-request:{HEX}"):
        claim_in_turn(loop, "hexagonal_2p", key="hand 2")
    first = claim_in_turn(loop, HEX, key="hand 1")
    settle(loop, first.run_id)
    assert claim_in_turn(loop, "hexagonal_2p", key="hand 2").variant == "hexagonal_2p"


def test_a_training_by_the_command_line_waits_for_no_place_but_takes_one(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    claim_due(loop, [SQUARE], key="run 1")
    by_hand = claim_for_run(loop, [HEX], key="command line")
    has_a_candidate(loop, by_hand)
    move_clock(loop, 600)
    add_games(loop, HEX, 14, 15, 16)
    assert "gates" not in wait_of(loop, HEX).describe()  # nobody holds any for it


def test_whoever_was_claimed_since_another_was_due_goes_behind_it_whatever_its_weight(loop: Loop) -> None:
    add_games(loop, SQUARE, 1, 2, 3)
    add_games(loop, HEX, 11, 12, 13)
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {SQUARE: 1.5, HEX: 0.7}, at=loop.clock())
    move_clock(loop, 1)
    first = claim_due(loop, [SQUARE], key="run 1")
    has_a_candidate(loop, first)
    settle(loop, first.run_id)
    move_clock(loop, 600)
    add_games(loop, SQUARE, *range(21, 60))
    assert all_due(loop) == [HEX, SQUARE]


@given(st.data())
def test_nobody_is_overtaken_twice(data: st.DataObject) -> None:
    names = [f"v{number}" for number in range(data.draw(st.integers(2, 6)))]
    weight = {name: data.draw(st.sampled_from([0.1, 1.0, 10.0])) for name in names}
    due_since, last_started = dict.fromkeys(names, 0.0), dict.fromkeys(names, -1.0)
    overtaken: dict[str, list[str]] = {name: [] for name in names}
    for now in range(1, 40):
        waits = [a_wait(name, weight[name], due_since[name], last_started[name], float(now)) for name in names]
        due = [wait for wait in in_turn(waits) if wait.is_due]
        if not due:
            continue
        chosen = due[0].variant
        for other in due[1:]:
            assert chosen not in overtaken[other.variant]
            overtaken[other.variant].append(chosen)
        overtaken[chosen] = []
        last_started[chosen] = float(now)
        due_since[chosen] = now + data.draw(st.integers(1, 8))


def a_wait(name: str, weight: float, games_since: float, last_started_at: float, now: float) -> TrainingWait:
    return TrainingWait(
        variant=name, pending_games=300 if games_since <= now else 1, threshold=300, pause_until=0.0, weight=weight,
        busy=None, no_place=None, games_since=games_since if games_since <= now else float("inf"),
        last_started_at=last_started_at, at=now,
    )  # fmt: skip
