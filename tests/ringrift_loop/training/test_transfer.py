"""A variant without a champion begins with the nearest variant's: its first games and its first candidate."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ringrift_loop.cluster.sync.ingest import EngineReplayer, check_segment, ingest_checked
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.network.export import architecture_for, load_network, save_model
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.pointer import Pointer, write_pointer
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import read_segment
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.training import start as borrowing
from ringrift_loop.training.claim import claim_for_run
from ringrift_loop.training.start import Start, choose_start
from ringrift_loop.training.train import train

LENDER, VARIANT = "square8_2p", "square19_2p"
TINY = {"simulations_full": 4, "simulations_fast": 2, "games_in_parallel": 8, "full_search_probability": 1.0}


@pytest.fixture
def champion(loop: Loop) -> str:
    """The digest of the lender's champion: of a network that was never trained."""
    torch.manual_seed(4)
    net = RingRiftNet(architecture_for(LENDER, blocks=1, channels=8))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    manifest = save_model(net, loop.directory.model, variant=LENDER, created_at=1.0)
    with loop.ledger.begin() as conn:
        document = manifest.as_json()
        models.add(conn, manifest.digest, LENDER, parent_digest=None, training_run=None, manifest=document, at=1.0)
        promotions.promote(conn, LENDER, manifest.digest, reason="test", elo_gain=None, games=0, at=1.0)
    return manifest.digest


def test_first_games_and_first_candidate_of_a_large_board_come_from_the_small_boards_champion(
    loop: Loop, champion: str, tmp_path: Path
) -> None:
    config = replace(loop.config, variants=(VARIANT,), selfplay=replace(loop.config.selfplay, **TINY))
    loop = replace(loop, config=config)
    host = HostDirectory(tmp_path / "host")
    shutil.copytree(loop.directory.model(champion), host.model(champion))
    write_pointer(host, LENDER, Pointer(champion, 1))

    Worker(WorkerOptions(host, VARIANT, 0, games=6, host="a", run="first"), config.selfplay).run()

    paths = list(host.sealed_segments.glob("*.jsonl.zst"))
    records = [GameRecord.from_json(line) for path in paths for line in read_segment(path)]
    assert {(record.variant, record.player) for record in records} == {(VARIANT, champion)}
    checked = [check_segment("a", path, at=loop.clock(), replayer=EngineReplayer()) for path in paths]
    assert sum(one.new for one in ingest_checked(loop.ledger, loop.directory, checked, at=loop.clock())) == 6

    report = train(loop, claim_for_run(loop, [VARIANT], key="test").run_id)

    assert (report.variant, report.generation) == (VARIANT, 1)
    assert (report.parent, report.start) == (champion, f"the champion of {LENDER}, next to unchanged")
    lent, trained = (load_network(loop.directory.model(digest))[0] for digest in (champion, report.model_digest))
    pairs = list(zip(lent.parameters(), trained.parameters(), strict=True))
    way = sum(float((a - b).detach().square().sum()) for a, b in pairs) ** 0.5
    size = sum(float(a.detach().square().sum()) for a, _ in pairs) ** 0.5
    assert 0 < way < size / 500  # it has a digest of its own, and plays as the lender's does
    with loop.ledger.read() as conn:
        then = choose_start(conn, VARIANT, config.training, config.selfplay.lenders)
        back = borrowing.lent(conn, Start(champion, LENDER, 0.0, "rewound to the lender's"), VARIANT)
    assert (then.digest, then.borrowed) == (report.model_digest, False)  # from now on it learns
    assert not back.borrowed  # also where it goes back to the lender's weights
