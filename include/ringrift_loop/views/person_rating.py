"""How strong a person is, by the games of the page Play against opponents whose rating is known.

Not a part of the ledger's fit. That one takes every participant as equally strong in all its games; a person learns,
tires and tries things out, so the games of one who has beaten generation 12 and had lost against generation 3 would
draw those two apart. Here the opponents' ratings stand as they were last fitted, their errors left out, and only the
person's is looked for. Games with hints or moves taken back are not counted, nor those against an unrated opponent.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from ringrift_loop.engine.moves import KIND_NAMES, SW
from ringrift_loop.ledger import ratings
from ringrift_loop.ratings.elo import fit
from ringrift_loop.ratings.likelihood import RatedGame
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.participants import DIGEST, baseline_id, model_participant
from ringrift_loop.views.play import PlayFile
from ringrift_loop.views.records import PERSON, PersonRating

_SWAP = KIND_NAMES[SW]


def person_ratings(conn: Connection, login: str, files: Iterable[PlayFile]) -> list[PersonRating]:
    """A person's rating in each variant in which a game has ended, by name."""
    by_variant: dict[str, list[PlayFile]] = {}
    for file in files:
        by_variant.setdefault(file.variant, []).append(file)
    return [_rating(conn, f"person:{login}", variant, by_variant[variant]) for variant in sorted(by_variant)]


def opponent_id(spec: str, variant: str, simulations: int, considered: int) -> str:
    """The participant that an opponent is with a search, as ratings name it."""
    search = SearchSettings(kind="gumbel", simulations=simulations, considered=considered)
    if DIGEST.fullmatch(spec):
        return model_participant(spec, variant, search).id
    if spec == "heuristic-search":
        return f"{baseline_id(spec, variant)}|{search.identity()}"
    return baseline_id(spec, variant)


def _rating(conn: Connection, name: str, variant: str, files: list[PlayFile]) -> PersonRating:
    known = {row.participant: row.elo for row in ratings.table(conn, variant)}
    games: list[RatedGame] = []
    anchors: dict[str, float] = {}
    helped = unrated = 0
    for file in files:
        search = (file.simulations, file.considered)
        seats = [name if who == PERSON else opponent_id(who, variant, *search) for who in file.players]
        if file.hints or file.taken_back:
            helped += 1
            continue
        if not {seat for seat in seats if seat != name} <= known.keys():
            unrated += 1
            continue
        places = list(file.places or ())
        if _SWAP in file.moves:  # `players` and `places` are as the game began
            seats, places = seats[::-1], places[::-1]
        anchors |= {seat: known[seat] for seat in seats if seat != name}
        games.append(RatedGame(tuple(seats), tuple(places)))
    if not games:
        return PersonRating(variant, None, None, 0, helped, unrated)
    table = fit(games, anchors=anchors)
    return PersonRating(variant, table.elo(name), table.stderr(name), len(games), helped, unrated)
