"""From the match log to the ratings table: the whole fit of a variant, written in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import matches, models, promotions, ratings
from ringrift_loop.ledger.matches import MatchResult, Participant
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.elo import RatingTable, fit
from ringrift_loop.ratings.likelihood import RatedGame


def refit(loop: Loop, variant: str) -> RatingTable:
    """Fit the variant's whole match log and put the result in the place of the last fit.

    The champion's rating joins the rating history.

    Raises:
        LedgerError: the variant has no match.
    """
    with loop.ledger.begin() as conn:
        table = table_of(conn, variant)
        if table is None:
            raise LedgerError(
                f"there is no match of {variant} to rate; play some: ringrift-loop shadow --config {variant}"
            )
        at = loop.clock()
        won, drawn = _won_and_drawn(matches.results(conn, variant))
        rows = [
            RatingRow(
                variant,
                name,
                table.elo(name),
                table.stderr(name),
                table.games[name],
                at,
                wins=won[name],
                draws=drawn[name],
            )
            for name in table.participants
        ]
        champion = promotions.champion(conn, variant)
        kept = [name for name in table.participants if champion and name.startswith(f"{champion.model_digest}|")]
        ratings.replace(conn, variant, rows, keep_history_of=kept)
    return table


def table_of(conn: Connection, variant: str) -> RatingTable | None:
    """The fit of the variant's match log as it stands; None without matches. Writes nothing.

    Until an anchor has played, differences are as good as ever, but the scale floats.
    """
    games = [RatedGame(tuple(result.seats), tuple(result.places)) for result in matches.results(conn, variant)]
    if not games:
        return None
    participants = matches.get_participants(conn, variant)
    anchors = {name: p.anchor_elo for name, p in participants.items() if p.anchor_elo is not None}
    playing = {name for game in games for name in game.seats}
    parents = {model.digest: model.parent_digest for model in models.all_models(conn, variant)}
    return fit(games, anchors=anchors, parents=parents_of((participants[name] for name in sorted(playing)), parents))


def parents_of(participants: Iterable[Participant], parents: Mapping[str, str | None]) -> dict[str, str]:
    """Return each model's nearest ancestor with the same search that plays as well, by participant id.

    Args:
        participants: all that play.
        parents: model digest -> digest it was trained from.
    """
    playing = {p.id: p for p in participants}
    nearest: dict[str, str] = {}
    for name, participant in playing.items():
        digest = participant.model_digest
        seen = {digest}
        while digest is not None:
            digest = parents.get(digest)
            if digest in seen:  # a ledger row that names itself as its ancestor
                break
            seen.add(digest)
            ancestor = f"{digest}|{name.partition('|')[2]}"
            if ancestor in playing:
                nearest[name] = ancestor
                break
    return nearest


def _won_and_drawn(games: Iterable[MatchResult]) -> tuple[Counter[str], Counter[str]]:
    """By participant: the games that one of its seats won, and those that nobody won."""
    won: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    for game in games:
        if game.winner is None:
            drawn.update(set(game.seats))
        else:
            won[game.seats[game.winner - 1]] += 1
    return won, drawn
