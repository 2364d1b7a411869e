"""What a player thinks of positions: the network's own numbers, one thread, and no torch."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import ConfigError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.players import make_player
from ringrift_loop.views.evaluation import Thinker
from ringrift_loop.views.replay import states_of
from ringrift_loop.views.thinking import MAX_WAITING, NotReadyYet, ThinkingRoom
from samples import random_game


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_4p"])
def test_a_position_is_judged_as_its_evaluator_says(directory: RunDirectory, variant: str) -> None:
    game = random_game(1, variant)
    states = states_of(variant, " ".join(game.moves), pie_rule=False)
    judged = Thinker("heuristic-search", variant).judge(directory, states[-9:], 0)
    assert len(judged) == 9
    for row, found in zip(states[-9:], judged, strict=True):
        assert sum(found.values) == pytest.approx(1.0, abs=1e-3)
        assert found.player.startswith("heuristic-search@")
        text_game = Game(variant)
        text_game.row[:] = row
        legal = text_game.legal()
        assert found.choices == len(legal)
        assert {one.choice.move for one in found.moves} <= set(legal)
        assert sum(one.policy for one in found.moves) <= 1.0 + 1e-6
        assert [one.policy for one in found.moves] == sorted((one.policy for one in found.moves), reverse=True)
    assert judged[-1].moves == []
    assert judged[-1].values[game.winner - 1] == 1.0  # type: ignore[operator]


def test_a_search_plays_what_the_same_player_plays_in_a_match(directory: RunDirectory) -> None:
    thinker = Thinker("heuristic-search", "square8_2p")
    states = states_of("square8_2p", " ".join(random_game(5).moves), pie_rule=False)
    rules = rules_for("square8_2p")
    checked = 0
    for row in states[10:60:4]:
        game = Game("square8_2p")
        game.row[:] = row
        if len(game.legal()) < 2:
            continue
        settings = SearchSettings(simulations=32)
        player = make_player("heuristic-search", "square8_2p", search=settings, seed=3)
        expected = int(player.choose(rules, row[None, :])[0])
        assert thinker.best_move(directory, row, 32) == expected
        found = thinker.judge(directory, row[None, :], 32)[0]
        assert found.simulations == 32
        assert sum(one.visits for one in found.moves) <= 32
        assert found.moves[0].value is not None
        checked += 1
    assert checked >= 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, str]:
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(1)
    home = RunDirectory(tmp_path_factory.mktemp("models") / "run")
    net = RingRiftNet(architecture_for("hex8_2p", blocks=1, channels=8))
    manifest = save_model(net, home.model, variant="hex8_2p", created_at=1.0)
    return home, manifest.digest


def test_a_model_is_asked_through_onnx_and_torch_stays_out(model: tuple[RunDirectory, str]) -> None:
    home, digest = model
    code = f"""
import sys
from pathlib import Path
from ringrift_loop.layout import RunDirectory
from ringrift_loop.views.evaluation import Thinker
from ringrift_loop.views.replay import states_of
from ringrift_loop.views.thinking import ROOM
ROOM.prepare(100)
states = states_of("hex8_2p", "PL:0,0x1 MV:0,0>0,1", pie_rule=False)
thinker = Thinker({digest!r}, "hex8_2p")
looked = thinker.judge(RunDirectory(Path({str(home.root)!r})), states, 0)
searched = thinker.judge(RunDirectory(Path({str(home.root)!r})), states[:1], 8)
assert "torch" not in sys.modules
print(len(looked), searched[0].player, searched[0].simulations)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", digest, "8"]


def test_a_model_of_another_variant_or_none_is_refused(model: tuple[RunDirectory, str]) -> None:
    home, digest = model
    states = states_of("square8_2p", "", pie_rule=False)
    with pytest.raises(ConfigError, match=r"is for hex8_2p, the position is of square8_2p"):
        Thinker(digest, "square8_2p").judge(home, states, 0)
    with pytest.raises(ModelError, match="are not on this machine"):
        Thinker("0" * 64, "square8_2p").judge(home, states, 0)
    with pytest.raises(ConfigError, match=r"simulations must be in 0..1024, got 5000"):
        Thinker("heuristic-search", "square8_2p").judge(home, states, 5000)
    with pytest.raises(ConfigError, match=r"1..64 positions, with a search about one; got 2"):
        Thinker("heuristic-search", "square8_2p").judge(home, np.concatenate([states, states]), 4)


class Slow:
    """Work that ends when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.calls = threading.Event(), threading.Event(), 0

    def __call__(self) -> int:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(60)
        return self.calls


@pytest.fixture
def ready_room() -> ThinkingRoom:
    room = ThinkingRoom()
    room.prepare(wait_s=60)
    return room


def test_who_asks_the_same_joins_and_gets_the_kept_answer(ready_room: ThinkingRoom) -> None:
    slow = Slow()
    with pytest.raises(NotReadyYet, match="still thinking"):
        ready_room.ask("one", slow, wait_s=0.01)
    with pytest.raises(NotReadyYet, match="still thinking"):
        ready_room.ask("one", slow, wait_s=0.01)
    slow.go.set()
    assert ready_room.ask("one", slow, wait_s=60) == 1
    assert ready_room.ask("one", slow, wait_s=60) == 1


def test_only_so_many_wait_and_one_runs(ready_room: ThinkingRoom) -> None:
    works = [Slow() for _ in range(MAX_WAITING + 1)]
    for number, slow in enumerate(works[:MAX_WAITING]):
        with pytest.raises(NotReadyYet, match="still thinking"):
            ready_room.ask(number, slow, wait_s=0.01)
    with pytest.raises(NotReadyYet, match="8 other searches come first"):
        ready_room.ask("more", works[-1], wait_s=0.01)
    assert works[0].begun.wait(60)
    assert [slow.calls for slow in works] == [1] + [0] * MAX_WAITING
    for slow in works:
        slow.go.set()
    assert ready_room.ask(MAX_WAITING - 1, works[MAX_WAITING - 1], wait_s=60) == 1
    assert ready_room.ask("more", works[-1], wait_s=60) == 1


def test_an_error_is_told_and_not_kept(ready_room: ThinkingRoom) -> None:
    def fails() -> int:
        raise ModelError("no")

    with pytest.raises(ModelError):
        ready_room.ask("one", fails, wait_s=60)
    assert ready_room.ask("one", lambda: 5, wait_s=60) == 5


def test_kernels_that_are_being_compiled_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("ringrift_loop.views.thinking._compile", slow)
    room = ThinkingRoom()
    with pytest.raises(NotReadyYet, match="is being made ready on this machine"):
        room.prepare(wait_s=0.01)
    slow.go.set()
    room.prepare(wait_s=60)
    assert slow.calls == 1


def test_work_that_is_done_at_once_is_kept_like_any_other(ready_room: ThinkingRoom) -> None:
    def ask() -> None:
        for number in range(2000):
            assert ready_room.ask(number, lambda: 1, wait_s=60) == 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the room waits for itself"
