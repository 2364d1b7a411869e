"""Whom a person can play against, and who gives an opinion of a position: champions, earlier ones and baselines."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions, ratings
from ringrift_loop.ledger.schema import promotions as decisions
from ringrift_loop.views.person_rating import opponent_id
from ringrift_loop.views.play import OPPONENTS, WITHOUT_SEARCH
from ringrift_loop.views.records import Opponent, Opponents

_EARLIER = 20
SEARCHING_BASELINE = "heuristic-search"


def find_opponents(conn: Connection, config: LoopConfig, directory: RunDirectory, variant: str) -> Opponents:
    """Everybody whose files are here."""
    champion = promotions.champion(conn, variant)
    query = (
        select(decisions.c.model_digest)
        .where(decisions.c.variant == variant, decisions.c.status != promotions.REJECTED)
        .order_by(decisions.c.created_at.desc(), decisions.c.id.desc())
    )
    promoted = list(dict.fromkeys(conn.execute(query).scalars()))
    if champion is not None:
        promoted = [champion.model_digest, *(digest for digest in promoted if digest != champion.model_digest)]
    here = [digest for digest in promoted[: 4 * _EARLIER] if directory.model(digest).is_dir()][: 1 + _EARLIER]
    simulations, considered = config.evaluation.simulations, config.evaluation.considered_moves
    rated = {row.participant: row for row in ratings.table(conn, variant)}
    found = []
    for spec in [*here, *reversed(OPPONENTS)]:
        row = rated.get(opponent_id(spec, variant, simulations, considered))
        model = models.get(conn, spec) if spec not in OPPONENTS else None
        found.append(
            Opponent(
                spec=spec,
                generation=None if model is None else model.generation,
                champion=champion is not None and spec == champion.model_digest,
                searches=spec not in WITHOUT_SEARCH,
                elo=None if row is None else row.elo,
                stderr=None if row is None else row.stderr,
            )
        )
    return Opponents(variant, simulations, found)


def adviser_of(conn: Connection, directory: RunDirectory, variant: str) -> str:
    """Who is asked about a position of a variant: its champion if its files are here, else the heuristic's search."""
    champion = promotions.champion(conn, variant)
    if champion is not None and directory.model(champion.model_digest).is_dir():
        return champion.model_digest
    return SEARCHING_BASELINE
