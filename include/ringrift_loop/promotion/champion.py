"""The champion gate: is the candidate stronger than the champion, and how sure is that?

Candidate and champion play blocks from random openings until a rule that was fixed beforehand decides
(ratings/looks.py); the games are in the match log, so an interrupted gate goes on where it was. A candidate that wins
must also not be significantly weaker than any of the last three champions or the fixed players: a model that beats
the champion and loses to its predecessors goes round in circles.

Hundreds of games are needed to know that a candidate is stronger, but fewer to know that it makes no worse games. So
from the first look at which it wins as often as an equal it generates: self-play plays with it, and what is published
stays the champion.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from ringrift_loop.config import Promotion, config_hash
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import GateError, LedgerError
from ringrift_loop.ledger import gates, leases, models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.blocks import Evidence, block_scores, evidence_of, gain_of
from ringrift_loop.ratings.elo import Difference
from ringrift_loop.ratings.looks import LooksRule, error_rates
from ringrift_loop.ratings.refit import refit
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import baseline_ids, evaluation_search, model_participant
from ringrift_loop.tournament.store import LedgerShelf, completed

_log = logging.getLogger(__name__)

PURPOSE = "champion"
RECENT_CHAMPIONS = 3
_WORSE_Z = 1.645
"""Significantly weaker: the gain is below zero with 95 %, one-sided."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Comparison:
    """The candidate and one other participant, by the pooled ratings."""

    opponent: str
    gain: float
    """Elo."""
    stderr: float
    worse: bool
    """Whether the candidate is significantly weaker."""


@dataclass(frozen=True)
class ChampionReport:
    """The verdict of the champion gate."""

    variant: str
    model_digest: str
    champion_digest: str | None
    """None: the variant had none, and nothing was played."""
    passed: bool
    reasons: tuple[str, ...]
    """What decided, in sentences."""
    games: int
    blocks: int
    gain: float | None
    """Elo over the champion, from their own games."""
    stderr: float | None
    posterior: float | None
    """Probability that the gain is above zero."""
    comparisons: tuple[Comparison, ...]
    error_rates: str
    """How often the rule errs, for people."""
    seconds: float
    config_hash: str | None = None
    """Of the configuration that set the limits; None in reports of earlier versions."""

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ChampionReport:
        """The report that `as_json` wrote down."""
        comparisons = tuple(Comparison(**each) for each in document["comparisons"])
        return cls(**{**document, "reasons": tuple(document["reasons"]), "comparisons": comparisons})


def rule_of(promotion: Promotion) -> LooksRule:
    """The confidence rule that the configuration asks for."""
    return LooksRule(
        looks=promotion.looks,
        confidence=promotion.confidence,
        elo_threshold=promotion.elo_threshold,
        min_games=promotion.min_games,
    )


def champion_gate(loop: Loop, digest: str, *, arena: Arena | None = None) -> ChampionReport:
    """Play the candidate against its variant's champion until the rule decides; record and return the verdict.

    Args:
        loop: the loop.
        digest: a registered model.
        arena: where games are played; default: the rules engine.

    Raises:
        LedgerError: the model is not registered.
        GateError: it is the champion, and not by this gate's verdict, which would stand.
        NoCapacity: another process judges a candidate of the variant, or has taken that over meanwhile.
    """
    with loop.ledger.read() as conn:
        model = models.get(conn, digest)
    if model is None:
        raise LedgerError(f"no model {digest} is registered")
    with leases.hold(loop.ledger, f"champion-gate:{model.variant}", clock=loop.clock) as lease:
        with loop.ledger.read() as conn:
            champion = promotions.champion(conn, model.variant)
            verdict = gates.latest(conn, model_digest=digest, gate=gates.CHAMPION)
        if champion is not None and champion.model_digest == digest:
            if verdict is not None and verdict.passed:
                _log.info("%s has become the champion by its verdict; it stands", digest[:12])
                return ChampionReport.from_json(verdict.report)
            raise GateError(f"{digest[:12]} is the champion of {model.variant}; it cannot be judged against itself")
        if champion is None:
            report = _without_champion(loop, model.variant, digest)
        else:
            report = _contest(loop, model.variant, digest, champion.model_digest, arena or EngineArena(loop))
        _record(loop, report, lease)
    return report


def _without_champion(loop: Loop, variant: str, digest: str) -> ChampionReport:
    reasons = ("the variant has no champion: for the first one the regression gate decides alone",)
    used = config_hash(loop.config)
    return ChampionReport(variant, digest, None, True, reasons, 0, 0, None, None, None, (), "", 0.0, used)


def _contest(loop: Loop, variant: str, digest: str, champion: str, arena: Arena) -> ChampionReport:
    started = loop.clock()
    rule, players = rule_of(loop.config.promotion), variant_of(variant).players
    search = evaluation_search(loop.config)
    one, other = (model_participant(d, variant, search).id for d in (digest, champion))
    rates = error_rates(rule, players).sentence()
    _log.info("champion gate of %s, %s against %s: %s", variant, digest[:12], champion[:12], rates)
    verdict: Literal["accept", "reject", "continue"] = "continue"
    look = -1
    while verdict == "continue":
        look += 1
        blocks = rule.blocks(look, players)
        plans = [paired_block(variant, PURPOSE, one, other, players, seed) for seed in range(blocks)]
        evidence = evidence_of(block_scores(completed(LedgerShelf(loop), arena, plans), one, other), players)
        verdict = rule.judge(look, blocks * players, evidence).verdict
        _log.info("%s after %d games: %s, %s", digest[:12], blocks * players, gain_text(gain_of(evidence)), verdict)
        _let_generate(loop, variant, digest, champion, evidence)
    comparisons = _compare(loop, variant, one)
    worse = [f"significantly weaker than {c.opponent}: {gain_text(c)}" for c in comparisons if c.worse]
    if worse:
        _let_generate(loop, variant, digest, champion, None)
    gain = gain_of(evidence)
    games = blocks * players
    return ChampionReport(
        variant=variant,
        model_digest=digest,
        champion_digest=champion,
        passed=verdict == "accept" and not worse,
        reasons=(_sentence(rule, evidence, look, games, accepted=verdict == "accept"), *worse),
        games=games,
        blocks=blocks,
        gain=float(gain.gain),
        stderr=float(gain.stderr),
        posterior=_posterior(rule, evidence),
        comparisons=comparisons,
        error_rates=rates,
        seconds=loop.clock() - started,
        config_hash=config_hash(loop.config),
    )


def _compare(loop: Loop, variant: str, name: str) -> tuple[Comparison, ...]:
    """The candidate against the last champions and the fixed players, from all games of the variant together."""
    with loop.ledger.read() as conn:
        recent = list(dict.fromkeys(promotions.pointers(conn, variant)))[:RECENT_CHAMPIONS]
    search = evaluation_search(loop.config)
    table = refit(loop, variant)
    others = [*(model_participant(digest, variant, search).id for digest in recent), *baseline_ids(variant)]
    found = [(other, table.difference(name, other)) for other in others if other in table]
    return tuple(
        Comparison(other, seen.gain, seen.stderr, seen.gain + _WORSE_Z * seen.stderr < 0.0) for other, seen in found
    )


def _posterior(rule: LooksRule, evidence: Evidence) -> float:
    return NormalDist().cdf(float(rule.certainty(evidence)))


def _let_generate(loop: Loop, variant: str, digest: str, against: str, evidence: Evidence | None) -> None:
    """Let the candidate make the self-play games if it wins its share or more against the champion, or no longer.

    Only a variant's newest model comes into question, and only beside the champion that it was compared with.
    """
    wanted = loop.config.promotion.early_generator
    fit = wanted and evidence is not None and float(evidence.mean) * evidence.players >= 1.0 - _ROUNDING
    with loop.ledger.begin() as conn:
        champion, newest = promotions.champion(conn, variant), models.latest(conn, variant)
        if champion is None or newest is None or champion.model_digest != against:
            return
        present, at = promotions.generators(conn)[variant].model_digest, loop.clock()
        if fit and digest not in (present, champion.model_digest) and newest.digest == digest:
            promotions.choose_generator(conn, variant, digest, at=at)
            told = f"{digest[:12]} makes the self-play games: it wins its share or more against the champion"
        elif present != champion.model_digest and (not wanted or (present == digest and not fit)):
            promotions.choose_generator(conn, variant, None, at=at)
            told = f"{present[:12]} makes no more self-play games, the champion does again"
        else:
            return
        loop.record(conn, "generator", f"{variant}: {told}", variant=variant)


def _sentence(rule: LooksRule, evidence: Evidence, look: int, games: int, *, accepted: bool) -> str:
    gain, posterior = gain_of(evidence), _posterior(rule, evidence)
    seen = (
        f"{gain_text(gain)} over the champion after {games} games, look {look + 1} of {len(rule.looks)}, "
        f"P(gain > 0) = {posterior:.3f}"
    )
    if accepted:
        return seen
    lacks = []
    if posterior < rule.confidence:
        lacks.append(f"the probability must reach {rule.confidence:g}")
    if gain.gain < rule.elo_threshold:
        lacks.append(f"the gain must reach {rule.elo_threshold:g} Elo")
    if games < rule.min_games:
        lacks.append(f"at least {rule.min_games} games are needed")
    return f"{seen}: {', '.join(lacks) or 'a gain worth having has become implausible'}"


def gain_text(gain: Difference | Comparison) -> str:
    """A gain with its 95 % interval."""
    return f"{gain.gain:+.0f} ± {1.96 * gain.stderr:.0f} Elo"


def _record(loop: Loop, report: ChampionReport, lease: leases.Lease) -> None:
    verdict = "passed" if report.passed else "failed"
    with loop.ledger.begin() as conn:
        lease.check(conn)
        at, digest = loop.clock(), report.model_digest
        document = report.as_json()
        if not gates.add_new(
            conn, report.variant, digest, gates.CHAMPION, passed=report.passed, report=document, at=at
        ):
            return
        message = f"champion gate of {report.variant}: {digest[:12]} {verdict}. {'; '.join(report.reasons)}"
        loop.record(conn, "gate", message, variant=report.variant, model=digest)
    loop.metrics.incr("ringrift_gate_reports_total", config=report.variant, gate=gates.CHAMPION, verdict=verdict)
    loop.metrics.observe("ringrift_gate_duration_seconds", report.seconds, config=report.variant, gate=gates.CHAMPION)
