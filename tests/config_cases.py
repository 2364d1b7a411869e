"""A case for each key of the configuration: two values of it, and what production code does differently with them.

`ringrift_loop/config/test_every_key_acts.py` runs them and says which key has none. A new key gets one entry in
`CASES`: its name, two values with what is seen, and a function that hands the configuration to what reads the key.
"""

from __future__ import annotations

import logging
import runpy
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from latent import LatentArena
from ringrift_loop.cluster.agent.report import SealedFile
from ringrift_loop.cluster.sync import cycle, visit
from ringrift_loop.cluster.sync.budget import BUDGET, Account
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.config import LoopConfig
from ringrift_loop.curriculum.weights import Standing, rebalance, weight_of
from ringrift_loop.doctor.machine import check_ports
from ringrift_loop.errors import HostUnreachable, TrainingStopped
from ringrift_loop.hosts.inventory import Host, Inventory, parse_inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import games, gates, hosts, models, promotions, ratings, segments, training
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.monitoring.alerts import alerts
from ringrift_loop.network.model import Predictions
from ringrift_loop.promotion.champion import champion_gate, rule_of
from ringrift_loop.promotion.games import GateGames
from ringrift_loop.promotion.gate_tests import GATE_TESTS
from ringrift_loop.promotion.monitor import watch_champion
from ringrift_loop.promotion.promote import promote
from ringrift_loop.promotion.rules import Contest, Facts, decide
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.ratings.blocks import evidence_of_counts
from ringrift_loop.resources import rebalance as resources
from ringrift_loop.resources.backpressure import Backpressure, Limits, Seen, press
from ringrift_loop.resources.bands import cpu_band, gpu_band
from ringrift_loop.resources.control import Controller, step
from ringrift_loop.resources.decision import Outside, resting
from ringrift_loop.retention import retain as retention
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentName, read_segment
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.status.overview import read_overview
from ringrift_loop.tournament.arena import EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.full import budget_s
from ringrift_loop.tournament.participants import baseline_id, evaluation_search
from ringrift_loop.tournament.shadow import run_shadow
from ringrift_loop.tournament.shadow_budget import affordable
from ringrift_loop.tournament.store import LedgerShelf, keep_all
from ringrift_loop.training.claim import claim_for_run, reap_stuck
from ringrift_loop.training.due import survey
from ringrift_loop.training.fit import fit
from ringrift_loop.training.losses import TensorBatch, compute_losses
from ringrift_loop.training.prepare import prepare
from ringrift_loop.training.remote import run_bundle
from ringrift_loop.training.remote.bundle import WINDOW
from ringrift_loop.training.remote.placement import places
from ringrift_loop.training.schedule import plan_schedule, window_rows_wanted
from ringrift_loop.training.start import choose_start
from ringrift_loop.training.team import alone
from ringrift_loop.training.train import train
from ringrift_loop.views.learning import read_learning

PROJECT = Path(__file__).resolve().parents[1]
VARIANT = "square8_2p"
NOW = 1_800_000_000.0
DIGEST = "1" * 64
HOSTS = "standard_hosts:\n  a: {transport: local, role: selfplay, max_workers: 1}\n"
TINY_GAMES = {"simulations_full": 2, "simulations_fast": 1, "bootstrap_simulations": 2}
TINY_TRAINING = {
    "window_rows_min": 100,
    "samples_per_row": 1.0,
    "batch_size": 32,
    "warmup_steps": 5,
    "validation_fraction": 0.3,
    "blocks": 1,
    "channels": 8,
    "threads": 1,
}


@dataclass
class Clock:
    """Stands still, or goes on by so many seconds at each look."""

    now: float = NOW
    tick: float = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@dataclass
class Bench:
    """What a case is given: the configuration, and a place of its own to try it in."""

    config: LoopConfig
    folder: Path
    empty_ledger: Path
    played: Callable[[], Path]
    """A run directory with the games that a worker played, made when it is first asked for."""
    model: Callable[[], Path]
    """The folder of a small model, made when it is first asked for."""
    monkeypatch: pytest.MonkeyPatch
    ledgers: list[Ledger] = field(default_factory=list)

    def loop(self, *, filled: bool = False) -> Loop:
        """A loop of this configuration: with an empty ledger, or with games."""
        directory = RunDirectory(self.folder / "run")
        if filled:
            shutil.copytree(self.played(), directory.root)
        else:
            directory.root.mkdir()
            shutil.copy(self.empty_ledger, directory.root / "ledger.db")
        return self._open(directory)

    def _open(self, directory: RunDirectory) -> Loop:
        ledger = Ledger.open(f"sqlite:///{directory.root / 'ledger.db'}")
        self.ledgers.append(ledger)
        inventory: Inventory = parse_inventory(HOSTS, "hosts.yaml")
        return Loop(self.config, inventory, directory, ledger, Metrics("127.0.0.1", 9, strict=True), Clock())

    def close(self) -> None:
        """Close what was opened."""
        for ledger in self.ledgers:
            ledger.close()


Observe = Callable[[Bench], object]


@dataclass(frozen=True)
class Case:
    """Two values of a key, and what is seen with each."""

    observe: Observe
    first: tuple[object, object]
    """A value, and what is seen with it."""
    second: tuple[object, object]
    beside: Mapping[str, object] = field(default_factory=dict)
    """Other keys' values in both."""


@dataclass(frozen=True)
class Order:
    """What is seen when figures have no fixed value: with the first value it is smaller than with the second."""

    place: int


SMALLER, LARGER = Order(0), Order(1)


# --- the whole ---


def _packet_at(bench: Bench) -> str:
    """Where a metric arrives."""
    host, port = bench.config.statsd_host, bench.config.statsd_port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((host, port))
        listener.settimeout(5.0)
        metrics = Metrics.open(bench.config, "cases")
        metrics.incr("ringrift_curriculum_rebalances_total")
        metrics.close()
        assert b"rebalances" in listener.recv(4096)
    return f"{host}:{port}"


def _ports(bench: Bench) -> list[str]:
    found = check_ports(RunDirectory(bench.folder), bench.config)
    return [one.met.split(":")[0] for one in found if "/metrics" in one.met]


# --- data_ingestion ---


def _schedule(dag_id: str) -> Observe:
    """Seconds between two runs of a DAG, from its file; the configuration comes from the environment."""

    def interval(bench: Bench) -> float:
        module = runpy.run_path(str(PROJECT / "dags" / f"{dag_id}.py"))
        seconds: float = module[dag_id]().timetable.interval_s
        return seconds

    return interval


def _worth_a_pull(records: int, age_s: float) -> Observe:
    file = SealedFile(str(SegmentName("0" * 16, 1, records, "0" * 16)), 100, age_s)
    return lambda bench: visit.worth_a_pull([file], bench.config.data_ingestion, bench.config.selfplay.segment_seconds)


def _lists_everything(bench: Bench) -> bool:
    return visit._request(bench.loop(), []).list_all


def _pause_of_a_failing_host(bench: Bench) -> float:
    """After five failures in a row, s."""
    loop = bench.loop()
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        host = loop.inventory.hosts["a"]
        for _ in range(5):
            turn = visit.Visit(host, Account(BUDGET), error=HostUnreachable("a does not answer"))
            last = cycle._record(conn, loop, turn, [], NOW)
    return last.next_attempt_at - NOW


# --- selfplay ---


def _plays(key: str, *, bootstrap: bool = False) -> Observe:
    return lambda bench: getattr(play_settings(bench.config.selfplay, bootstrap=bootstrap), key)


def _simulations(*, bootstrap: bool) -> Observe:
    return lambda bench: play_settings(bench.config.selfplay, bootstrap=bootstrap).full.simulations


def _considered(bench: Bench) -> int:
    return play_settings(bench.config.selfplay, bootstrap=False).full.considered


def _work(bench: Bench, clock: Callable[[], float], games: int = 4, variant: str = VARIANT) -> HostDirectory:
    host = HostDirectory(bench.folder / "host")
    Worker(WorkerOptions(host, variant, 0, games=games, host="a", run="a"), bench.config.selfplay, clock=clock).run()
    return host


def _sealed(tick: float) -> Observe:
    """How many segments a worker makes of four games, when its clock goes on by so much at each look."""
    return lambda bench: len(list(_work(bench, Clock(tick=tick)).sealed_segments.glob("*.jsonl.zst")))


def _players(bench: Bench) -> set[str]:
    """Who plays after a model has come while the worker plays its first game."""
    host = HostDirectory(bench.folder / "host")
    looks = iter(range(1_000_000))

    class Delivering(Clock):
        def __call__(self) -> float:
            if next(looks) == 40:
                _deliver(bench.model(), host)
            return super().__call__()

    return _players_of(bench, _work(bench, Delivering(tick=0.5), games=3))


def _first_player(bench: Bench) -> set[str]:
    """Who plays a variant without a model on a host that has the model of another."""
    _deliver(bench.model(), HostDirectory(bench.folder / "host"))
    return _players_of(bench, _work(bench, Clock(), games=1, variant="square8_3p"))


def _players_of(bench: Bench, host: HostDirectory) -> set[str]:
    paths = host.sealed_segments.glob("*.jsonl.zst")
    records = [GameRecord.from_json(line) for path in paths for line in read_segment(path)]
    return {"model" if bench.model().name[:8] in record.player else "bootstrap" for record in records}


def _deliver(model: Path, host: HostDirectory) -> None:
    shutil.copytree(model, host.model(model.name))
    pointer = host.current_model(VARIANT)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    whole = pointer.with_suffix(".new")
    whole.write_text(f'{{"digest": "{model.name}", "generation": 1, "promoted_at": 1.0}}')
    whole.rename(pointer)


def _network_threads(bench: Bench) -> int:
    """What ONNX Runtime is told when a worker opens its model."""
    import onnxruntime

    class Told(BaseException):
        """That is all we want to know."""

    def telling(path: Any, sess_options: Any = None, **options: Any) -> Any:
        raise Told(sess_options.intra_op_num_threads)

    bench.monkeypatch.setattr(onnxruntime, "InferenceSession", telling)
    _deliver(bench.model(), HostDirectory(bench.folder / "host"))
    with pytest.raises(Told) as told:
        _work(bench, Clock())
    return int(told.value.args[0])


# --- training ---


def _is_due(bench: Bench) -> bool:
    """With three new games of a variant whose last run ended 100 s ago."""
    loop = bench.loop()
    with loop.ledger.begin() as conn:
        _add_games(conn, 1)
        training.claim(conn, "before", VARIANT, at=NOW - 200)
        models.add(conn, DIGEST, VARIANT, parent_digest=None, training_run="before", manifest={}, at=NOW - 100)
        training.mark_running(conn, "before", window_games=1, window_rows=40, parent_digest=None)
        training.succeed(conn, "before", model_digest=DIGEST, report={}, at=NOW - 100)
        _add_games(conn, 2, 3, 4)
    return next(each.is_due for each in survey(loop) if each.variant == VARIANT)


def _add_games(conn: Any, *numbers: int) -> None:
    hosts.ensure(conn, ["a"])
    name, count = f"s{numbers[0]}", len(numbers)
    segments.add(conn, SegmentRow("a", name, name.zfill(64), "e", numbers[0], count, count, 0, 0, 100, NOW))
    rows = [
        GameRow(
            id=f"g{number}",
            move_hash=f"g{number}",
            variant=VARIANT,
            host="a",
            segment=name,
            position=number,
            plies=60,
            rows=40,
            winner=1,
            result="territory",
            player="heuristic-search",
            search={},
            engine_version="1",
            played_at=NOW,
            ingested_at=NOW,
        )
        for number in numbers
    ]
    games.add(conn, rows)


def _stuck(bench: Bench) -> list[str]:
    """The runs that are given up after 5,000 s without a process."""
    loop = bench.loop()
    with loop.ledger.begin() as conn:
        _add_games(conn, 1)
        training.claim(conn, "stuck", VARIANT, at=NOW - 5000)
    return reap_stuck(loop)


def _window_rows(consumed: int) -> Observe:
    return lambda bench: window_rows_wanted(bench.config.training, consumed)


def _scheduled(name: str, *, cold: bool = False) -> Observe:
    def planned(bench: Bench) -> object:
        return getattr(plan_schedule(bench.config.training, fresh_rows=10_000, window_rows=10_000, cold=cold), name)

    return planned


def _architecture(bench: Bench) -> str:
    with bench.loop().ledger.read() as conn:
        start = choose_start(conn, VARIANT, bench.config.training, bench.config.selfplay.lenders)
    return start.why.split(",")[0].rpartition(" ")[2]


def _prepared(bench: Bench) -> tuple[Any, Path]:
    loop = bench.loop(filled=True)
    claim = claim_for_run(loop, [VARIANT], key="case")
    with loop.ledger.read() as conn:
        run = training.require(conn, claim.run_id)
    return prepare(loop, run), loop.directory.training_bundle(claim.run_id)


def _validation_rows(bench: Bench) -> int:
    return int(_prepared(bench)[0].window.validation_rows)


def _task(bench: Bench) -> tuple[Any, Any]:
    """The network and the task of a training on this machine's processor, as a bundle's run makes them."""
    bundle, folder = _prepared(bench)
    output = bench.folder / "output"
    output.mkdir()
    task = run_bundle._fit_task(bundle, folder, output, alone(torch.device("cpu")))
    schedule = replace(task.schedule, steps=10, warmup=2, rate=0.01, rate_final=0.01, ema_decay=0.5, validate_every=10)
    return run_bundle._start_network(bundle, folder), replace(task, schedule=schedule)


def _values_between(*, bootstrap: bool) -> Observe:
    """Whether there are value targets that are no outcome of a game, with games of a model or of the bootstrap."""

    def found(bench: Bench) -> bool:
        task = _task(bench)[1]
        rows = task.training_rows.numbers[:64]
        task.maker._window.bootstrap[:] = bootstrap
        value = task.maker.make(rows, np.zeros(len(rows), np.int64)).value
        return bool(((value > 0.01) & (value < 0.99)).any())

    return found


def _most_draws(bench: Bench) -> float:
    """How often a pass draws the row that it draws most often, of games of a model, on either side of the split."""
    bundle, folder = _prepared(bench)
    bootstrap = folder / WINDOW / "bootstrap.npy"
    np.save(bootstrap, np.zeros_like(np.load(bootstrap)))
    task = run_bundle._fit_task(bundle, folder, bench.folder, alone(torch.device("cpu")))
    return min(float(rows.draws.max()) for rows in (task.training_rows, task.validation_rows))


def _precision(bench: Bench) -> str:
    """What the candidate of a training plays with."""
    loop = bench.loop(filled=True)
    return train(loop, claim_for_run(loop, [VARIANT], key="case").run_id).precision.split()[0]


def _size_of_weights(bench: Bench) -> float:
    net, task = _task(bench)
    fit(net, task)
    return sum(float(tensor.detach().norm()) for tensor in net.parameters() if tensor.ndim > 1)


def _way_of_weights(bench: Bench) -> float:
    """How far ten steps take the weights."""
    net, task = _task(bench)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fit(net, task)
    return sum(float((tensor - before[name]).abs().sum()) for name, tensor in net.state_dict().items())


def _checkpoints(bench: Bench) -> int:
    """Written in ten steps of which each looks at a clock that goes on by 10 s a look."""
    net, task = _task(bench)
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ringrift_loop.training.fit")
    before = log.level
    log.setLevel(logging.INFO)  # assigned, it would leave what the logger remembers of the level before
    log.addHandler(handler)
    try:
        fit(net, task, clock=Clock(tick=10.0))
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    return len([line for line in said if line.startswith("checkpoint at step")])


def _threads(bench: Bench) -> int:
    """Of torch, after a training that is stopped at its first step."""
    _, folder = _prepared(bench)
    before = torch.get_num_threads()
    try:
        with pytest.raises(TrainingStopped):
            run_bundle.run_bundle(folder, bench.folder / "output", alone(torch.device("cpu")), stop=lambda: True)
        return torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _loss(part: str) -> Observe:
    """What a part adds to a total loss for each unit of its weight, and that it does so in proportion."""

    def total(bench: Bench) -> object:
        generator = torch.Generator().manual_seed(1)

        def random(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=generator)

        row = torch.tensor([0, 0, 1, 1])
        batch = TensorBatch(
            planes=random(2, 1, 2, 2),
            move_row=row,
            move_features=torch.zeros(4, 6),
            policy=torch.tensor([0.3, 0.7, 0.9, 0.1]),
            searched=torch.ones(2),
            value=torch.tensor([[0.8, 0.2, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0]]),
            owner=torch.zeros(2, 4, dtype=torch.int64),
            score=random(2, 4, 2),
            moves_left=random(2),
            share=torch.ones(2),
        )
        made = Predictions(
            policy=random(4), value=random(2, 4), owner=random(2, 5, 4), score=random(2, 4, 2), moves_left=random(2)
        )
        losses = compute_losses(made, batch, bench.config.training.loss)
        parts = {name: float(getattr(losses, name)) for name in losses._fields if name != "total"}
        weights = dict.fromkeys(parts, 1.0) | {part: 0.0}
        rest = sum(weights[name] * value for name, value in parts.items())
        return round((float(losses.total) - rest) / parts[part], 3)

    return total


EVEN_LOSSES = {f"training.loss.{part}": 1.0 for part in ("policy", "value", "owner", "score", "moves_left")}


def _loss_case(part: str) -> Case:
    beside = {name: value for name, value in EVEN_LOSSES.items() if name != f"training.loss.{part}"}
    return Case(_loss(part), (0.5, 0.5), (2.0, 2.0), beside)


# --- evaluation ---


def _shadow_games(bench: Bench) -> int:
    elos = {"random": 0.0, "mcts-64@2": 1.0, baseline_id("heuristic", VARIANT): 2.0}
    return run_shadow(bench.loop(), VARIANT, arena=LatentArena(elos, seed=1)).games


def _opening(bench: Bench) -> int:
    """Moves of the opening of two games between random players."""
    plan = paired_block(VARIANT, "manual", "random", "random", 2, seed=1)
    (rows,) = EngineArena(bench.loop()).play([plan])
    return len(rows[0].opening.split())


# --- promotion, regression, curriculum ---


def _decided(*, by_gate: bool = True, moved_s: float = 1e6, promoted: int = 0) -> Observe:
    """What the rules say of a candidate that is 45 Elo better after 200 games."""

    def status(bench: Bench) -> str:
        facts = Facts(
            variant=VARIANT,
            champion=DIGEST,
            regression_passed=by_gate,
            regression_reason="beats_random",
            contest=Contest(DIGEST, passed=True, reason="+45", gain=45.0, games=200),
            moved_at=NOW - moved_s,
            promoted_at=tuple(NOW - 1000.0 - number for number in range(promoted))[::-1],
            now=NOW,
        )
        return decide(facts, bench.config.promotion, hard_block=True).status

    return status


def _generates(bench: Bench) -> bool:
    """Whether a candidate that beats the champion makes the games before it is promoted."""
    loop, digests = bench.loop(), ("1" * 64, "2" * 64)
    names = [f"{digest}|{evaluation_search(bench.config).identity()}" for digest in digests]
    with loop.ledger.begin() as conn:
        for digest in digests:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, VARIANT, digests[0], reason="", elo_gain=None, games=0, at=1.0)
    champion_gate(loop, digests[1], arena=LatentArena({names[0]: 0.0, names[1]: 900.0}, seed=1))
    with loop.ledger.read() as conn:
        return promotions.generators(conn)[VARIANT].model_digest == digests[1]


def _rolled_back(bench: Bench) -> bool:
    """Whether a champion that has lost sixty shadow blocks to its predecessor has to go."""
    loop, digests = bench.loop(), ("1" * 64, "2" * 64)
    names = [f"{digest}|{evaluation_search(bench.config).identity()}" for digest in digests]
    with loop.ledger.begin() as conn:
        for digest in digests:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
    plans = [paired_block(VARIANT, "shadow", names[1], names[0], 2, seed) for seed in range(60)]
    keep_all(LedgerShelf(loop), LatentArena({names[0]: 900.0, names[1]: 0.0}, seed=1).play(plans))
    seen = watch_champion(loop, VARIANT)
    return seen is not None and seen.rollback is not None


def _judged(bench: Bench) -> bool:
    """Whether 65 of 100 points in pairs of games suffice."""
    evidence = evidence_of_counts(np.array([5.0, 25.0, 20.0]), np.array([0.0, 0.5, 1.0]), 2)
    return bool(rule_of(bench.config.promotion).judge(0, 100, evidence).accepted)


def _blocks_of_looks(bench: Bench) -> list[int]:
    rule = rule_of(bench.config.promotion)
    return [rule.blocks(look, 2) for look in range(len(rule.looks))]


def _promoted_in_spite(bench: Bench) -> str:
    """What becomes of a variant's first model that failed the regression gate."""
    loop = bench.loop()
    with loop.ledger.begin() as conn:
        models.add(conn, DIGEST, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        gates.add(conn, VARIANT, DIGEST, gates.REGRESSION, passed=False, report={"tests": []}, at=1.0)
    return promote(loop, DIGEST).status


def _gate_limit(bench: Bench) -> float:
    from ringrift_airflow.tasks.gate import gate_limit

    return gate_limit().total_seconds()


def _subject(bench: Bench, digest: str = DIGEST, folder: Path = Path("none")) -> Subject:
    return Subject(VARIANT, digest, folder, evaluation_search(bench.config), registered=False)


def _gate_rows(bench: Bench, baseline: str) -> Any:
    """Games in which the model wins some three of four."""
    subject = _subject(bench)
    elos = {subject.participant: 200.0, "random": 0.0, baseline_id("heuristic", VARIANT): 0.0}
    return GateGames(bench.loop(), subject, LatentArena(elos, seed=1)).against(baseline, lambda: NOW + 60)


def _gate_games(bench: Bench) -> int:
    return len(_gate_rows(bench, "random"))


def _beats(baseline: str) -> Observe:
    def passed(bench: Bench) -> bool:
        test = next(test for test in GATE_TESTS if test.name == f"beats_{baseline}")
        return test.judge(_subject(bench), _gate_rows(bench, baseline), bench.config.regression).passed

    return passed


def _quick_enough(bench: Bench) -> bool:
    test = next(test for test in GATE_TESTS if test.name == "inference_latency")
    subject = _subject(bench, bench.model().name, bench.model())
    return test.judge(subject, [], bench.config.regression).passed


def _weight(share: float, old: float = 1.0) -> Observe:
    """The next weight of a variant that wins this share of its games, beside one that wins half."""
    known = {"a": Standing(0.5, 0.0), "b": Standing(share, 0.0)}
    return lambda bench: round(weight_of(bench.config.curriculum, known, "b", old), 3)


def _moved(bench: Bench) -> bool:
    """Whether 100 rated games move a weight."""
    loop = bench.loop()
    with loop.ledger.begin() as conn:
        for digit, variant, elo in (("1", "square8_2p", 300.0), ("2", "hex8_2p", 100.0)):
            models.add(conn, digit * 64, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, variant, digit * 64, reason="", elo_gain=None, games=0, at=1.0)
            row = RatingRow(variant, f"{digit * 64}|gumbel16,considered=4", elo, 20.0, 100, 1.0)
            heuristic = RatingRow(variant, baseline_id("heuristic", variant), 200.0, 20.0, 100, 1.0)
            ratings.replace(conn, variant, [row, heuristic], keep_history_of=())
    return set(rebalance(loop).values()) != {1.0}


# --- alerts ---


def _alert_case(default: object, other: object, text: str, *names: str) -> Case:
    """A limit that stands in the conditions of these alerts, `text` with the second value."""

    def those_with_it(bench: Bench) -> tuple[str, ...]:
        return tuple(alert.name for alert in alerts(bench.config) if text in alert.expr)

    return Case(those_with_it, (default, ()), (other, names))


def _days_of_a_gain(bench: Bench) -> float:
    """How far back the champion lies that the present one is compared with, where the first is ten days old."""
    loop, digest = bench.loop(), "1" * 64
    with loop.ledger.begin() as conn:
        models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        at = loop.clock() - 864_000.0
        promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=at)
        overview = read_overview(conn, bench.config, [], now=loop.clock())
        found = next(one for one in read_learning(conn, bench.config, overview) if one.variant == VARIANT)
    assert found.since is not None
    return (loop.clock() - found.since) / 86_400.0


# --- retention, notifications, memory ---


def _kept(kind: str, place: int) -> Observe:
    """For how long (0), or how much of (1), files of a kind are kept."""
    return lambda bench: astuple(retention.limits_of(bench.config.retention)[kind])[place]


def _deletes(bench: Bench) -> bool:
    from ringrift_airflow.tasks.retention import delete_old_files

    bench.monkeypatch.setenv("RINGRIFT_HOME", str(bench.loop().directory.root))
    report: dict[str, bool] = delete_old_files.function(False)
    return report["applied"]


def _days_of_airflow(bench: Bench) -> float:
    from ringrift_airflow.tasks.retention import clean_airflow_tables

    told: list[float] = []
    bench.monkeypatch.setenv("RINGRIFT_HOME", str(bench.loop().directory.root))
    where = "ringrift_loop.launcher.airflow_tables.clean_airflow"
    bench.monkeypatch.setattr(where, lambda directory, before, apply: told.append(before))
    clean_airflow_tables.function({"applied": False})
    return round((time.time() - told[0]) / 86_400.0)


class Notified:
    """A notifier that keeps what it is told."""

    told: ClassVar[list[object]] = []

    def __init__(self, **arguments: str) -> None:
        self.arguments = arguments

    def __call__(self, context: Mapping[str, object]) -> None:
        self.told.append((self.arguments, context["ringrift_message"]))


def _told(bench: Bench) -> list[object]:
    from ringrift_airflow.notifications import _notify

    Notified.told.clear()
    _notify("it failed", {})  # type: ignore[typeddict-item]
    return list(Notified.told)


def _memory_of_a_command(bench: Bench) -> float:
    from ringrift_airflow import commands

    told: list[float] = []
    bench.monkeypatch.setattr(commands, "run_process", lambda command, **options: told.append(options["memory_gb"]))
    commands.run_command("status")
    return told[0]


def _memory_of_a_worker(bench: Bench) -> int:
    options = WorkerOptions(HostDirectory(bench.folder / "host"), VARIANT, 0)
    return Worker(options, bench.config.selfplay)._memory_limit


# --- resource_targets ---


def _zone(unit: str, percent: float) -> Observe:
    band = {"cpu": cpu_band, "gpu": gpu_band}[unit]
    return lambda bench: str(band(bench.config.resource_targets).zone(percent))


def _duty(**used: float) -> Observe:
    """The duty decided on a machine that is used so much, mostly by workers at a duty of a half."""
    sample = replace(resources.MachineSample("m", ("a",), 1.0, 50.0, 40.0, 5.0, 30.0, 0.5), **used)

    def duty(bench: Bench) -> float:
        row = resources.decide(bench.config.resource_targets, None, sample)
        assert row is not None
        return row.duty

    return duty


def _resting(**used: float) -> Observe:
    """How many of four workers rest on a machine that is used so."""
    sample = replace(resources.MachineSample("m", ("a",), 1.0, 50.0, 40.0, 5.0, 30.0, 0.5), **used)

    def rest(bench: Bench) -> int:
        row = resources.decide(bench.config.resource_targets, None, sample, Outside(4))
        assert row is not None
        return resting(row)[1]

    return rest


def _output(*, error: float = 10.0, integral: float = 0.0, before: float = 0.0, output: float = 0.0) -> Observe:
    """The correction, in points, of a controller whose error was `before` and is `error`."""

    def corrected(bench: Bench) -> float:
        targets = bench.config.resource_targets
        state = Controller(at=NOW - 30.0, error=before, integral=integral, output=output)
        used = targets.cpu_target - error
        return round(step(state, cpu_band(targets), targets.pid, used=used, own=used, at=NOW).output, 3)

    return corrected


def _pressure(**seen: Any) -> Observe:
    """The factor of all workers while this is seen of disks and games."""

    def factor(bench: Bench) -> float:
        config = bench.config
        limits = Limits(config.resource_targets, {}, config.data_ingestion, config.training)
        return press(Backpressure(), Seen(**seen), limits).on("a")[0]

    return factor


ONLY_KP = {f"resource_targets.pid.{gain}": 0.0 for gain in ("ki", "kd", "output_smoothing")} | {
    "resource_targets.pid.kp": 1.0,
    "resource_targets.pid.gain_scheduling": False,
}


def _pid_case(key: str, observe: Observe, first: tuple[object, object], second: tuple[object, object]) -> Case:
    return Case(observe, first, second, {name: value for name, value in ONLY_KP.items() if not name.endswith(key)})


def _free_ports() -> tuple[int, int]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


_PORTS = _free_ports()
_GAME_BY_GAME = {f"selfplay.{key}": value for key, value in (*TINY_GAMES.items(), ("games_in_parallel", 1))}

CASES: dict[str, Case] = {
    "preset": Case(
        lambda bench: bench.config.training.trigger_threshold_games, ("optimized", 300), ("conservative", 500)
    ),
    "variants": Case(
        lambda bench: sorted(each.variant for each in survey(bench.loop())),
        (["square8_2p"], ["square8_2p"]),
        (["hex8_2p", "hex8_3p"], ["hex8_2p", "hex8_3p"]),
    ),
    "metrics_port": Case(_ports, (19102, ["TCP 19102 for /metrics"]), (19103, ["TCP 19103 for /metrics"])),
    "statsd_host": Case(
        _packet_at,
        ("127.0.0.1", f"127.0.0.1:{_PORTS[0]}"),
        ("127.0.0.2", f"127.0.0.2:{_PORTS[0]}"),
        {"statsd_port": _PORTS[0]},
    ),
    "statsd_port": Case(_packet_at, (_PORTS[0], f"127.0.0.1:{_PORTS[0]}"), (_PORTS[1], f"127.0.0.1:{_PORTS[1]}")),
    "data_ingestion.poll_interval_seconds": Case(_schedule("ringrift_data_sync"), (30, 30.0), (45, 45.0)),
    "data_ingestion.sync_method": Case(_lists_everything, ("incremental", False), ("full", True)),
    "data_ingestion.min_games_per_sync": Case(_worth_a_pull(5, 0.0), (5, True), (6, False)),
    "data_ingestion.max_age_seconds": Case(_worth_a_pull(1, 100.0), (120, True), (200, False)),
    "data_ingestion.retry_max_backoff_seconds": Case(_pause_of_a_failing_host, (600, 600.0), (900, 900.0)),
    "selfplay.simulations_full": Case(_simulations(bootstrap=False), (16, 16), (40, 40)),
    "selfplay.simulations_fast": Case(_plays("fast_simulations"), (8, 8), (5, 5)),
    "selfplay.considered_moves": Case(_considered, (4, 4), (16, 16)),
    "selfplay.simulations_per_choice": Case(_plays("simulations_per_choice"), (4, 4), (8, 8)),
    "selfplay.full_search_probability": Case(_plays("full_share"), (0.5, 0.5), (1.0, 1.0)),
    "selfplay.games_in_parallel": Case(_plays("games_in_parallel"), (64, 64), (3, 3)),
    "selfplay.opening_random_plies": Case(_plays("opening_plies"), (8, 8), (0, 0)),
    "selfplay.temperature": Case(_plays("temperature"), (1.0, 1.0), (0.9, 0.9)),
    "selfplay.temperature_plies": Case(_plays("temperature_plies"), (30, 30), (20, 20)),
    "selfplay.temperature_final": Case(_plays("temperature_final"), (0.2, 0.2), (0.1, 0.1)),
    "selfplay.segment_seconds": Case(
        _sealed(tick=1.0),
        (600, SMALLER),
        (1, LARGER),
        _GAME_BY_GAME,
    ),
    "selfplay.segment_games": Case(
        _sealed(tick=0.0),
        (4, 1),
        (1, 4),
        _GAME_BY_GAME,
    ),
    "selfplay.network_threads": Case(_network_threads, (1, 1), (2, 2), _GAME_BY_GAME),
    "selfplay.bootstrap_simulations": Case(_simulations(bootstrap=True), (32, 32), (64, 64)),
    "selfplay.transfer": Case(_first_player, (True, {"model"}), (False, {"bootstrap"}), _GAME_BY_GAME),
    "selfplay.lenders": Case(
        _first_player, ({}, {"model"}), ({"square8_3p": ["square8_4p"]}, {"bootstrap"}), _GAME_BY_GAME
    ),
    "selfplay.hot_reload": Case(
        _players,
        (True, {"bootstrap", "model"}),
        (False, {"bootstrap"}),
        _GAME_BY_GAME,
    ),
    "training.trigger_threshold_games": Case(_is_due, (3, True), (4, False), {"training.min_interval_seconds": 0}),
    "training.trigger_threshold_rows": Case(
        _is_due, (120, True), (121, False), {"training.min_interval_seconds": 0, "training.trigger_threshold_games": 9}
    ),
    "training.min_interval_seconds": Case(_is_due, (50, True), (150, False), {"training.trigger_threshold_games": 3}),
    "training.min_interval_core_seconds": Case(  # a game costs .149 s
        _is_due, (0.4, True), (0.5, False), {"training.min_interval_seconds": 0, "training.trigger_threshold_games": 3}
    ),
    "training.window_rows_min": Case(_window_rows(0), (20_000, 20_000), (500, 500)),
    "training.window_rows_max": Case(_window_rows(10**9), (300_000, 300_000), (400_000, 400_000)),
    "training.window_growth_exponent": Case(_window_rows(160_000), (1.0, 160_000), (0.5, 56_568)),
    "training.samples_per_row": Case(_scheduled("steps"), (2.0, 79), (4.0, 157)),
    "training.batch_size": Case(_scheduled("steps"), (256, 79), (128, 157)),
    "training.learning_rate": Case(_scheduled("rate"), (2e-3, 2e-3), (3e-3, 3e-3)),
    "training.learning_rate_final": Case(_scheduled("rate_final"), (5e-4, 5e-4), (1e-4, 1e-4)),
    "training.weight_decay": Case(_size_of_weights, (1.0, SMALLER), (0.0, LARGER)),
    "training.warmup_steps": Case(_scheduled("warmup", cold=True), (50, 50), (60, 60)),
    "training.gradient_clip": Case(_way_of_weights, (1e-12, SMALLER), (1.0, LARGER), {"training.weight_decay": 0.0}),
    "training.validation_fraction": Case(_validation_rows, (0.2, SMALLER), (0.7, LARGER)),
    "training.blocks": Case(_architecture, (1, "b1c32"), (3, "b3c32"), {"training.channels": 32}),
    "training.channels": Case(_architecture, (16, "b2c16"), (24, "b2c24"), {"training.blocks": 2}),
    "training.ema_decay": Case(_scheduled("ema_decay"), (0.999, 0.999), (0.9, 0.9)),
    "training.checkpoint_seconds": Case(_checkpoints, (1, 10), (86_400, 1)),
    "training.threads": Case(_threads, (1, 1), (2, 2)),
    "training.value_outcome_share": Case(_values_between(bootstrap=False), (1.0, False), (0.0, True)),
    "training.bootstrap_outcome_share": Case(_values_between(bootstrap=True), (1.0, False), (0.0, True)),
    "training.surprise_share": Case(_most_draws, (0.0, SMALLER), (0.5, LARGER)),
    "training.max_concurrent_jobs": Case(
        lambda bench: places(parse_inventory(HOSTS, "hosts.yaml"), bench.config.training), (0, 1), (3, 3)
    ),
    "training.stuck_after_seconds": Case(_stuck, (4000, ["stuck"]), (6000, [])),
    **{f"training.loss.{part}": _loss_case(part) for part in ("policy", "value", "owner", "score", "moves_left")},
    "evaluation.shadow_interval_seconds": Case(_schedule("ringrift_shadow_tournament"), (300, 300.0), (900, 900.0)),
    "evaluation.shadow_games_per_config": Case(_shadow_games, (15, 16), (6, 6)),
    "evaluation.shadow_cores": Case(
        lambda bench: affordable(bench.config, VARIANT, 60.0, variants=2), (0.25, 16), (0.05, 6)
    ),
    "evaluation.full_tournament_interval_seconds": Case(
        lambda bench: (_schedule("ringrift_full_tournament")(bench), budget_s(bench.config)),
        (3600, (3600.0, 300.0)),
        (600, (600.0, 150.0)),
    ),
    "evaluation.simulations": Case(
        lambda bench: evaluation_search(bench.config).identity(),
        (16, "gumbel16,considered=4"),
        (64, "gumbel64,considered=4"),
    ),
    "evaluation.considered_moves": Case(
        lambda bench: evaluation_search(bench.config).identity(),
        (4, "gumbel16,considered=4"),
        (8, "gumbel16,considered=8"),
    ),
    "evaluation.opening_random_plies": Case(_opening, (4, SMALLER), (40, LARGER)),
    "inference.int8": Case(_precision, ("never", "float32"), ("always", "int8")),
    "promotion.auto_promote": Case(_decided(), (True, "promoted"), (False, "deferred")),
    "promotion.require_approval": Case(_decided(), (False, "promoted"), (True, "deferred")),
    "promotion.elo_threshold": Case(_decided(), (45.0, "promoted"), (46.0, "rejected")),
    "promotion.min_games": Case(_decided(), (200, "promoted"), (201, "rejected")),
    "promotion.regression_test": Case(_decided(by_gate=False), (True, "rejected"), (False, "promoted")),
    "promotion.cooldown_seconds": Case(_decided(moved_s=500.0), (500, "promoted"), (501, "deferred")),
    "promotion.max_promotions_per_day": Case(_decided(promoted=3), (4, "promoted"), (3, "deferred")),
    "promotion.early_generator": Case(_generates, (True, True), (False, False)),
    "promotion.auto_rollback": Case(_rolled_back, (True, True), (False, False)),
    "promotion.confidence": Case(_judged, (0.9, True), (0.99, False), {"promotion.elo_threshold": 0.0}),
    "promotion.looks": Case(_blocks_of_looks, ([100, 200], [50, 100]), ([300], [150])),
    "curriculum.adaptive": Case(_weight(1.0, old=1.4), (True, 1.19), (False, 1.0)),
    "curriculum.rebalance_interval_seconds": Case(
        _schedule("ringrift_curriculum_rebalance"), (3600, 3600.0), (600, 600.0)
    ),
    "curriculum.max_weight_multiplier": Case(_weight(0.0, old=9.0), (1.5, 1.5), (2.0, 2.0)),
    "curriculum.min_weight_multiplier": Case(_weight(1.0, old=0.01), (0.7, 0.7), (0.5, 0.5)),
    "curriculum.ema_alpha": Case(_weight(0.35), (0.3, 1.075), (1.0, 1.25)),
    "curriculum.min_games_for_weight": Case(_moved, (100, True), (101, False)),
    "regression.hard_block": Case(_promoted_in_spite, (True, "rejected"), (False, "promoted")),
    "regression.timeout_seconds": Case(_gate_limit, (600, SMALLER), (3000, LARGER)),
    "regression.max_inference_ms": Case(_quick_enough, (60_000.0, True), (1e-6, False)),
    "regression.games": Case(_gate_games, (100, 40), (7, 2)),
    "regression.min_win_rate_random": Case(
        _beats("random"), ({2: 0.5, 3: 0.5, 4: 0.5}, True), ({2: 0.95, 3: 0.5, 4: 0.5}, False)
    ),
    "regression.min_win_rate_heuristic": Case(
        _beats("heuristic"), ({2: 0.5, 3: 0.5, 4: 0.5}, True), ({2: 0.95, 3: 0.5, 4: 0.5}, False)
    ),
    **{
        f"retention.{kind}_{unit}": Case(_kept(name, place), (20.0, SMALLER), (40.0, LARGER))
        for kind, name in (
            ("segments", retention.SEGMENTS),
            ("training", retention.TRAINING),
            ("models", retention.MODELS),
            ("logs", retention.LOGS),
        )
        for place, unit in enumerate(("days", "gib"))
    },
    "retention.apply": Case(_deletes, (False, False), (True, True)),
    "retention.airflow_days": Case(_days_of_airflow, (20.0, 20), (40.0, 40)),
    "notifications.notifier": Case(_told, ("", []), ("config_cases.Notified", [({}, "it failed")])),
    "notifications.arguments": Case(
        _told,
        ({"to": "a"}, [({"to": "a"}, "it failed")]),
        ({"to": "b"}, [({"to": "b"}, "it failed")]),
        {"notifications.notifier": "config_cases.Notified"},
    ),
    "selfplay.worker_memory_gb": Case(_memory_of_a_worker, (2.0, 2 << 30), (4.0, 4 << 30)),
    "resource_targets.job_memory_gb": Case(_memory_of_a_command, (2.0, 2.0), (4.0, 4.0)),
    "alerts.loop_down_seconds": _alert_case(300, 4242, "> 4242", "AILoopDown"),
    "alerts.no_task_seconds": _alert_case(300, 4242, "> 4242", "NoTaskStarted"),
    "alerts.no_games_seconds": _alert_case(1800, 4242, "> 4242", "NoGamesSynced"),
    "alerts.no_promotion_seconds": _alert_case(86_400, 90_001, "> 90001", "NoPromotionsIn24h"),
    "alerts.sync_error_share": _alert_case(0.25, 0.77, "> 0.77", "HighSyncErrorRate"),
    "alerts.quarantine_share": _alert_case(0.02, 0.77, "> 0.77", "HighQuarantineRate"),
    "alerts.pending_games": _alert_case(5000, 4242, "> 4242", "GamesPendingThresholdExceeded"),
    "alerts.min_active_hosts": _alert_case(5, 77, "< 77", "LowActiveHosts"),
    "alerts.candidates_without_promotion": _alert_case(10, 77, "77", "GateNeverPasses"),
    "alerts.learning_days": Case(_days_of_a_gain, (3, 3.0), (5, 5.0)),
    "alerts.elo_decline_per_hour": _alert_case(1.0, 7.5, "-7.5", "EloDecline"),
    "alerts.memory_percent": _alert_case(85.0, 77.0, "> 77", "HighMemoryUtilization"),
    "alerts.disk_percent": _alert_case(90.0, 77.0, "> 77", "DiskNearlyFull"),
    **{
        f"resource_targets.{unit}_min": Case(_zone(unit, 55.0), (60.0, "below"), (50.0, "optimal"))
        for unit in ("cpu", "gpu")
    },
    "resource_targets.cpu_target": Case(_duty(cpu=90.0, workers=80.0), (65.0, SMALLER), (75.0, LARGER)),
    "resource_targets.gpu_target": Case(_duty(gpu=95.0, gpu_memory=10.0), (65.0, SMALLER), (80.0, LARGER)),
    "resource_targets.cpu_max": Case(_duty(cpu=99.0, workers=80.0), (80.0, SMALLER), (100.0, LARGER)),
    "resource_targets.gpu_max": Case(_duty(gpu=99.0, gpu_memory=10.0), (85.0, SMALLER), (100.0, LARGER)),
    "resource_targets.cpu_critical": Case(_zone("cpu", 92.0), (90.0, "critical"), (95.0, "above")),
    "resource_targets.gpu_critical": Case(_zone("gpu", 92.0), (90.0, "critical"), (95.0, "above")),
    "resource_targets.gpu_memory_warning": Case(_duty(gpu=50.0, gpu_memory=75.0), (70.0, SMALLER), (80.0, LARGER)),
    "resource_targets.gpu_memory_critical": Case(_duty(gpu=50.0, gpu_memory=85.0), (85.0, SMALLER), (90.0, LARGER)),
    "resource_targets.memory_max": Case(_resting(memory=72.0), (70.0, 1), (80.0, 0)),
    "resource_targets.disk_max": Case(_pressure(disk=72.0), (70.0, SMALLER), (80.0, LARGER)),
    "resource_targets.disk_critical": Case(
        _pressure(disk=88.0), (87.0, SMALLER), (95.0, LARGER), {"resource_targets.disk_max": 80.0}
    ),
    "training.backlog_factor": Case(_pressure(pending={VARIANT: 1800}), (4.0, SMALLER), (10.0, LARGER)),
    "resource_targets.pid.kp": _pid_case("kp", _output(), (0.3, 3.0), (0.5, 5.0)),
    "resource_targets.pid.ki": _pid_case("ki", _output(integral=10.0), (0.0, 10.0), (0.1, 12.0)),
    "resource_targets.pid.kd": _pid_case("kd", _output(before=4.0), (0.0, 10.0), (0.5, 13.0)),
    "resource_targets.pid.gain_scheduling": _pid_case(
        "gain_scheduling", _output(error=20.0), (True, 30.0), (False, 20.0)
    ),
    "resource_targets.pid.output_smoothing": _pid_case(
        "output_smoothing", _output(output=2.0), (0.0, 10.0), (0.5, 6.0)
    ),
}


def small_training(name: str) -> dict[str, object]:
    """The keys of a training that takes a moment, for the cases that train."""
    return {f"training.{key}": value for key, value in TINY_TRAINING.items() if f"training.{key}" != name}


TRAINS = frozenset(
    (
        "training.weight_decay",
        "training.gradient_clip",
        "training.validation_fraction",
        "training.checkpoint_seconds",
        "training.threads",
        "training.value_outcome_share",
        "training.bootstrap_outcome_share",
        "training.surprise_share",
        "inference.int8",
    )
)


def fill(folder: Path, empty_ledger: Path) -> None:
    """Make a run directory with the games that a worker played, taken in by a sync."""
    directory = RunDirectory(folder)
    directory.root.mkdir(parents=True)
    shutil.copy(empty_ledger, directory.root / "ledger.db")
    config = LoopConfig()
    ingestion = replace(config.data_ingestion, min_games_per_sync=1)
    selfplay = replace(config.selfplay, **TINY_GAMES, games_in_parallel=8)
    config = replace(config, data_ingestion=ingestion, selfplay=selfplay)
    ledger = Ledger.open(f"sqlite:///{directory.root / 'ledger.db'}")
    loop = Loop(config, parse_inventory(HOSTS, "hosts.yaml"), directory, ledger, Metrics("127.0.0.1", 9, strict=True))
    host: Host = loop.inventory.hosts["a"]
    embedded = HostDirectory(directory.embedded_host(host.name))
    Worker(WorkerOptions(embedded, VARIANT, 0, games=8, host="a", run="cases"), selfplay).run()
    assert sync_once(loop).games_new == 8
    ledger.close()
