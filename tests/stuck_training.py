"""A training that nobody ends, in a ledger of its own, and a notifier that writes what it is told to a file."""

from __future__ import annotations

from ringrift_loop.ledger import games, hosts, segments, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.loop import Loop
from ringrift_loop.training.claim import run_name

VARIANT = "square8_2p"
LONG_S = 1e6
NOTIFIER = """
from airflow.sdk import BaseNotifier


class ToFile(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, *, text, file):
        super().__init__()
        self.text, self.file = text, file

    def notify(self, context):
        with open(self.file, "a") as file:
            print(self.text, file=file)
"""


def claim_long_ago(loop: Loop, key: str) -> str:
    """A run of this asker that was claimed long ago with the only game there is; returns its id."""
    at = loop.clock() - LONG_S
    segment = SegmentRow(
        sha256="a", host="a", epoch="e", seq=1, name="one", records=1, games_new=1, games_known=0,
        games_quarantined=0, size_bytes=1, ingested_at=at,
    )  # fmt: skip
    game = GameRow(
        id="game", move_hash="g", variant=VARIANT, host="a", segment="one", position=0, plies=60, rows=40, winner=1,
        result="territory", player="heuristic-search", search={}, engine_version="1", played_at=at, ingested_at=at,
    )  # fmt: skip
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        segments.add(conn, segment)
        games.add(conn, [game])
        return training.claim(conn, run_name(VARIANT, key), VARIANT, at=at).id
