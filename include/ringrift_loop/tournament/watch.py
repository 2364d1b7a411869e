"""The watch over a champion: its shadow games against its predecessor, judged by the test in `ratings/sprt.py`.

The games of the champion gate made it the champion, so they flatter it; the watch counts shadow games only. It stores
nothing: its answer follows from the match log, block by block in the order of their openings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.ledger import matches, promotions
from ringrift_loop.ledger.matches import MatchResult
from ringrift_loop.ratings.blocks import block_scores
from ringrift_loop.ratings.sprt import Sprt, Watch, watch
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import evaluation_search, model_participant

SHADOW = "shadow"
"""The purpose of the games that count."""
RULE = Sprt()
_GAPS = 1000  # seeds at most whose blocks a killed run has not stored


def champion_watch(conn: Connection, config: LoopConfig, variant: str) -> Watch | None:
    """What the watch says of the variant's champion; None without a predecessor."""
    pair = promotions.pointers(conn, variant)[:2]
    if len(pair) < 2:
        return None
    search = evaluation_search(config)
    own, other = (model_participant(digest, variant, search).id for digest in pair)
    players = variant_of(variant).players
    results = matches.results(conn, variant, purpose=SHADOW)
    return watch(RULE, _scores(results, variant, own, other, players), players)


def _scores(results: Sequence[MatchResult], variant: str, own: str, other: str, players: int) -> list[float]:
    """The champion's score of each complete block against its predecessor, in the order of their seeds."""
    blocks: dict[str, list[MatchResult]] = defaultdict(list)
    for result in results:
        if set(result.seats) == {own, other}:
            blocks[result.block].append(result)
    scores = []
    for seed in range(len(blocks) + _GAPS):
        for one, two in ((own, other), (other, own)):
            block = blocks.get(paired_block(variant, SHADOW, one, two, players, seed).id, [])
            scores += block_scores(block, own, other).tolist()
    return scores
