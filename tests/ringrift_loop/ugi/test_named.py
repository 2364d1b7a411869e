"""Whom a person's text names: `ringrift-loop ugi` from any folder, with champions and models of a run directory."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli import main
from ringrift_loop.engine.game import Game
from ringrift_loop.errors import ConfigError, LoopError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.network.artifact import load_manifest
from ringrift_loop.network.export import architecture_for, save_model
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.ugi.named import NamedPlayer, named_player
from samples import byte_model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run directory with two models, one of them champion of hex8_2p; the test stands in another folder."""
    directory = RunDirectory(tmp_path / "run")
    folder = directory.root / "models"
    champion, other = byte_model(folder, b"one", "hex8_2p"), byte_model(folder, b"two")
    new_ledger(directory.ledger_url)
    ledger = Ledger.open(directory.ledger_url)
    with ledger.begin() as conn:
        for digest, variant in ((champion, "hex8_2p"), (other, "square8_2p")):
            models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "hex8_2p", champion, reason="test", elo_gain=None, games=0, at=2.0)
    ledger.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return directory


def _digest(home: RunDirectory, variant: str) -> str:
    folders = home.root.joinpath("models").iterdir()
    return next(folder.name for folder in folders if load_manifest(folder).variant == variant)


def test_champions_digits_and_folders_name_the_same_model(home: RunDirectory) -> None:
    champion = _digest(home, "hex8_2p")
    for text in ("champion:hex8_2p", champion, champion[:4], champion[:40]):
        assert named_player(text, "square8_2p", home) == NamedPlayer(champion, "hex8_2p"), text
    assert named_player("champion", "hex8_2p", home).spec == champion
    folder = str(home.model(champion))
    assert named_player(folder, "square8_2p", home) == NamedPlayer(folder, "hex8_2p")
    assert named_player("heuristic-search", "hex8_2p", home) == NamedPlayer("heuristic-search")


@pytest.mark.parametrize(
    ("player", "sentence"),
    [
        ("champoin", "champion:VARIANT, a model's digest or the first digits of it"),
        ("champion", "square8_2p has no champion; the variants with one are hex8_2p"),
        ("champion:chess", "no variant named 'chess'"),
        ("0000", "has a digest that begins with 0000"),
        ("abc", "got 'abc'"),
        ("mcts-0", "a player is one of"),
        ("heuristic@ffffffff", "which is another player"),
        (".", "no model manifest at"),
    ],
)
def test_a_wrong_player_is_a_sentence_and_an_exit_status_at_the_start(
    player: str, sentence: str, home: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ugi", "--player", player, "--home", str(home.root)]) in (1, 2)
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.out == ""


def test_a_model_of_another_variant_is_refused_at_the_start(
    home: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    square = _digest(home, "square8_2p")
    assert main(["ugi", "--player", square[:8], "--variant", "hex8_2p", "--home", str(home.root)]) == 2
    assert f"{square[:8]} is a model for square8_2p, the games are hex8_2p" in capsys.readouterr().err


def test_a_model_that_does_not_load_is_refused_at_the_start(
    home: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ugi", "--player", "champion:hex8_2p", "--home", str(home.root)]) == 1
    assert "does not load in ONNX Runtime" in capsys.readouterr().err


def test_digits_that_several_models_share_are_not_guessed(home: RunDirectory) -> None:
    for name in ("abcd" + "0" * 60, "abcd" + "1" * 60):
        home.model(name).mkdir()
    with pytest.raises(ConfigError, match=r"2 models in .* begins with abcd: abcd00000000, abcd11111111"):
        named_player("abcd", "square8_2p", home)


def test_a_folder_without_a_ledger_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LoopError, match=r"no ledger at .*: .* is not the run directory of a loop"):
        named_player("champion", "square8_2p", RunDirectory(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ugi", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for value in (
        "random;",
        "heuristic,",
        "mcts-N",
        "champion:VARIANT",
        "hexagonal_4p",
        "puct<N>",
        "1 to 64",
        "--home",
    ):
        assert value in said


def test_a_model_named_by_its_first_digits_plays_its_own_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = RunDirectory(tmp_path / "run")
    net = RingRiftNet(architecture_for("hex8_3p", blocks=1, channels=8))
    made = save_model(net, directory.model, variant="hex8_3p", created_at=1.0)
    monkeypatch.setattr("sys.stdin", io.StringIO("query variant\ngo simulations 4\nquit\n"))
    assert main(["ugi", "--player", made.digest[:8], "--home", str(directory.root)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "response hex8_3p"
    assert said[-1].removeprefix("bestmove ") in Game("hex8_3p").legal()
