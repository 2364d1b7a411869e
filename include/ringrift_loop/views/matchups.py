"""Who beat whom: the matches between a variant's players, pair by pair, each with its interval."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, Text, cast, func, select

from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.schema import match_players, matches, models
from ringrift_loop.ledger.schema import ratings as rated
from ringrift_loop.ratings.blocks import FloatArray, evidence_of, gain_of, share_won
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
    """Wins per seat of `one`, as a share of both players' wins per seat, 0 to 1; one half is equal strength."""
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


@dataclass
class _Met:
    """What two players have played."""

    games: int = 0
    seats: int = 0
    """That the first one had in all games."""
    wins: float = 0.0
    """Of the first one; a tie is shared."""
    blocks: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """The first one's share of the win by block and its seat, of games in which it sat alone."""

    def score(self, players: int) -> float:
        """The first one's wins per seat, as a share of both players': 0 to 1."""
        own = self.wins * (self.games * players - self.seats)
        return own / (own + (self.games - self.wins) * self.seats)

    def scores(self, players: int) -> FloatArray:
        """The mean of each block that was played in every seat, sorted by block; as `ratings.blocks.block_scores`."""
        whole = (seats for _, seats in sorted(self.blocks.items()) if len(seats) == players)
        return np.array([sum(seats.values()) / players for seats in whole])


@dataclass(frozen=True)
class _Ending:
    """A line-up and how it ended; in tens of thousands of games there are some hundreds."""

    pair: tuple[int, int]
    share: float
    """Of the win, that the first of the pair had."""
    seats: tuple[int, ...]
    """Of the first one."""
    players: int

    @classmethod
    def parse(cls, seats: str, places: str, index: Mapping[str, int]) -> _Ending | None:
        """The ending of a game between two of the players; None of any other."""
        names, ends = json.loads(seats), json.loads(places)
        present = set(names)
        if len(present) != 2 or not present <= index.keys():
            return None
        low, high = sorted(present, key=index.__getitem__)
        own = [seat for seat, name in enumerate(names) if name == low]
        return cls((index[low], index[high]), sum(share_won(ends, seat) for seat in own), tuple(own), len(names))


def read_matchups(conn: Connection, variant: str, *, most: int = MOST) -> Matchups:
    """The variant's last champions, newest rated models and baselines against each other.

    Args:
        conn: a reading transaction.
        variant: such as `square8_2p`.
        most: players.
    """
    players = _players(conn, variant, most)
    names = list(players)
    pairings = []
    for (one, other), (met, seats) in sorted(_met(conn, variant, names).items()):
        scores = met.scores(seats)
        gain = gain_of(evidence_of(scores, seats)) if len(scores) else None
        low, high = gain.interval(_CONFIDENCE) if gain is not None else (None, None)
        pairings.append(
            Pairing(
                one=one,
                other=other,
                games=met.games,
                score=met.score(seats),
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


def _met(conn: Connection, variant: str, names: Sequence[str]) -> dict[tuple[int, int], tuple[_Met, int]]:
    """What each pair of the players has played without anybody else, and the number of seats; the lower index first."""
    own = match_players.c
    met = (
        select(own.match_id)
        .where(own.participant.in_(names), own.variant == variant)
        .group_by(own.match_id)
        .having(func.min(own.participant) != func.max(own.participant))
    )
    # As text: each line-up and ending is read once, and not for each of its games.
    columns = (matches.c.block, cast(matches.c.seats, Text), cast(matches.c.places, Text))
    query = select(*columns).where(matches.c.variant == variant, matches.c.id.in_(met))
    index = {name: number for number, name in enumerate(names)}
    endings: dict[tuple[str, str], _Ending | None] = {}
    found: dict[tuple[int, int], tuple[_Met, int]] = {}
    for block, seats, places in conn.execute(query):
        key = seats, places
        if key not in endings:
            endings[key] = _Ending.parse(seats, places, index)
        ending = endings[key]
        if ending is None:
            continue
        pair, _ = found.setdefault(ending.pair, (_Met(), ending.players))
        pair.games += 1
        pair.seats += len(ending.seats)
        pair.wins += ending.share
        if len(ending.seats) == 1:
            pair.blocks[block][ending.seats[0]] = ending.share
    return found
