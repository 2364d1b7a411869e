"""The worker with real files, real models and real signals."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ringrift_loop.config import Selfplay
from ringrift_loop.config.leaves import plain_section
from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import ModelError, NoCapacity
from ringrift_loop.layout import HostDirectory
from ringrift_loop.network.artifact import ONNX, WEIGHTS, load_manifest, write_model
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay import worker
from ringrift_loop.selfplay.heartbeat import Heartbeat
from ringrift_loop.selfplay.host_settings import HostSettings
from ringrift_loop.selfplay.plan import Plan, write_plan
from ringrift_loop.selfplay.play_games import Origin, PlaySettings
from ringrift_loop.selfplay.played_variant import RETRY_SECONDS, PlayedVariant, play_settings
from ringrift_loop.selfplay.records import GameRecord, move_hash, replay
from ringrift_loop.selfplay.segments import SegmentWriter, read_segment
from ringrift_loop.selfplay.turns import TURN_S
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.selfplay.worker import Worker, WorkerOptions

SELFPLAY = Selfplay(
    simulations_full=2, simulations_fast=1, bootstrap_simulations=2, games_in_parallel=4, segment_seconds=1
)


def all_records(host: HostDirectory) -> list[GameRecord]:
    paths = sorted(host.sealed_segments.glob("*.jsonl.zst"))
    return [GameRecord.from_json(line) for path in paths for line in read_segment(path)]


def options(tmp_path: Path, games: int | None = 6) -> WorkerOptions:
    return WorkerOptions(HostDirectory(tmp_path), "square8_2p", 0, games=games, host="host_a")


def tiny_model(folder: Path, prepare: Callable[[Any], object]) -> Path:
    """The folder of a tiny network for square8_2p, as `prepare` leaves its parameters."""
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(1)
    net = RingRiftNet(architecture_for("square8_2p", blocks=1, channels=8))
    for parameter in net.parameters():
        prepare(parameter)
    host = HostDirectory(folder)
    manifest = save_model(
        net,
        host.model,
        variant="square8_2p",
        engine_version=ENGINE_VERSION,
        parent=None,
        training_run=None,
        created_at=1e9,
    )
    return host.model(manifest.digest)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained network."""
    return tiny_model(tmp_path_factory.mktemp("models"), lambda parameter: None)


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a network that gives no finite logits, of weights that all are."""
    return tiny_model(tmp_path_factory.mktemp("endless"), lambda parameter: parameter.data.fill_(1e30))


def deliver(model: Path, host: HostDirectory, variant: str = "square8_2p") -> str:
    """Put the model on the host and point to it; returns its digest."""
    shutil.copytree(model, host.model(model.name), dirs_exist_ok=True)
    point_to(host, model.name, variant=variant)
    return model.name


def point_to(host: HostDirectory, digest: str, generation: int = 1, variant: str = "square8_2p") -> None:
    path = host.current_model(variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"digest": digest, "generation": generation, "promoted_at": 1e9}))


def heartbeat(host: HostDirectory) -> dict[str, object]:
    document: dict[str, object] = json.loads(host.heartbeat(0).read_bytes())
    return document


def test_each_key_of_the_configuration_reaches_the_games() -> None:
    config = Selfplay(
        simulations_full=40,
        simulations_fast=9,
        considered_moves=7,
        bootstrap_simulations=6,
        full_search_probability=0.3,
        games_in_parallel=11,
        opening_random_plies=5,
        temperature=0.9,
        temperature_plies=21,
        temperature_final=0.1,
        simulations_per_choice=3,
    )
    games = play_settings(config, bootstrap=False)
    assert games == PlaySettings(SearchSettings("gumbel", 40, considered=7, noise=1.0), 9, 0.3, 11, 5, 0.9, 21, 0.1, 3)
    bootstrap = play_settings(config, bootstrap=True)
    assert (bootstrap.full, bootstrap.fast_simulations) == (SearchSettings("gumbel", 6, noise=1.0), 6)


def test_finished_games_lie_in_sealed_segments_and_replay(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    assert Worker(options(tmp_path), SELFPLAY).run() == 6
    records = all_records(host)
    rules = rules_for("square8_2p")
    work = make_work(rules)
    for record in records:
        replay(record, rules, work)
    assert (len(records), {record.host for record in records}) == (6, {"host_a"})
    assert {record.player for record in records} == {"heuristic-search"}
    assert (heartbeat(host)["state"], heartbeat(host)["games"]) == ("draining", 6)


def test_a_worker_started_again_plays_other_games(tmp_path: Path) -> None:
    for _ in range(2):
        Worker(options(tmp_path, 3), SELFPLAY).run()
    assert len({move_hash(record) for record in all_records(HostDirectory(tmp_path))}) == 6


def test_a_worker_whose_clock_is_set_back_goes_on_reporting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, readings = [10_000.0], [0]

    def clock() -> float:
        readings[0] += 1
        now[0] += 0.5 if readings[0] != 30 else -3600
        return now[0]

    beats: list[float] = []
    write = Heartbeat.write

    def kept(self: Heartbeat, host_dir: HostDirectory) -> None:
        if self.state == "playing":
            beats.append(self.at)
        write(self, host_dir)

    monkeypatch.setattr(Heartbeat, "write", kept)
    Worker(options(tmp_path, 30), SELFPLAY, clock=clock).run()
    assert sum(at < 9_000 for at in beats) > 1


def test_a_worker_that_compiles_beats_and_ends_at_once_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Worker(options(tmp_path), SELFPLAY)
    seen: list[float] = []

    def compile_for_long() -> None:
        give_up = time.monotonic() + 10
        while len(set(seen)) < 3 and time.monotonic() < give_up:
            seen.append(float(str(heartbeat(HostDirectory(tmp_path))["at"])))
            time.sleep(0.01)
        played.stop()

    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(worker, "compile_kernels", compile_for_long)
    assert played.run() == 0
    assert len(set(seen)) == 3
    assert heartbeat(HostDirectory(tmp_path))["state"] == "draining"


def test_two_workers_cannot_share_a_slot(tmp_path: Path) -> None:
    writer = SegmentWriter(HostDirectory(tmp_path), 0, 10, 10.0)
    with pytest.raises(NoCapacity):
        Worker(options(tmp_path), SELFPLAY).run()
    writer.close()


def test_new_games_use_a_new_model_and_begun_ones_keep_their_player(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = HostDirectory(tmp_path)
    digest = model.name
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5  # so that the worker looks at the pointer every other round
        if now[0] == 20.0:
            deliver(model, host)
        return now[0]

    with caplog.at_level(logging.INFO):
        Worker(options(tmp_path, 12), SELFPLAY, clock=clock).run()
    records = all_records(host)
    assert {record.player for record in records} == {"heuristic-search", digest}
    for record in records:
        # The pointer is looked at every second: a game begun more than that after 20.0 is the model's.
        assert record.player == ("heuristic-search" if record.started_at < 20.0 else digest) or (
            20.0 <= record.started_at <= 22.0
        )
    assert f"Reloading model {digest}" in caplog.messages
    assert (heartbeat(host)["model"], heartbeat(host)["generation"]) == (digest, 1)


def test_without_hot_reload_a_worker_keeps_the_model_that_it_began_with(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path)
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        if now[0] == 10.0:
            deliver(model, host)
        return now[0]

    kept = HostSettings(hot_reload=False).applied_to(SELFPLAY)
    Worker(options(tmp_path, 8), kept, clock=clock).run()
    assert now[0] > 20.0
    assert {record.player for record in all_records(host)} == {"heuristic-search"}
    assert (heartbeat(host)["model"], heartbeat(host)["hot_reload"]) == (None, False)
    Worker(options(tmp_path, 1), kept).run()  # restarted, it begins with what the pointer names
    assert heartbeat(host)["model"] == model.name


def test_a_model_that_does_not_load_is_reported_and_the_old_player_kept(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        if now[0] == 10.0:
            point_to(host, "0" * 64)
        return now[0]

    Worker(options(tmp_path, 8), SELFPLAY, clock=clock).run()
    assert {record.player for record in all_records(host)} == {"heuristic-search"}
    assert "no model manifest" in str(heartbeat(host)["last_error"])


def test_a_worker_whose_first_model_does_not_load_fails(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    point_to(host, "0" * 64)
    with pytest.raises(ModelError):
        Worker(options(tmp_path), SELFPLAY).run()
    assert heartbeat(host)["state"] == "failed"
    assert not all_records(host)


def test_a_model_of_another_variant_is_refused(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path)
    deliver(model, host, variant="square8_3p")
    with pytest.raises(ModelError, match="is for square8_2p, its pointer is that of square8_3p"):
        Worker(WorkerOptions(host, "square8_3p", 0), SELFPLAY).run()


def trained_on(model: Path, folder: Path, variant: str) -> Path:
    """The folder of another model: the same but for the last bit of its last weight, and of the given variant."""
    weights = bytearray((model / WEIGHTS).read_bytes())
    weights[-4] ^= 1
    digest = hashlib.sha256(weights).hexdigest()
    manifest = structs.replace(load_manifest(model), digest=digest, variant=variant)
    write_model(folder, manifest, bytes(weights), (model / ONNX).read_bytes())
    return folder / digest


def test_a_variant_without_a_model_is_played_with_the_nearest_ones_until_its_own_comes(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compile_kernels()
    compile_selfplay_kernels()  # a worker that compiles would read the clock at each beat
    host = HostDirectory(tmp_path / "host")
    borrowed = deliver(model, host)
    point_to(host, "0" * 64, variant="hex8_3p")  # of another family
    own = trained_on(model, tmp_path / "trained", "square8_3p")
    now, seen = [0.0], []

    def clock() -> float:
        now[0] += 0.5  # so that the worker looks at the pointers every other round
        if now[0] == 20.0:
            seen.append(heartbeat(host))
            deliver(own, host, "square8_3p")
        return now[0]

    with caplog.at_level(logging.INFO):
        Worker(WorkerOptions(host, "square8_3p", 0, games=9), SELFPLAY, clock=clock).run()
    records = all_records(host)
    rules = rules_for("square8_3p")
    work = make_work(rules)
    for record in records:
        replay(record, rules, work)
        assert record.player == (borrowed if record.started_at < 20.0 else own.name) or record.started_at <= 22.0
    assert {record.player for record in records} == {borrowed, own.name}
    # A borrowed model searches as the variant's own, not as the bootstrap, whose search compares 16 moves.
    assert {json.dumps(record.search) for record in records} == {json.dumps(records[-1].search)}
    assert "considered=4" in str(records[-1].search)
    assert [(beat["model"], beat["generation"]) for beat in (*seen, heartbeat(host))] == [(borrowed, 0), (own.name, 1)]
    assert "square8_3p has no model yet: it borrows the champion of square8_2p" in caplog.messages
    assert f"Reloading model {own.name}" in caplog.messages


@pytest.mark.parametrize("broken", ["files", "pointer"])
def test_a_borrowed_model_that_does_not_load_is_told_and_the_heuristic_plays(tmp_path: Path, broken: str) -> None:
    host = HostDirectory(tmp_path)
    point_to(host, "0" * 64)
    if broken == "pointer":
        host.current_model("square8_2p").write_text("torn")
    Worker(WorkerOptions(host, "square8_3p", 0, games=2), SELFPLAY).run()
    assert {record.player for record in all_records(host)} == {"heuristic-search"}
    told = {
        "files": "no model to borrow: no model manifest",
        "pointer": "current-square8_2p.json does not name a model",
    }
    assert told[broken] in str(heartbeat(host)["last_error"])


def follower(host: HostDirectory, **settings: bool) -> PlayedVariant:
    """What a worker has of square8_3p."""
    origin = Origin("host_a", "0-1", "run", 0)
    return PlayedVariant("square8_3p", host, replace(SELFPLAY, **settings), origin, lambda: 0.0)


def plays(played: PlayedVariant, now: float = 0.0) -> str | None:
    """The digest of the player after a look at the pointers."""
    played.follow_pointer(now)
    assert played.player is not None
    return played.player.digest


def test_without_transfer_no_model_is_borrowed(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path)
    borrowed = deliver(model, host)
    assert plays(follower(host, transfer=False)) is None
    assert plays(follower(host, transfer=True)) == borrowed


def test_the_player_follows_the_champion_that_is_nearest_at_each_moment(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path / "host")
    played = follower(host)
    far = trained_on(model, tmp_path / "trained", "square8_4p")
    assert plays(played) is None
    deliver(far, host, "square8_4p")
    assert plays(played) == far.name
    near = deliver(model, host)
    assert plays(played) == near
    host.current_model("square8_2p").unlink()
    host.current_model("square8_4p").unlink()
    assert plays(played) == near


def test_after_a_model_of_its_own_a_variant_borrows_none(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path / "host")
    own = trained_on(model, tmp_path / "trained", "square8_3p")
    deliver(own, host, "square8_3p")
    deliver(model, host)
    played = follower(host)
    assert plays(played) == own.name
    host.current_model("square8_3p").unlink()
    assert plays(played) == own.name


def test_a_borrowed_model_does_not_stand_in_for_an_own_one_that_does_not_load(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path)
    borrowed = deliver(model, host)
    played = follower(host)
    assert plays(played) == borrowed
    point_to(host, "0" * 64, variant="square8_3p")
    assert plays(played, 1.0) == borrowed  # the player that was there is kept, and the error told
    assert "no model manifest" in str(played.error)
    with pytest.raises(ModelError):
        follower(host).follow_pointer(1.0)


def test_a_borrowed_model_that_was_refused_is_tried_again(tmp_path: Path, model: Path) -> None:
    host = HostDirectory(tmp_path)
    point_to(host, model.name)
    played = follower(host)
    assert plays(played, 0.0) is None
    deliver(model, host)
    assert plays(played, RETRY_SECONDS - 1) is None
    assert played.error is not None
    assert plays(played, RETRY_SECONDS) == model.name
    assert played.error is None


class Stopwatch:
    """Goes on by half a second a reading, and a round has two; does things when their time has come."""

    def __init__(self, *plans: tuple[float, Callable[[], object]]) -> None:
        self.now, self.plans = 0.0, list(plans)

    def __call__(self) -> float:
        self.now += 0.5
        while self.plans and self.now >= self.plans[0][0]:
            self.plans.pop(0)[1]()
        return self.now


def play_by_plan(host: HostDirectory, seconds: float, *plans: tuple[float, Callable[[], object]]) -> Heartbeat:
    """A worker follows the host's plan for so many seconds of its stopwatch; returns its last heartbeat."""
    stopwatch = Stopwatch(*plans, (seconds, lambda: worker.stop()))
    chosen = WorkerOptions(host, None, 0, run="run")
    worker = Worker(chosen, SELFPLAY, clock=lambda: 1e9 + stopwatch.now, stopwatch=stopwatch)
    worker.run()
    return Heartbeat.parse(host.heartbeat(0).read_bytes())


def test_a_plan_shares_the_time_and_no_game_is_lost_when_the_variant_changes(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"square8_2p": 1.0, "hex8_2p": 2.0}))
    beat = play_by_plan(host, 800.0)
    had = {name: play.computed_s for name, play in beat.variants.items()}
    assert sum(had.values()) == pytest.approx(400.0, abs=1.0)  # each round has two readings
    assert had["square8_2p"] == pytest.approx(sum(had.values()) / 3, abs=TURN_S)
    records = all_records(host)
    assert Counter(record.variant for record in records) == {name: play.games for name, play in beat.variants.items()}
    assert min(play.games for play in beat.variants.values()) > 0  # a game of either takes several turns
    number = {int.from_bytes(Origin("", "", "run", 0).digest(n)[:8], "little"): n for n in range(1000)}
    played = {number[record.seed] for record in records}
    # No number was used twice, and those that are missing are the games that were open at the end.
    assert (len(played), max(played) + 1 - len(played) <= 2 * SELFPLAY.games_in_parallel) == (len(records), True)
    for record in records:
        rules = rules_for(record.variant)
        replay(record, rules, make_work(rules))


def test_a_worker_waits_for_its_plan_and_follows_a_new_one_at_its_next_look(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    seen: list[Heartbeat] = []

    def look_and_write(plan: Plan) -> None:
        seen.append(Heartbeat.parse(host.heartbeat(0).read_bytes()))
        write_plan(host, plan)

    beat = play_by_plan(
        host,
        60.0,
        (1.0, lambda: look_and_write(Plan({"hex8_2p": 1.0}))),
        (30.0, lambda: look_and_write(Plan({"square8_2p": 1.0}))),
        (45.0, lambda: host.plan.write_text("torn")),
    )
    assert [(one.state, one.variant, list(one.variants)) for one in seen] == [
        ("starting", None, []),
        ("playing", "hex8_2p", ["hex8_2p"]),
    ]
    assert (beat.variant, list(beat.variants)) == ("square8_2p", ["square8_2p"])  # the other one is let go
    assert beat.variants["square8_2p"].computed_s == pytest.approx((60.0 - 30.0) / 2, abs=1.0)
    assert beat.last_error is not None
    assert beat.last_error.startswith("keeping the present plan")


def test_games_that_a_new_plan_drops_are_begun_anew_under_other_numbers(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"hex8_2p": 1.0}))
    change = (2.0, lambda: write_plan(host, Plan({"square8_2p": 1.0})))
    stopwatch = Stopwatch(change, (4000.0, lambda: worker.stop()))
    chosen = WorkerOptions(host, None, 0, games=4, run="run")
    worker = Worker(chosen, SELFPLAY, clock=lambda: 1e9 + stopwatch.now, stopwatch=stopwatch)
    assert worker.run() == 4
    dropped = {Origin("", "", "run", 0).digest(number)[:8] for number in range(4)}
    records = all_records(host)
    assert {record.variant for record in records} == {"square8_2p"}
    assert dropped.isdisjoint(record.seed.to_bytes(8, "little") for record in records)


def test_a_variant_between_its_turns_takes_a_new_model_at_once(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"hex8_2p": 99.0, "square8_2p": 1.0}))
    with caplog.at_level(logging.INFO):
        beat = play_by_plan(host, 12.0, (8.0, lambda: deliver(model, host)))
    assert (beat.variant, beat.model) == ("hex8_2p", None)
    square = beat.variants["square8_2p"]
    assert (square.model, square.generation, square.computed_s) == (model.name, 1, 0.0)
    assert f"Reloading model {model.name}" in caplog.messages


def test_a_variant_whose_first_model_does_not_load_is_left_out_until_it_does(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"square8_2p": 1.0, "hex8_2p": 1.0}))
    point_to(host, "0" * 64, variant="hex8_2p")
    seen: list[Heartbeat] = []

    def mend() -> None:
        seen.append(Heartbeat.parse(host.heartbeat(0).read_bytes()))
        host.current_model("hex8_2p").unlink()

    beat = play_by_plan(host, 120.0, (60.0, mend))
    [before] = seen
    assert (before.variant, before.variants["hex8_2p"].computed_s) == ("square8_2p", 0.0)
    assert "no model manifest" in str(before.variants["hex8_2p"].last_error)
    assert beat.last_error is None
    assert beat.variants["hex8_2p"].computed_s == pytest.approx(30.0, abs=TURN_S)


def test_a_model_that_gives_no_numbers_loses_its_games_and_the_other_variants_are_played(
    tmp_path: Path, endless: Path, model: Path
) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"square8_2p": 1.0, "hex8_2p": 1.0}))
    deliver(endless, host)
    seen: list[Heartbeat] = []

    def mend() -> None:
        seen.append(Heartbeat.parse(host.heartbeat(0).read_bytes()))
        deliver(model, host)

    beat = play_by_plan(host, 120.0, (60.0, mend))
    [before] = seen
    assert (before.variants["square8_2p"].model, before.variants["square8_2p"].games) == (None, 0)
    told = before.variants["square8_2p"].last_error
    assert told is not None
    assert told.startswith(f"4 open games are dropped: model {endless.name} gives a ")
    assert before.variants["hex8_2p"].computed_s > 10.0
    assert (beat.variants["square8_2p"].model, beat.last_error) == (model.name, None)
    assert beat.variants["square8_2p"].computed_s > 10.0


def test_a_worker_of_one_variant_whose_model_gives_no_numbers_fails_and_keeps_what_is_finished(
    tmp_path: Path, endless: Path
) -> None:
    host = HostDirectory(tmp_path)
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        if len(all_records(host)) > 3:
            deliver(endless, host)
        return now[0]

    with pytest.raises(ModelError, match=f"open games are dropped: model {endless.name} gives a "):
        Worker(options(tmp_path, None), SELFPLAY, clock=clock).run()
    assert (heartbeat(host)["state"], heartbeat(host)["model"]) == ("failed", None)
    assert {record.player for record in all_records(host)} == {"heuristic-search"}


def test_where_a_borrowed_model_gives_no_numbers_the_heuristic_goes_on(tmp_path: Path, endless: Path) -> None:
    host = HostDirectory(tmp_path)
    deliver(endless, host)
    Worker(WorkerOptions(host, "square8_3p", 0, games=2), SELFPLAY).run()
    assert {record.player for record in all_records(host)} == {"heuristic-search"}
    assert f"2 open games are dropped: model {endless.name} gives a " in str(heartbeat(host)["last_error"])


def test_the_last_games_of_an_earlier_model_that_gives_no_numbers_are_dropped_alone(
    tmp_path: Path, endless: Path, model: Path
) -> None:
    host = HostDirectory(tmp_path)
    deliver(endless, host)
    played = PlayedVariant("square8_2p", host, SELFPLAY, Origin("host_a", "0-1", "run", 0), lambda: 0.0)
    assert plays(played) == endless.name
    played.start(range(2))
    deliver(model, host)
    assert plays(played) == model.name
    played.start(range(2, 5))
    assert played.active == 5
    assert played.round() == []
    assert played.player is not None
    assert (played.active, played.player.digest, played.error) == (3, model.name, None)


def test_a_variant_whose_pointer_cannot_be_opened_is_left_out_and_the_others_are_played(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    write_plan(host, Plan({"square8_2p": 1.0, "hex8_2p": 1.0}))
    host.current_model("hex8_2p").mkdir(parents=True)
    beat = play_by_plan(host, 20.0)
    assert (beat.variants["hex8_2p"].computed_s, beat.variants["square8_2p"].computed_s > 0.0) == (0.0, True)
    problem = beat.variants["hex8_2p"].last_error
    assert problem is not None
    assert problem.startswith(f"{host.current_model('hex8_2p')} cannot be read: ")


@pytest.fixture
def process(tmp_path: Path) -> subprocess.Popen[str]:
    """A worker process that has finished at least one game."""
    config = tmp_path / "loop.yaml"
    config.write_text(
        "selfplay:\n  simulations_full: 2\n  simulations_fast: 1\n  bootstrap_simulations: 2\n"
        "  games_in_parallel: 8\n  segment_seconds: 600\n"
    )
    command = [sys.executable, "-m", "ringrift_loop.cli", "selfplay", "--root", str(tmp_path / "host")]
    command += ["--variant", "square8_2p", "--slot", "0", "--config", str(config)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    journals = tmp_path / "host" / "games" / "open"
    deadline = time.monotonic() + 150  # the first start may have to compile
    while not any(path.stat().st_size > 0 for path in journals.glob("*.journal")):
        assert started.poll() is None and time.monotonic() < deadline, started.communicate()[0]
        time.sleep(0.05)
    return started


def test_sigterm_seals_the_segment_and_exits_with_0(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    finished = json.loads(output.splitlines()[-1])["games"]
    host = HostDirectory(tmp_path / "host")
    assert len(all_records(host)) == finished >= 1
    assert heartbeat(host)["state"] == "draining"


def test_after_kill_9_the_next_worker_seals_what_was_finished(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=60)
    host = HostDirectory(tmp_path / "host")
    assert not all_records(host)  # nothing was sealed yet
    SegmentWriter(host, 0, 10, 600.0).close()
    records = all_records(host)
    rules = rules_for("square8_2p")
    assert records
    for record in records:
        replay(record, rules, make_work(rules))


# A worker that takes 40 MiB more in every round, 600 at most; or asks for 8 GiB at once.
GROWING = """
import sys
from ringrift_loop.cli.entry import main
from ringrift_loop.selfplay.play_games import SelfplayGames

kept, play_round = [], SelfplayGames.round


def growing(self):
    if {at_once}:
        kept.append(bytearray(8 << 30))
    if len(kept) < 15:
        kept.append(b"x" * (40 << 20))
    return play_round(self)


SelfplayGames.round = growing
sys.exit(main(sys.argv[1:]))
"""


def worker_process(host: HostDirectory, slot: int, *words: str, code: str | None = None) -> subprocess.Popen[bytes]:
    program = ("-m", "ringrift_loop.cli") if code is None else ("-c", code)
    command = [sys.executable, *program, "selfplay", "--root", str(host.root), "--variant", "square8_2p"]
    command += ["--slot", str(slot), "--config", str(host.worker_settings), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("at_once", "said"),
    [
        (False, r"JobOutOfMemory: the worker used 0\.\d+ GiB of its 0\.5\d* GiB \(selfplay\.worker_memory_gb\)"),
        (True, "MemoryError"),
    ],
    ids=["bit by bit", "at once"],
)
def test_a_worker_that_grows_ends_itself_with_the_reason_and_its_neighbour_goes_on(
    tmp_path: Path, at_once: bool, said: str
) -> None:
    host = HostDirectory(tmp_path)
    settings = {**plain_section(SELFPLAY), "worker_memory_gb": 0.5}
    host.worker_settings.parent.mkdir(parents=True, exist_ok=True)
    host.worker_settings.write_text(json.dumps({"selfplay": settings}))
    growing = worker_process(host, 0, code=GROWING.format(at_once=at_once))
    neighbour = worker_process(host, 1, "--games", "6")
    try:
        assert growing.wait(60) not in (0, -signal.SIGKILL)
        assert neighbour.wait(60) == 0
    finally:
        for process in (growing, neighbour):
            process.kill()
    beat = heartbeat(host)
    assert beat["state"] == "failed"
    assert re.match(said, str(beat["last_error"])), beat["last_error"]
    # What either had finished is sealed; the neighbour has played all that it should.
    assert len(all_records(host)) >= 6
