"""Whether a variant learns, what that costs, and which check failed when it does not.

One account of it, for the page, `ringrift-loop status`, the metrics, the alert and the history. Gains are those of one
fit of the ratings: the present champion's over that of `alerts.learning_days` ago, or over the variant's first. Costs
are core-hours of self-play, trainings and gates since then; tournaments that only measure are not among them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.json_value import JsonValue, number
from ringrift_loop.ledger import games as games_table
from ringrift_loop.ledger import gates, promotions, ratings, state
from ringrift_loop.ledger.schema import games, gate_reports, models, training_runs
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.loop import Loop
from ringrift_loop.status.overview import Overview, VariantOverview, read_overview
from ringrift_loop.text import clean, counted, span
from ringrift_loop.training.selfplay_cost import game_s

CHECKS = ("games", "trainings", "gates", "ratings")
"""In the order of the loop: of several that fail, the first is the cause that is told."""
EVENT = "learning"
_STATE = "learning:{variant}"  # the check that failed last, as far as the history knows
_STILL_S = 6 * 3600.0  # without a game, or with games that nobody trains on
_FAILED_TRAININGS = 3  # in a row
_OVERFIT = 3  # trainings in a row with the report's alarm
_SHOWN_TESTS = 3
_Z95 = 1.959964
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Learning:
    """One variant. Elo with half the width of its 95 % interval; None while it is not known."""

    variant: str
    since: float | None
    """When the champion that the present one is compared with was promoted, or the window's beginning, UTC seconds."""
    gain: float | None
    """Of the present champion over that one, Elo."""
    gain_interval: float | None
    core_hours: float | None
    """Spent since then."""
    elo_per_core_hour: float | None
    elo_per_core_hour_interval: float | None
    projection: float | None
    """Elo that the next day brings if the ratings go on as in the last one."""
    projection_interval: float | None
    failed_check: str | None
    """One of CHECKS; None while the variant learns, or while it is too early to say."""
    sentence: str
    """For people."""

    def as_json(self) -> dict[str, JsonValue]:
        """The account as a JSON object."""
        return dict(vars(self))


def read_learning(conn: Connection, config: LoopConfig, overview: Overview) -> tuple[Learning, ...]:
    """The account of every variant.

    Args:
        conn: the transaction that the overview was read in.
        config: limits.
        overview: the loop as it is.
    """
    return tuple(_learning(conn, config, overview, found) for found in overview.variants)


def note_learning(loop: Loop) -> tuple[Learning, ...]:
    """Publish every variant's account, and tell the history when a check begins to fail, or fails no more.

    A loop that does not run, or was halted, learns nothing for that reason alone: it is published, and not told.
    """
    names = [host.name for host in loop.inventory.enabled]
    with loop.ledger.read() as conn:
        overview = read_overview(conn, loop.config, names, now=loop.clock())
        found = read_learning(conn, loop.config, overview)
        told = {one.variant: state.get(conn, _STATE.format(variant=one.variant)) for one in found}
    for one in found:
        for check in CHECKS:
            loop.metrics.gauge(
                "ringrift_learning_check_failed", float(check == one.failed_check), config=one.variant, check=check
            )
        if one.elo_per_core_hour is not None:
            loop.metrics.gauge("ringrift_elo_per_core_hour", one.elo_per_core_hour, config=one.variant)
    news = [one for one in found if one.failed_check != told[one.variant]]
    if news and not overview.halted:
        with loop.ledger.begin() as conn:
            for one in news:
                key = _STATE.format(variant=one.variant)
                if one.failed_check == state.get(conn, key):  # another process has told of it
                    continue
                state.put(conn, key, one.failed_check, at=loop.clock())
                loop.record(conn, EVENT, one.sentence, variant=one.variant, check=one.failed_check)
    return found


def _learning(conn: Connection, config: LoopConfig, overview: Overview, found: VariantOverview) -> Learning:
    since, gain, interval = _gain(conn, config, found, overview.at)
    cost = None if since is None else core_hours(conn, config, found.variant, since=since, now=overview.at)
    failed = _failed(conn, config, overview, found, since, gain, interval)
    per_hour, per_hour_interval = (None if part is None or not cost else part / cost for part in (gain, interval))
    return Learning(
        variant=found.variant,
        since=since,
        gain=gain,
        gain_interval=interval,
        core_hours=cost,
        elo_per_core_hour=per_hour,
        elo_per_core_hour_interval=per_hour_interval,
        projection=None if found.elo_trend is None else _DAY_S / 3600 * found.elo_trend,
        projection_interval=(None if found.elo_trend_stderr is None else _DAY_S / 3600 * _Z95 * found.elo_trend_stderr),
        failed_check=None if failed is None else failed[0],
        sentence=failed[1] if failed else _good(found, gain, interval, cost, since, overview.at),
    )


def core_hours(conn: Connection, config: LoopConfig, variant: str, *, since: float, now: float) -> float:
    """What a variant has cost since a time: self-play, trainings and gates, in hours of one core.

    Games count with the time that the workers say they compute for one, or with what the benchmark has measured.
    """
    played = conn.execute(
        select(func.count()).where(games.c.variant == variant, games.c.ingested_at > since).select_from(games)
    ).scalar_one()
    runs = training_runs.c
    reports = conn.execute(select(runs.report).where(runs.variant == variant, runs.finished_at > since)).scalars()
    trained = sum(_number(report, "seconds") for report in reports) * config.training.threads
    judged = gate_reports.c
    verdicts = conn.execute(select(judged.report).where(judged.variant == variant, judged.created_at > since)).scalars()
    seconds = played * game_s(conn, config, variant) + trained + sum(_number(one, "seconds") for one in verdicts)
    return seconds / 3600.0


def _number(document: object, key: str) -> float:
    return (number(document.get(key)) if isinstance(document, Mapping) else None) or 0.0


def _gain(
    conn: Connection, config: LoopConfig, found: VariantOverview, now: float
) -> tuple[float | None, float | None, float | None]:
    """Since when, how much, and how sure: the present champion over that of `alerts.learning_days` ago, or the first.

    Of a variant whose champion has not changed since, only the beginning of the window is known; of one without a
    champion, its first candidate's time.
    """
    begin = now - _DAY_S * config.alerts.learning_days
    columns = decisions.c
    query = (
        select(columns.model_digest, columns.created_at)
        .where(columns.variant == found.variant, columns.status.in_((promotions.PROMOTED, promotions.ROLLED_BACK)))
        .order_by(columns.id)
    )
    moves = [(row.model_digest, row.created_at) for row in conn.execute(query)]
    if not moves:
        first = conn.execute(select(func.min(models.c.created_at)).where(models.c.variant == found.variant)).scalar()
        return first, None, None
    earlier = [move for move in moves if move[1] <= begin] or moves[:1]
    old_digest, promoted_at = earlier[-1]
    since = max(begin, promoted_at)
    # Best first: a model that was rated with several searches counts with its best.
    table = {row.participant.partition("|")[0]: row for row in reversed(ratings.table(conn, found.variant))}
    old, new = table.get(old_digest), table.get(moves[-1][0])
    if old is None or new is None or old.participant == new.participant:
        return since, None, None
    return since, new.elo - old.elo, _Z95 * math.hypot(new.stderr, old.stderr)


def _failed(
    conn: Connection,
    config: LoopConfig,
    overview: Overview,
    found: VariantOverview,
    since: float | None,
    gain: float | None,
    interval: float | None,
) -> tuple[str, str] | None:
    """The first check that fails, with its sentence; None while none does."""
    complaints = {
        "games": _no_games(conn, overview, found),
        "trainings": _no_training(conn, overview, found),
        "gates": _no_promotion(conn, config, found),
        "ratings": _no_gain(config, overview, found, since, gain, interval),
    }
    for check in CHECKS:
        if complaints[check] is not None:
            return check, f"{found.variant} does not learn: {clean(complaints[check] or '')}"
    return None


def _no_games(conn: Connection, overview: Overview, found: VariantOverview) -> str | None:
    if not overview.runs or overview.free_since is None or found.games_pending >= found.threshold:
        return None
    last = conn.execute(select(func.max(games.c.ingested_at)).where(games.c.variant == found.variant)).scalar()
    still = overview.at - max(overview.free_since, last or 0.0)
    if still < _STILL_S:
        return None
    ago = "none ever came" if last is None else f"the last came {span(overview.at - last)} ago"
    return f"no games come in: {ago}, {found.workers_playing} of {found.workers_assigned} workers play it"


def _no_training(conn: Connection, overview: Overview, found: VariantOverview) -> str | None:
    runs = training_runs.c
    query = select(runs.state, runs.error).where(runs.variant == found.variant).order_by(runs.started_at.desc())
    last = conn.execute(query.limit(_FAILED_TRAININGS)).all()
    if len(last) == _FAILED_TRAININGS and all(row.state == "failed" for row in last):
        return f"its last {_FAILED_TRAININGS} trainings failed, the newest with: {last[0].error}"
    if not overview.runs or overview.free_since is None or found.training_started_at is not None:
        return None
    enough_at = games_table.pending_since(conn, found.variant, found.threshold)
    if enough_at is None:
        return None
    still = overview.at - max(overview.free_since, found.last_training_at or 0.0, enough_at)
    if still < _STILL_S:
        return None
    return f"nobody trains it: {found.games_pending} games wait, {found.threshold} are enough, for {span(still)}"


def _no_promotion(conn: Connection, config: LoopConfig, found: VariantOverview) -> str | None:
    if found.candidates < config.alerts.candidates_without_promotion:
        return None
    query = (
        select(models.c.digest)
        .where(models.c.variant == found.variant, models.c.created_at > (found.last_promotion_at or 0.0))
        .order_by(models.c.generation.desc())
    )
    failed: Counter[str] = Counter()
    for digest in conn.execute(query).scalars():
        regression = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
        contest = gates.latest(conn, model_digest=digest, gate=gates.CHAMPION)
        if regression is not None and not regression.passed:
            failed.update(_failed_tests(regression.report))
        elif contest is not None and not contest.passed:
            failed["the champion gate"] += 1
        else:
            failed["no verdict"] += 1
    shown = ", ".join(f"{name} ({number})" for name, number in failed.most_common(_SHOWN_TESTS))
    text = f"{found.candidates} candidates in a row were not promoted; what stopped them: {shown}"
    return f"{text}{_overfit(conn, found.variant)}"


def _failed_tests(report: Mapping[str, JsonValue]) -> list[str]:
    tests = report.get("tests")
    return [
        str(test.get("name"))
        for test in (tests if isinstance(tests, list) else [])
        if isinstance(test, dict) and not test.get("passed")
    ]


def _overfit(conn: Connection, variant: str) -> str:
    runs = training_runs.c
    query = select(runs.report).where(runs.variant == variant, runs.state == "succeeded")
    reports = conn.execute(query.order_by(runs.finished_at.desc()).limit(_OVERFIT)).scalars().all()
    if len(reports) == _OVERFIT and all(isinstance(one, dict) and one.get("overfit_alarm") for one in reports):
        gap = _number(reports[0], "overfit_gap")
        return f"; its last {_OVERFIT} trainings overfit: validation value loss is {gap:.3f} above training"
    return ""


def _no_gain(
    config: LoopConfig,
    overview: Overview,
    found: VariantOverview,
    since: float | None,
    gain: float | None,
    interval: float | None,
) -> str | None:
    """New champions that are no stronger than the old one, for long enough."""
    days = config.alerts.learning_days
    if gain is None or interval is None or since is None or overview.at - since < _DAY_S * days:
        return None
    if gain > interval or found.models < config.alerts.candidates_without_promotion:
        return None
    return (
        f"in {days} days its champion has gained {gain:+.0f} ± {interval:.0f} Elo, which noise explains, although "
        f"candidates were promoted"
    )


def _good(
    found: VariantOverview,
    gain: float | None,
    interval: float | None,
    cost: float | None,
    since: float | None,
    now: float,
) -> str:
    if found.champion is None:
        return f"{found.variant} has no champion yet: {counted(found.candidates, 'candidate')} so far"
    if gain is None or interval is None or since is None:
        return f"{found.variant}: too early to say, its champion is the first one that is rated"
    text = f"{found.variant} has gained {gain:+.0f} ± {interval:.0f} Elo in {span(now - since)}"
    if cost:
        text += f", for {cost:.1f} core-hours: {gain / cost:+.1f} ± {interval / cost:.1f} an hour"
    if found.elo_trend is not None and found.elo_trend_stderr is not None:
        hours = _DAY_S / 3600
        more, width = hours * found.elo_trend, hours * _Z95 * found.elo_trend_stderr
        text += f"; another day like the last would bring {more:+.0f} ± {width:.0f}"
    return text
