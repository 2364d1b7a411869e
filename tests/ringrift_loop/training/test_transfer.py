"""A variant without a champion begins with the nearest variant's: its first games and its first candidate."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import insert

from ringrift_loop.cluster.sync.ingest import EngineReplayer, check_segment, ingest_checked
from ringrift_loop.errors import ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import models, promotions, training
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import MANIFEST
from ringrift_loop.network.export import architecture_for, load_network, save_model
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.pointer import Pointer, write_pointer
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import read_segment
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.training.claim import claim_for_run
from ringrift_loop.training.start import Start, choose_start, recorded_start, start_weights
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


def play_and_take_in(loop: Loop, champion: str, tmp_path: Path) -> None:
    """Six games of the variant by the lender's champion."""
    host = HostDirectory(tmp_path / "host")
    shutil.copytree(loop.directory.model(champion), host.model(champion))
    write_pointer(host, LENDER, Pointer(champion, 1))
    settings = replace(loop.config.selfplay, **TINY)
    Worker(WorkerOptions(host, VARIANT, 0, games=6, host="a", run="first"), settings).run()
    paths = list(host.sealed_segments.glob("*.jsonl.zst"))
    records = [GameRecord.from_json(line) for path in paths for line in read_segment(path)]
    assert {(record.variant, record.player) for record in records} == {(VARIANT, champion)}
    checked = [check_segment("a", path, at=loop.clock(), replayer=EngineReplayer()) for path in paths]
    assert sum(one.new for one in ingest_checked(loop.ledger, loop.directory, checked, at=loop.clock())) == 6


def test_first_games_and_first_candidate_of_a_large_board_come_from_the_small_boards_champion(
    loop: Loop, champion: str, tmp_path: Path
) -> None:
    config = replace(loop.config, variants=(VARIANT,))
    loop = replace(loop, config=config)
    play_and_take_in(loop, champion, tmp_path)

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
    assert (then.digest, then.borrowed) == (report.model_digest, False)  # from now on it learns


def test_a_training_goes_on_with_all_inputs_from_a_champion_of_the_first_encoding(
    loop: Loop, champion: str, tmp_path: Path
) -> None:
    lender, _ = load_network(loop.directory.model(champion))
    old = RingRiftNet(replace(lender.architecture, encoding=1))
    state = lender.state_dict()
    for name, tensor in old.state_dict().items():
        state[name] = state[name][:, : tensor.shape[1]] if tensor.ndim == 2 else state[name]
    old.load_state_dict(state)
    manifest = save_model(old, loop.directory.model, variant=LENDER, created_at=2.0)
    with loop.ledger.begin() as conn:
        document = manifest.as_json()
        models.add(conn, manifest.digest, LENDER, parent_digest=None, training_run=None, manifest=document, at=2.0)
        promotions.promote(conn, LENDER, manifest.digest, reason="test", elo_gain=None, games=0, at=2.0)
    loop = replace(loop, config=replace(loop.config, variants=(VARIANT,)))
    play_and_take_in(loop, manifest.digest, tmp_path)

    report = train(loop, claim_for_run(loop, [VARIANT], key="test").run_id)

    assert report.parent == manifest.digest
    trained, made = load_network(loop.directory.model(report.model_digest))
    assert (made.encoding_version, trained.architecture.num_globals) == (2, 64)
    for name, tensor in old.state_dict().items():
        own = trained.state_dict()[name]
        torch.testing.assert_close(own[:, : tensor.shape[1]] if tensor.ndim == 2 else own, tensor, atol=0.01, rtol=0)
    assert float(trained.stem_globals.weight[:, -2:].detach().abs().max()) < 0.01


def test_a_start_that_is_not_what_its_manifest_calls_it_is_refused(loop: Loop) -> None:
    manifest = save_model(
        RingRiftNet(architecture_for(VARIANT, blocks=2, channels=8)),
        loop.directory.model,
        variant=VARIANT,
        created_at=1.0,
    )
    path = loop.directory.model(manifest.digest) / MANIFEST
    path.write_text(path.read_text().replace('"b2c8"', '"b1c8"'))
    with pytest.raises(ModelError, match=f"model {manifest.digest} is called b1c8 and is b2c8"):
        start_weights(Start(manifest.digest, VARIANT, 1.0, "test"), loop.directory, VARIANT, loop.config.training)


class History:
    """Models and runs of a ledger in which nothing was trained."""

    def __init__(self, loop: Loop, champion: str) -> None:
        self.loop, self.champion = loop, champion

    def run(self, name: str, parent: str, *, at: float, lent: bool) -> None:
        with self.loop.ledger.begin() as conn:
            values = {"id": name, "variant": VARIANT, "state": "claimed", "games": 0, "started_at": at}
            conn.execute(insert(training_runs).values(values))
            training.mark_running(conn, name, window_games=1, window_rows=1, parent_digest=parent, lent=lent)

    def model(self, digest: str, variant: str, parent: str | None, *, at: float, promoted: bool = False) -> None:
        with self.loop.ledger.begin() as conn:
            known = models.get(conn, self.champion)
            assert known is not None
            models.add(conn, digest, variant, parent_digest=parent, training_run=None, manifest=known.manifest, at=at)
            if promoted:
                promotions.promote(conn, variant, digest, reason="test", elo_gain=None, games=0, at=at)

    def start(self) -> tuple[str | None, str, bool]:
        config = self.loop.config
        with self.loop.ledger.read() as conn:
            found = choose_start(conn, VARIANT, config.training, config.selfplay.lenders)
        return found.digest, found.why, found.borrowed


def test_the_lenders_champion_is_tried_again_when_both_have_gone_on(loop: Loop, champion: str) -> None:
    history = History(loop, champion)
    assert history.start() == (champion, f"the champion of {LENDER}, next to unchanged", True)
    history.run("first", champion, at=2.0, lent=True)
    history.model("own-1", VARIANT, champion, at=3.0, promoted=True)
    assert history.start() == ("own-1", "the champion", False)

    for number in (2, 3, 4):
        history.model(f"lender-{number}", LENDER, None, at=2.0 + number, promoted=True)
    for number in (2, 3):
        history.model(f"own-{number}", VARIANT, f"own-{number - 1}", at=2.0 + number)
    assert history.start() == ("own-3", "the last candidate, generation 3", False)  # it has learned too little itself
    history.model("own-4", VARIANT, "own-3", at=7.0)
    assert history.start() == ("lender-4", f"the champion of {LENDER}, next to unchanged", True)

    history.run("again", "lender-4", at=8.0, lent=True)
    assert history.start() == ("own-1", "the champion", False)  # tried, whatever becomes of it
    history.model("own-5", VARIANT, "lender-4", at=9.0)
    assert history.start() == ("own-1", "the champion", False)  # nothing learns from it before it is the champion
    for number in (6, 7, 8):
        history.model(f"own-{number}", VARIANT, f"own-{number - 1}", at=4.0 + number)
    history.model("lender-5", LENDER, None, at=12.5, promoted=True)
    assert history.start()[0] == "own-8"  # the lender is hardly further than it was
    for number in (6, 7):
        history.model(f"lender-{number}", LENDER, None, at=7.0 + number, promoted=True)
    assert history.start()[0] == "lender-7"


def test_a_first_candidate_that_nothing_came_of_is_not_lent_once_more(loop: Loop, champion: str) -> None:
    history = History(loop, champion)
    history.run("first", champion, at=2.0, lent=True)
    history.model("own-1", VARIANT, champion, at=3.0)
    assert history.start() == ("own-1", "the last candidate, generation 1", False)
    for number in (2, 3):
        history.model(f"own-{number}", VARIANT, f"own-{number - 1}", at=2.0 + number)
    assert history.start() == (champion, f"the champion of {LENDER}", False)


@pytest.mark.parametrize("lent", [True, False])
def test_a_killed_run_goes_on_with_a_lenders_weights_as_it_began(loop: Loop, champion: str, lent: bool) -> None:
    history = History(loop, champion)
    history.run("before", champion, at=1.0, lent=True)
    history.run("killed", champion, at=2.0, lent=lent)
    with loop.ledger.read() as conn:
        start = recorded_start(conn, training.require(conn, "killed"), loop.directory)
    assert (start.digest, start.borrowed) == (champion, lent)
