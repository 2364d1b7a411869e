"""An arena without a board: participants of known strength whose results are drawn by lot.

It answers what no real match can: how often do the gates err when the truth is known? Results follow Plackett and
Luce's model, of whose winner ratings and gates assume the same, so deviations are the gates' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.ratings.elo import ELO_PER_NAT
from ringrift_loop.tournament.blocks import BlockPlan


class LatentArena:
    """Draws the results of blocks; its games have no moves."""

    def __init__(self, elos: Mapping[str, float], *, seed: int, seats: Sequence[float] = (), at: float = 0.0) -> None:
        """Set the truth.

        Args:
            elos: true strength of every participant.
            seed: of the draws.
            seats: true advantage of each seat, Elo; default: none.
            at: time of all games, UTC seconds.
        """
        self.elos = dict(elos)
        self._rng = np.random.default_rng(seed)
        self._seats = tuple(seats) or (0.0,) * 4
        self._at = at

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        """Yield the games of each block; deadline and openings mean nothing here."""
        for plan in plans:
            yield [self._game(plan, number) for number in range(len(plan.seatings))]

    def _game(self, plan: BlockPlan, number: int) -> MatchRow:
        seats = plan.seatings[number]
        strengths = np.array([self.elos[name] for name in seats]) + np.array(self._seats[: len(seats)])
        # The order of strength plus Gumbel noise is a draw from Plackett and Luce's model (Yellott 1977).
        order = np.argsort(-(strengths / ELO_PER_NAT + self._rng.gumbel(size=len(seats))))
        places = [0] * len(seats)
        for place, seat in enumerate(order.tolist(), start=1):
            places[seat] = place
        return MatchRow(
            id=plan.match_id(number),
            block=plan.id,
            variant=plan.variant,
            purpose=plan.purpose,
            seats=list(seats),
            opening="",
            moves="",
            winner=int(order[0]) + 1,
            places=places,
            result="elimination",
            plies=0,
            host="latent",
            engine_version="latent",
            played_at=self._at,
        )
