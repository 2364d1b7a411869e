"""The checks of the loop itself, from its ledger and its metrics endpoint: what stands still, and since when."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping

from ringrift_loop.champions import shipped
from ringrift_loop.champions.card import MOST_WEIGHTS_BYTES, read_card, read_weights
from ringrift_loop.cluster.sync.distribute import reload_status
from ringrift_loop.config import LoopConfig
from ringrift_loop.doctor.findings import FAILED, HERE, OK, SKIPPED, WARNING, Finding, graded
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.launcher.checks import is_of_this_machine
from ringrift_loop.ledger import hosts, models, promotions, quarantine, state, training
from ringrift_loop.loop import Loop
from ringrift_loop.network.nearest import nearest_variants
from ringrift_loop.status.overview import HOST_FAILED_AFTER
from ringrift_loop.text import one_line
from ringrift_loop.tournament.duration import training_limit
from ringrift_loop.training import due

CHECKS = ("halt", "training", "training-run", "failing-hosts", "suspected-hosts", "quarantine", "reload", "champions")
_HEALTH_LIMIT_S = 5.0
_MAX_HEALTH_BYTES = 65536
_LATE_POLLS = 3


def check_halt(loop: Loop) -> Iterator[Finding]:
    """What a person or the rate may have stopped on purpose."""
    with loop.ledger.read() as conn:
        halted, share = state.halted(conn), state.selfplay_share(conn)
    met = "halted by a person" if halted else f"not halted, self-play share {share:g}"
    yield graded(
        "halt",
        HERE,
        met,
        failed=False,
        warning=halted or share == 0,
        right="not halted, a share above 0",
        remedy="ringrift-loop workers resume" if halted else "ringrift-loop workers rate 1",
    )


def check_training(loop: Loop) -> Iterator[Finding]:
    """How far each variant is, and whether its open run takes too long."""
    for wait in due.survey(loop):
        limit_s = training_limit(loop.config, wait.variant)
        start = f'airflow dags trigger ringrift_training --conf \'{{"variant": "{wait.variant}"}}\''
        yield graded(
            "training",
            wait.variant,
            wait.describe(),
            failed=False,
            # The one who waits looks every few seconds: due for longer means that nobody waits.
            warning=wait.is_due,
            right=f"a run starts at {wait.threshold} games (training.trigger_threshold_games, or _rows)",
            remedy=f"unpause ringrift_training_wait if it is paused, or by hand: {start}",
        )
        with loop.ledger.read() as conn:
            run = training.active(conn, wait.variant)
        if run is None:
            yield Finding("training-run", wait.variant, OK, "none is open", f"ends within {limit_s:.0f} s")
            continue
        age_s = loop.clock() - run.started_at
        yield graded(
            "training-run",
            wait.variant,
            f"{run.id} is {run.state} for {age_s:.0f} s",
            failed=age_s > limit_s,
            right=f"ends within {limit_s:.0f} s (training.stuck_after_seconds, more on a larger board)",
            remedy=f"airflow tasks clear ringrift_training; its folder is {loop.directory.training(run.id)}",
        )


def check_failing_hosts(loop: Loop) -> Iterator[Finding]:
    """Every enabled host's failures in a row, and when it is asked again."""
    with loop.ledger.read() as conn:
        rows = {row.name: row for row in hosts.all_hosts(conn)}
    right = "answers every cycle"
    for host in loop.inventory.enabled:
        row = rows.get(host.name)
        if row is None or (row.last_seen_at is None and row.consecutive_failures == 0):
            remedy = f"ringrift-loop sync --host {host.name}"
            yield Finding("failing-hosts", host.name, WARNING, "not contacted yet", right, remedy)
            continue
        ago = "never reached" if row.last_seen_at is None else f"reached {loop.clock() - row.last_seen_at:.0f} s ago"
        if row.consecutive_failures == 0:
            yield Finding("failing-hosts", host.name, OK, ago, right)
            continue
        again_s = max(0.0, row.next_attempt_at - loop.clock())
        met = f"{row.consecutive_failures} failures in a row, {ago}, retried in {again_s:.0f} s"
        yield graded(
            "failing-hosts",
            host.name,
            f"{met}: {one_line(row.last_error or 'no reason is known')}",
            failed=row.consecutive_failures >= HOST_FAILED_AFTER,
            warning=True,
            right=right,
            remedy=f"ringrift-loop doctor --host {host.name}; once fixed: ringrift-loop hosts reset {host.name}",
        )


def check_suspected_hosts(loop: Loop) -> Iterator[Finding]:
    """The hosts whose games are held back from training, each with its reason."""
    with loop.ledger.read() as conn:
        suspected = hosts.suspected(conn)
    right = "every host's games look like those of the others with the same model"
    if not suspected:
        yield Finding("suspected-hosts", HERE, OK, "none", right)
    for name, why in suspected.items():
        remedy = f"see what it runs (ringrift-loop doctor --host {name}); then ringrift-loop hosts trust {name}"
        yield Finding("suspected-hosts", name, FAILED, f"held back from training: {one_line(why)}", right, remedy)


def check_quarantine(loop: Loop) -> Iterator[Finding]:
    """Refused games, with the newest reason."""
    with loop.ledger.read() as conn:
        number, newest = quarantine.count(conn), quarantine.latest(conn, limit=1)
    met = "none" if not newest else f"{number}, the newest from {newest[0].host}: {one_line(newest[0].reason)[:200]}"
    yield graded(
        "quarantine",
        HERE,
        met,
        failed=False,
        warning=number > 0,
        right="every game replays through the rules engine",
        remedy="ringrift-loop ledger events --kind quarantine; of another engine version: ringrift-loop deploy",
    )


def check_reload(loop: Loop) -> Iterator[Finding]:
    """Each variant's workers beside its champion, or the candidate that generates in its place."""
    with loop.ledger.read() as conn:
        champions = promotions.generators(conn)
    for variant in loop.config.variants:
        champion = champions.get(variant)
        if champion is None:
            yield Finding("reload", variant, OK, f"no champion yet: {_first_player(loop, variant, champions)} plays")
            continue
        status = reload_status(loop, champion.model_digest)
        yield graded(
            "reload",
            variant,
            f"generation {champion.generation}: {one_line(status.describe())}",
            failed=False,
            warning=not status.done or bool(status.silent),
            right="every worker plays the champion or the candidate in its place, heard of in the last two minutes",
            remedy=f"ringrift-loop distribute --variant {variant}; silent ones: ringrift-loop workers reconcile",
        )


def _first_player(loop: Loop, variant: str, champions: Collection[str]) -> str:
    """Who plays a variant without a champion, once each host has all champions."""
    selfplay = loop.config.selfplay
    others = nearest_variants(variant, selfplay.lenders) if selfplay.transfer else ()
    return next((f"the champion of {name}" for name in others if name in champions), "the heuristic search")


def check_champions(loop: Loop) -> Iterator[Finding]:
    """What the run began with, and each variant's shipped champion."""
    with loop.ledger.read() as conn:
        choice = state.get(conn, shipped.FIRST_MODELS)
        begun = {name for name in loop.config.variants if models.latest(conn, name) is not None}
    right = "whole, and in a run that begins with it"
    for variant in loop.config.variants:
        folder = shipped.shipped_folder(variant)
        if folder is None:
            yield Finding("champions", variant, OK, "none comes with the package: it begins from nothing")
            continue
        try:
            card = read_card(folder)
            read_weights(folder, card, MOST_WEIGHTS_BYTES)
        except (DataError, ModelError) as error:
            remedy = "install the package again (git checkout include/ringrift_loop/champions), or make run FRESH=1"
            yield Finding("champions", variant, FAILED, one_line(str(error)), right, remedy)
            continue
        if variant in begun:
            met = f"{card.digest[:12]} comes with the package; the run has models of its own"
        elif choice == shipped.NONE:
            met = f"{card.digest[:12]} comes with the package; the run began from nothing, as asked for (FRESH=1)"
        else:
            met = f"{card.digest[:12]} comes with the package; not imported yet"
        waits = variant not in begun and choice != shipped.NONE
        remedy = "make run does it, or: ringrift-loop models begin"
        yield graded("champions", variant, met, failed=False, warning=waits, right=right, remedy=remedy)


def check_next_runs(late: Mapping[str, float]) -> Finding:
    """The periodic stages that would stand still, as Airflow's database has it.

    Args:
        late: seconds until the next run of each DAG that waits for longer than two of its intervals.
    """
    return graded(
        "next-runs",
        HERE,
        one_line("\n".join(f"{dag_id} starts in {wait_s:.0f} s" for dag_id, wait_s in late.items()))
        or "as they should",
        failed=bool(late),
        right="every periodic DAG starts within two of its intervals, whatever this machine's clock did",
        remedy="source run/airflow/environment.sh; airflow dags reserialize",
    )


def check_metrics(config: LoopConfig) -> Iterator[Finding]:
    """The bridge's `/health`: it answers, and stages send."""
    right = f"/health answers on port {config.metrics_port}, with packets from the last few minutes"
    if not is_of_this_machine(config.statsd_host):
        yield Finding("metrics", HERE, SKIPPED, f"packets go to {config.statsd_host}: see Prometheus' page of targets")
        return
    url = f"http://127.0.0.1:{config.metrics_port}/health"
    try:
        document = json.loads(_health_page(url))
        if not isinstance(document, dict) or "seconds_since_packet" not in document:
            raise ValueError("another program answers there")
    except (urllib.error.URLError, OSError, ValueError) as error:
        met = f"{url} does not answer like our bridge: {getattr(error, 'reason', error)}"
        remedy = "ringrift-loop statsd-bridge, part of make run; port taken: change metrics_port"
        yield Finding("metrics", HERE, FAILED, met, right, remedy)
        return
    ago = document["seconds_since_packet"]
    told = isinstance(ago, (int, float))
    yield graded(
        "metrics",
        HERE,
        f"answers, the last packet came {ago:.0f} s ago" if told else "answers, but no packet ever came",
        failed=False,
        warning=not told or ago > _LATE_POLLS * config.data_ingestion.poll_interval_seconds,
        right=right,
        remedy="ringrift-loop sync sends some; statsd_host and statsd_port must name the bridge",
    )


def _health_page(url: str) -> bytes:
    """The page, also when it says with 503 that the loop is unhealthy: the other checks tell of that."""
    try:
        with urllib.request.urlopen(url, timeout=_HEALTH_LIMIT_S) as answer:
            return bytes(answer.read(_MAX_HEALTH_BYTES))
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code != 503:
                raise
            return bytes(refused.read(_MAX_HEALTH_BYTES))
