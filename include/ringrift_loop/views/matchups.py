"""Who beat whom: the matches between a variant's players, pair by pair, each with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.schema import match_players, matches, models
from ringrift_loop.ledger.schema import ratings as rated
from ringrift_loop.ratings.blocks import block_scores, evidence_of, gain_of
from ringrift_loop.text import clean

MOST = 12
"""Players that are compared."""
_CHAMPIONS = 5
_NEWEST = 4
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class MatchPlayer:
    """One player of the table."""

    name: str
    """A baseline's, or `gen 7`."""
    digest: str | None
    """None for a baseline."""
    generation: int | None
    champion: bool
    elo: float
    stderr: float


@dataclass(frozen=True)
class Pairing:
    """The games of two players against each other, from the first one's side."""

    one: int
    """Index among the players."""
    other: int
    games: int
    score: float
    """Share of its opponents that `one` finished before, 0 to 1; one half is equal strength for any number of seats."""
    blocks: int
    """Openings that were played in every seat: what the interval rests on."""
    gain: float | None
    """Elo of `one` over the other by those blocks; None without any."""
    low: float | None
    """Lower limit of the gain, with 95 %."""
    high: float | None


@dataclass(frozen=True)
class Matchups:
    """The table, the strongest player first; a pair that never met has no pairing."""

    variant: str
    players: tuple[MatchPlayer, ...]
    pairings: tuple[Pairing, ...]


@dataclass(frozen=True)
class _Game:
    block: str
    seats: tuple[str, ...]
    places: tuple[int, ...]

    def reduced(self, participant: str) -> float:
        """The mean share of opponents that a participant's seats finished before."""
        own = [seat for seat, name in enumerate(self.seats) if name == participant]
        others = [seat for seat in range(len(self.seats)) if seat not in own]
        beaten = [
            1.0 if self.places[a] < self.places[b] else 0.5 if self.places[a] == self.places[b] else 0.0
            for a in own
            for b in others
        ]
        return sum(beaten) / len(beaten)


def read_matchups(conn: Connection, variant: str, *, most: int = MOST) -> Matchups:
    """The variant's last champions, newest rated models and baselines against each other.

    Args:
        conn: a reading transaction.
        variant: such as `square8_2p`.
        most: players.
    """
    players = _players(conn, variant, most)
    names = list(players)
    games = _games(conn, variant, names)
    pairings = []
    for (one, other), played in sorted(games.items()):
        evidence = evidence_of(scores := block_scores(played, names[one], names[other]))
        gain = gain_of(evidence) if len(scores) else None
        low, high = gain.interval(_CONFIDENCE) if gain is not None else (None, None)
        pairings.append(
            Pairing(
                one=one,
                other=other,
                games=len(played),
                score=sum(game.reduced(names[one]) for game in played) / len(played),
                blocks=len(scores),
                gain=None if gain is None else float(gain.gain),
                low=None if low is None else float(low),
                high=None if high is None else float(high),
            )
        )
    return Matchups(variant, tuple(players.values()), tuple(pairings))


def _players(conn: Connection, variant: str, most: int) -> dict[str, MatchPlayer]:
    """The players by participant id, the strongest first: of a model only the search that it played most with."""
    generations = dict(
        conn.execute(select(models.c.digest, models.c.generation).where(models.c.variant == variant)).all()
    )
    query = select(rated).where(rated.c.variant == variant).order_by(rated.c.games)
    by_player: dict[str, tuple[str, MatchPlayer]] = {}
    pointers = promotions.pointers(conn, variant)
    for row in conn.execute(query):
        digest, bar, _ = row.participant.partition("|")
        generation = generations.get(digest) if bar else None
        by_player[digest] = (
            row.participant,
            MatchPlayer(
                name=clean(digest) if not bar else "gen ?" if generation is None else f"gen {generation}",
                digest=digest if bar else None,
                generation=generation,
                champion=bool(pointers) and digest == pointers[0],
                elo=row.elo,
                stderr=row.stderr,
            ),
        )
    baselines = [name for name, (_, player) in by_player.items() if player.digest is None]
    newest = sorted(generations, key=lambda digest: -generations[digest])
    wanted = [
        *[digest for digest in pointers if digest in by_player][:_CHAMPIONS],
        *[digest for digest in newest if digest in by_player and digest not in pointers[:_CHAMPIONS]][:_NEWEST],
        *baselines,
    ]
    chosen = [by_player[name] for name in dict.fromkeys(wanted[:most])]
    return dict(sorted(chosen, key=lambda item: -item[1].elo))


def _games(conn: Connection, variant: str, names: Sequence[str]) -> dict[tuple[int, int], list[_Game]]:
    """The games of each pair of the players, with nobody else in them; a pair is two indices, the lower first."""
    one, other = match_players.alias(), match_players.alias()
    met = (
        select(one.c.match_id)
        .join(other, other.c.match_id == one.c.match_id)
        .where(one.c.participant.in_(names), other.c.participant.in_(names), one.c.participant < other.c.participant)
    )
    query = select(matches.c.block, matches.c.seats, matches.c.places).where(
        matches.c.variant == variant, matches.c.id.in_(met)
    )
    index = {name: number for number, name in enumerate(names)}
    found: dict[tuple[int, int], list[_Game]] = defaultdict(list)
    for block, seats, places in conn.execute(query):
        present = set(seats)
        if len(present) == 2 and present <= index.keys():
            low, high = sorted(index[name] for name in present)
            found[low, high].append(_Game(block, tuple(seats), tuple(places)))
    return found
