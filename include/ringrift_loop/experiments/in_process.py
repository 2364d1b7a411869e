"""The loop in one process tree, without Airflow: the stages of the DAGs one after the other, for one variant at a time.

Every step looks at the ledger and does what is missing: games, a training, the gates. So a run that was killed goes on
where it was. What a step costs, in seconds of cores, is booked when it ends, by an error or Ctrl-C as well; what one
that was killed had cost is not known, though the games that it sealed and the checkpoint of its training count.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from ringrift_loop.checked_json import Count, Document, File, Seconds, VariantName, parse
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.config import load_config
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import ConfigError, GateError, LoopError
from ringrift_loop.experiments.record import Point
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import RunDirectory, sqlite_url
from ringrift_loop.ledger import games, leases, models, promotions, run_directory, training
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.loop import Loop
from ringrift_loop.machine.files import open_plain, write_whole
from ringrift_loop.machine.locks import locked
from ringrift_loop.machine.processes import end_group, spawn
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.promotion.promote import promote
from ringrift_loop.promotion.regression import run_gate
from ringrift_loop.ratings.refit import refit
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.status.overview import champion_rating
from ringrift_loop.training.claim import claim_for_run, settle
from ringrift_loop.training.train import train
from ringrift_loop.views.learning import note_learning

_log = logging.getLogger(__name__)

HOST = "here"
PROGRESS: Final = "progress.json"
PACE: Mapping[str, str] = {
    "data_ingestion.min_games_per_sync": "1",
    "training.min_interval_seconds": "0",
    "training.min_interval_core_seconds": "30",
    "promotion.auto_promote": "true",
    "promotion.require_approval": "false",
    "promotion.cooldown_seconds": "0",
    "promotion.max_promotions_per_day": "86400",
    "statsd_port": "9",
}
"""Pauses by the clock mean nothing where every step follows the last one, so self-play's share is kept by what it costs
(docs/log.md, 2026-11-29, "many short trainings"); and nobody collects the metrics."""
_MAX_PROGRESS_BYTES = 16 << 20
_MOST_POINTS = 1000
_GRACE_S = 5.0


class VariantProgress(Document, frozen=True):
    """What a variant has cost, and where it stood after each of its cycles."""

    core_seconds: dict[str, Seconds] = msgspec.field(default_factory=dict)
    """By stage: selfplay, training, gates."""
    points: Annotated[tuple[Point, ...], Meta(max_length=_MOST_POINTS)] = ()

    @property
    def total(self) -> float:
        """Core-seconds of all stages."""
        return sum(self.core_seconds.values())


class Progress(File, frozen=True):
    """What a run directory remembers beside its ledger."""

    steps: Count = 0
    """That have begun: seeds of games and names of trainings come from it, so that no step repeats another's."""
    variants: dict[VariantName, VariantProgress] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class InProcess:
    """A loop that is driven step by step."""

    loop: Loop
    seed: str
    """Of the games; another one, other games."""
    environment: Mapping[str, str]
    """Of worker processes: the run's settings."""
    workers: int = 1
    """Self-play processes; one plays in this process."""

    def progress(self) -> Progress:
        """What the run has done so far.

        Raises:
            DataError: the file is not what the program writes.
        """
        try:
            with open_plain(self._file) as file:
                return parse(file.read(_MAX_PROGRESS_BYTES), Progress, f"the progress {self._file}")
        except FileNotFoundError:
            return Progress()

    def of(self, variant: str) -> VariantProgress:
        """What a variant has cost so far."""
        return self.progress().variants.get(variant, VariantProgress())

    def drive(self, variant: str, *, seconds: float = math.inf, most_games: int | None = None) -> Iterator[str]:
        """Step until the variant's budget is used; yields each stage when it is done.

        A candidate whose training is paid for is judged, also when that takes a little more.

        Args:
            variant: of the loop's configuration.
            seconds: core-seconds, those of before included.
            most_games: self-play games that the variant may have in all.
        """
        while self.of(variant).total < seconds or _waiting_candidate(self.loop, variant) is not None:
            stage = self.step(variant, most_games=most_games)
            if stage is None:
                return
            yield stage

    def step(self, variant: str, *, most_games: int | None = None) -> str | None:
        """Do the next thing that is missing, and book what it cost.

        Args:
            variant: of the loop's configuration.
            most_games: self-play games that the variant may have in all.

        Returns:
            `selfplay`, `training` or `gates`; None when there is nothing to do within the games that are left.
        """
        stage = self._next(variant, most_games)
        if stage is None:
            return None
        progress = self.progress()
        number = progress.steps + 1
        self._write(msgspec.structs.replace(progress, steps=number))
        began = core_seconds()
        try:
            if stage == "selfplay":
                self._play(variant, number, most_games)
            elif stage == "training":
                self._train(variant, number)
            else:
                self._judge(variant)
        finally:  # what was played and trained until then counts as well
            self._book(variant, stage, core_seconds() - began)
        return stage

    def _next(self, variant: str, most_games: int | None) -> str | None:
        with self.loop.ledger.read() as conn:
            if _waiting_candidate(self.loop, variant) is not None:
                return "gates"
            enough = self._games_wanted(conn, variant)
            if training.active(conn, variant) is not None or games.pending(conn, variant) >= enough:
                return "training"
            left = None if most_games is None else most_games - games.count(conn, variant)
        return "selfplay" if left is None or left > 0 else None

    def _games_wanted(self, conn: Connection, variant: str) -> int:
        """New games that the next training waits for, `training.min_interval_core_seconds` among what it asks for."""
        settings, played = self.loop.config.training, games.count(conn, variant)
        least, cost = settings.min_interval_core_seconds, self.of(variant).core_seconds.get("selfplay", 0.0)
        if least <= 0 or cost <= 0 or played == 0 or models.latest(conn, variant) is None:
            return settings.trigger_threshold_games
        return max(settings.trigger_threshold_games, math.ceil(least * played / cost))

    def _play(self, variant: str, number: int, most_games: int | None) -> None:
        """Games up to the next training; the hosts' models are brought up to date first."""
        sync_once(self.loop)
        with self.loop.ledger.read() as conn:
            missing = self._games_wanted(conn, variant) - games.pending(conn, variant)
            if most_games is not None:
                missing = min(missing, most_games - games.count(conn, variant))
        if missing <= 0:
            return
        host = local_directory(self.loop.inventory.hosts[HOST], self.loop.directory)
        seed = f"{self.seed}/{variant}/{number}"
        if self.workers == 1:
            options = WorkerOptions(host, variant, 0, games=missing, host=HOST, run=seed)
            Worker(options, self.loop.config.selfplay).run()
        else:
            self._play_in_children(variant, seed, host.root, missing)
        sync_once(self.loop)

    def _play_in_children(self, variant: str, seed: str, root: Path, number: int) -> None:
        shares = [number // self.workers + (slot < number % self.workers) for slot in range(self.workers)]
        self.loop.directory.logs.mkdir(parents=True, exist_ok=True)
        children = []
        try:
            for slot, share in enumerate(shares):
                if share == 0:
                    continue
                command = [sys.executable, "-m", "ringrift_loop.cli", "selfplay", "--root", str(root)]
                command += ["--variant", variant, "--slot", str(slot), "--games", str(share), "--host", HOST]
                command += ["--run-id", f"{seed}/{slot}"]
                with (self.loop.directory.logs / f"selfplay-{slot}.log").open("ab") as log:
                    children.append(spawn(command, env=self.environment, stdout=log))
            failed = [child.args for child in children if child.wait() != 0]
        finally:
            for child in children:
                if child.poll() is None:
                    end_group(child.pid, grace_s=_GRACE_S)
        if failed:
            raise LoopError(f"{len(failed)} self-play workers failed; see {self.loop.directory.logs}")

    def _train(self, variant: str, number: int) -> None:
        with self.loop.ledger.read() as conn:
            active = training.active(conn, variant)
        run_id = active.id if active else claim_for_run(self.loop, [variant], key=f"{self.seed}/{number}").run_id
        train(self.loop, run_id)
        settle(self.loop, run_id)

    def _judge(self, variant: str) -> None:
        """Both gates, the decision, and the ratings; a candidate without a verdict in time is rejected."""
        digest = _waiting_candidate(self.loop, variant)
        assert digest is not None
        try:
            if self.loop.config.promotion.regression_test:
                run_gate(self.loop, digest, variant, candidate=True).require()
            champion_gate(self.loop, digest)
            record = promote(self.loop, digest)
            if record.status == "deferred":
                raise ConfigError(
                    f"{variant}: {digest[:12]} waits for a decision that nobody makes here: {record.reason}. What is "
                    "driven in one process decides at once: leave promotion.auto_promote, promotion.require_approval, "
                    "promotion.cooldown_seconds and promotion.max_promotions_per_day as they are"
                )
        except GateError as error:
            with self.loop.ledger.begin() as conn:
                if not promotions.of_model(conn, digest):
                    promotions.reject(
                        conn, variant, digest, reason=str(error), elo_gain=None, games=0, at=self.loop.clock()
                    )
        with contextlib.suppress(LoopError):  # without any match there is nothing to rate
            refit(self.loop, variant)
        note_learning(self.loop)

    def _book(self, variant: str, stage: str, seconds: float) -> None:
        progress = self.progress()
        own = progress.variants.get(variant, VariantProgress())
        costs = {**own.core_seconds, stage: own.core_seconds.get(stage, 0.0) + seconds}
        points = own.points
        if stage == "gates":
            points = (*points, self._point(variant, sum(costs.values())))[-_MOST_POINTS:]
        variants = {**progress.variants, variant: VariantProgress(costs, points)}
        self._write(msgspec.structs.replace(progress, variants=variants))
        _log.info("%s: %s took %.1f core-seconds, %.0f in all", variant, stage, seconds, sum(costs.values()))

    def _point(self, variant: str, cost: float) -> Point:
        with self.loop.ledger.read() as conn:
            champion = promotions.champion(conn, variant)
            rating = None if champion is None else champion_rating(conn, variant, champion.model_digest)
            return Point(
                core_seconds=round(cost, 1),
                games=games.count(conn, variant),
                generation=0 if champion is None else champion.generation,
                elo=None if rating is None else round(rating.elo, 1),
                stderr=None if rating is None else round(rating.stderr, 1),
            )

    @property
    def _file(self) -> Path:
        return self.loop.directory.root / PROGRESS

    def _write(self, progress: Progress) -> None:
        write_whole(self._file, msgspec.json.encode(progress) + b"\n")


def core_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


@contextmanager
def in_process(
    root: Path,
    variants: tuple[str, ...],
    settings: Mapping[str, str],
    *,
    seed: str,
    config_path: Path | None = None,
    workers: int = 1,
) -> Iterator[InProcess]:
    """Open a run directory for one process tree; made where it is missing, gone on with where it was begun.

    Kernels are compiled here if nobody has done so: no run pays for them.

    Args:
        root: the run directory.
        variants: that may be played.
        settings: keys of the configuration with their values as YAML, over those of the file and the environment.
        seed: of the games.
        config_path: the configuration; by default as everywhere.
        workers: self-play processes.

    Raises:
        ConfigError: a key or a value is wrong.
        BlockingIOError: another process drives this run directory.
    """
    given = {**PACE, "variants": f"[{', '.join(variants)}]", **settings}
    overrides = {f"RINGRIFT__{key.upper().replace('.', '__')}": value for key, value in given.items()}
    environment = {**os.environ, **overrides}
    config = load_config(config_path, environment)
    host = f"standard_hosts:\n  {HOST}: {{transport: local, role: selfplay, max_workers: {workers}}}\n"
    inventory = parse_inventory(host, "the run's own host")
    if config_path is not None:
        environment["RINGRIFT_CONFIG"] = str(config_path.resolve())
    directory = RunDirectory(root.resolve())
    directory.root.mkdir(parents=True, exist_ok=True)
    compile_kernels()
    compile_selfplay_kernels()
    with locked(directory.root / ".driven", wait_s=0):
        url = sqlite_url(directory.root / "ledger.db")
        migrate(url)
        ledger = Ledger.open(url)
        try:
            loop = Loop(config, inventory, directory, ledger, Metrics.open(config, directory.fleet))
            run_directory.claim(ledger, directory, at=loop.clock())
            with ledger.begin() as conn:
                leases.free_all_abandoned(conn)
            yield InProcess(loop, seed, environment, workers)
        finally:
            ledger.close()


def _waiting_candidate(loop: Loop, variant: str) -> str | None:
    """The newest model that was trained here and that nobody has decided about."""
    with loop.ledger.read() as conn:
        latest = models.latest(conn, variant)
        undecided = latest is not None and latest.training_run is not None
        return latest.digest if latest and undecided and not promotions.of_model(conn, latest.digest) else None
