"""What would make a loop faster, for loops that are held back by one thing each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pages import prepared
from ringrift_loop.ledger import gates, models, resources, state, utilization
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.interventions import Asked, set_halt, set_selfplay_share
from ringrift_loop.views.bottlenecks import Bottleneck, read_bottlenecks

FREE = "Nothing holds it back: the workers compute all the time, and no training or gate waits."


def read(loop: Loop, **more: bool) -> list[Bottleneck]:
    with loop.ledger.read() as conn:
        return read_bottlenecks(conn, loop, now=loop.clock(), **more)


def limits(loop: Loop) -> list[str]:
    return [found.limit for found in read(loop)]


@pytest.fixture
def playing(open_loop: Callable[..., Loop]) -> Callable[..., Loop]:
    """A loop whose one host plays at full duty, with nothing else to tell."""

    def opened(*, duty: float = 1.0, cpu: float = 71.0, workers: float = 64.0, **sections: dict[str, Any]) -> Loop:
        loop = open_loop(**sections)
        now = loop.clock()
        with loop.ledger.begin() as conn:
            state.put(conn, state.STARTED_AT, now, at=now)
            prepared._hosts(conn, now)
            prepared.keep_alive(conn, now)
            prepared.hosts.succeeded(conn, "local_b", at=now)
            prepared.workers.assign(conn, "local_b", 0, at=now)
            prepared.workers.report(conn, "local_b", 0, {"state": "playing"}, at=now)
            sample = SampleRow("local_a", now - 1, "this-one", 30.0, cpu, workers, 0.0, 41.0, duty=duty, disk=48.0)
            utilization.add(conn, sample)
            row = resources.DecisionRow("this-one", now, resources.HOLD, duty, {}, {}, "as the decision says")
            resources.decide(conn, row)
        return loop

    return opened


def test_a_loop_that_does_not_run_is_held_back_by_that_alone(playing: Callable[..., Loop]) -> None:
    loop = playing()
    assert [found.limit for found in read(loop, stopped=True)] == ["The loop does not run."]
    with loop.ledger.begin() as conn:
        set_halt(conn, True, Asked("ann", "why"), at=loop.clock())
    assert limits(loop) == ["A person halted the loop."]


def test_a_loop_that_nothing_holds_back_says_so(playing: Callable[..., Loop]) -> None:
    assert limits(playing()) == [FREE]


def test_the_prepared_loop_is_held_back_by_rate_host_machine_training_and_gate(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        prepared.fill(conn, loop.clock())
    found = read(loop)
    assert [one.limit for one in found] == [
        "Self-play is held to 360 games an hour, as negotiated by operator.",
        "1 of 2 self-play hosts does not answer: local_b.",
        "The workers of local_a rest for 10% of their time: cpu 74% within 60-80%.",
        "Training is behind self-play: square8_2p has 380 new games, 300 are enough.",
        "A candidate waits for its gate: hex8_2p for 6 min.",
    ]
    assert found[1].remedy == "`ringrift-loop doctor --host local_b` finds the reason."
    assert found[2].remedy.startswith("`resource_targets.cpu_max: 100` uses it whole; now it is to stay below 80%")
    assert "`role: training`" in found[3].remedy  # one training goes on already


def test_a_candidate_that_passed_its_gates_waits_for_no_gate(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        prepared.fill(conn, loop.clock())
        newest = models.latest(conn, "hex8_2p")
        assert newest is not None
        for gate in (gates.REGRESSION, gates.CHAMPION):
            gates.add(conn, "hex8_2p", newest.digest, gate, passed=True, report={}, at=loop.clock())
    assert not any("waits for its gate" in one for one in limits(loop))


def test_a_rate_that_the_workers_do_not_reach_holds_nobody_back(playing: Callable[..., Loop]) -> None:
    loop = playing()
    with loop.ledger.begin() as conn:
        resources.negotiate(conn, resources.NegotiationRow(loop.clock(), "ann", "more", 500.0, 500, "granted"))
    assert limits(loop) == [FREE]  # they make 360


def test_a_share_and_a_cause_of_backpressure_are_told_with_what_helps(playing: Callable[..., Loop]) -> None:
    loop = playing()
    cause = {"kind": "disk", "subject": "", "factor": 0.5, "reason": "the coordinator's disk is 90% full"}
    with loop.ledger.begin() as conn:
        set_selfplay_share(conn, 0.5, Asked("ann", "why"), at=loop.clock())
        resources.note_backpressure(conn, [cause], at=loop.clock())
    share, disk = read(loop)
    assert share.limit == "Only 50% of the self-play slots may play."
    assert disk.limit == "The coordinator's disk is 90% full."
    assert "retention" in disk.remedy


@pytest.mark.parametrize(
    ("machine", "remedy"),
    [
        (
            {"cpu": 88.0, "workers": 22.0},
            "Programs that are not the loop's use 66% of its CPUs, the workers 22%: move them elsewhere.",
        ),
        (
            {"cpu": 71.0, "workers": 70.0},
            "`resource_targets.cpu_max: 100` uses it whole; now it is to stay below 80% and is at 71%.",
        ),
        (
            {"cpu": 30.0, "workers": 29.0},
            "Nothing: the share grows by itself as long as there is room.",
        ),
        (
            {"cpu": 71.0, "workers": 70.0, "resource_targets": {"memory_max": 40.0}},
            "Its memory is 41% full: fewer workers, or more memory.",
        ),
    ],
)
def test_resting_workers_are_told_with_who_uses_the_machine(
    playing: Callable[..., Loop], machine: dict[str, Any], remedy: str
) -> None:
    (found,) = read(playing(duty=0.5, **machine))
    assert found.limit == "The workers of local_a rest for 50% of their time: as the decision says."
    assert found.remedy == remedy


def test_a_host_that_answers_and_plays_nothing_is_named(playing: Callable[..., Loop]) -> None:
    loop = playing()
    with loop.ledger.begin() as conn:
        prepared.workers.report(conn, "local_b", 0, {"state": "failed"}, at=loop.clock())
    assert limits(loop) == ["No worker plays on local_b."]


def test_games_that_wait_while_nothing_trains_wait_for_the_interval(playing: Callable[..., Loop]) -> None:
    loop = playing()
    with loop.ledger.begin() as conn:
        prepared._games(conn, "square8_2p", 320, loop.clock())
    (found,) = read(loop)
    assert found.limit == "Training is behind self-play: square8_2p has 320 new games, 300 are enough."
    assert "`training.min_interval_seconds: 120`" in found.remedy
