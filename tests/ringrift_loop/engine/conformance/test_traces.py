"""Conformance: recorded games replayed by both engines, and proof that the checker sees what is wrong."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from golden import golden_games, write_golden
from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.conformance.trace_file import text_digest
from ringrift_loop.engine.conformance.traces import check_file, run
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import DataError

PROJECT = Path(__file__).parents[4]
GOLDEN = PROJECT / "tests" / "data" / "golden_games"
REFERENCE = PROJECT.parent / "shared" / "traces"
REFERENCE_FILES = sorted(REFERENCE.glob("*.jsonl.gz"))
LARGE = ("square19", "hexagonal")
LONG_FILES = [path for path in REFERENCE_FILES if path.name.startswith(LARGE) and "scenario" not in path.name]
SHORT_FILES = [path for path in REFERENCE_FILES if path not in LONG_FILES]

needs_reference = pytest.mark.skipif(not REFERENCE_FILES, reason=f"no reference games in {REFERENCE}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_kernels_replay_the_golden_games(variant: str) -> None:
    report = check_file(GOLDEN / f"{variant}.jsonl.gz", Game)
    assert report.difference is None, str(report)
    assert (report.games >= 4, report.cut) == (True, 0)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if not name.startswith(LARGE)])
def test_the_plain_twin_replays_the_golden_games(variant: str) -> None:
    report = check_file(GOLDEN / f"{variant}.jsonl.gz", PlainGame)
    assert report.difference is None, str(report)


@pytest.mark.parametrize("engine", [Game, PlainGame])
def test_both_engines_make_the_golden_file_that_is_kept(engine: Any, tmp_path: Path) -> None:
    (made,) = write_golden(tmp_path, engine, ["square8_2p"])
    # What is packed is compared: the packing itself differs between builds of zlib.
    assert gzip.decompress(made.read_bytes()) == gzip.decompress((GOLDEN / made.name).read_bytes())


def test_the_golden_games_play_every_kind_of_move() -> None:
    played = set()
    for path in GOLDEN.glob("*.jsonl.gz"):
        with gzip.open(path, "rt") as lines:
            for game in map(json.loads, lines):
                played |= {ply["m"].partition(":")[0] for ply in game["plies"]}
    assert len(played) == 24


@needs_reference
@pytest.mark.parametrize("path", REFERENCE_FILES, ids=lambda path: path.name.partition(".")[0])
def test_the_kernels_agree_with_the_reference_games(path: Path) -> None:
    # A whole game on a large board takes a second; `ringrift-loop engine check-traces` compares them all.
    report = check_file(path, Game, games_at_most=1 if path in LONG_FILES else None)
    assert report.difference is None, str(report)


@needs_reference
@pytest.mark.parametrize("path", SHORT_FILES, ids=lambda path: path.name.partition(".")[0])
def test_the_plain_twin_agrees_with_a_sample_of_the_reference_games(path: Path) -> None:
    report = check_file(path, PlainGame, games_at_most=2)
    assert report.difference is None, str(report)


def a_game() -> dict[str, Any]:
    """The shortest whole golden game of square8_2p."""
    with gzip.open(GOLDEN / "square8_2p.jsonl.gz", "rt") as lines:
        games = [json.loads(line) for line in lines]
    return min((game for game in games if "init" not in game), key=lambda game: len(game["plies"]))


def checked(game: dict[str, Any], tmp_path: Path, engine: Any = Game) -> str:
    """What the checker says of a file with this one game."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(game) + "\n")
    report = check_file(path, engine)
    return str(report.difference)


def test_an_unchanged_game_has_no_difference(tmp_path: Path) -> None:
    assert checked(a_game(), tmp_path) == "None"


def test_a_missing_legal_move_is_seen(tmp_path: Path) -> None:
    game = a_game()
    number, ply = next((i, ply) for i, ply in enumerate(game["plies"]) if ply["n"] > 2 and "l" in ply)
    dropped, *rest = ply["l"].split(" ")
    ply.update(l=" ".join(rest), n=len(rest), ld=text_digest(" ".join(rest)))
    said = checked(game, tmp_path)
    assert f"line 1 (square8_2p {game['policy']}, seed {game['seed']}), ply {number}" in said
    assert f"missing none\n  extra   {dropped}" in said


def test_an_additional_legal_move_is_seen_where_only_the_digest_was_recorded(tmp_path: Path) -> None:
    game = a_game()
    ply = next(ply for ply in game["plies"] if "l" not in ply)
    ply.update(n=ply["n"] + 1, ld="0123456789abcdef")
    assert f"expected {ply['n']} moves, digest 0123456789abcdef" in checked(game, tmp_path)


def test_a_different_move_is_seen_at_the_next_state(tmp_path: Path) -> None:
    game = a_game()
    ply = game["plies"][1]
    ply["m"] = next(text for text in ply["l"].split(" ") if text != ply["m"])
    said = checked(game, tmp_path)
    assert f"ply 2 (after {ply['m']}): the state" in said
    assert f"expected digest {game['plies'][2]['d']}" in said


def test_an_illegal_move_is_reported_with_its_reason(tmp_path: Path) -> None:
    game = a_game()
    game["plies"][0]["m"] = "NL"
    assert "the engine refuses the move NL\n  NL is not legal" in checked(game, tmp_path)


def test_a_different_state_is_shown_field_by_field(tmp_path: Path) -> None:
    game = a_game()
    ply = game["plies"][0]
    ply["s"] = ply["s"].replace("H=18,18", "H=17,18").replace(";S=;", ";S=0,0:1;")
    ply["d"] = text_digest(ply["s"])
    said = checked(game, tmp_path)
    assert "hands (H): expected 17,18, got 18,18" in said
    assert "stacks (S): missing 0,0:1, extra none" in said


def test_a_different_tracker_is_seen(tmp_path: Path) -> None:
    game = a_game()
    game["plies"][0]["lps"] = "1/1-/-/0"
    assert "last-player-standing tracker" in checked(game, tmp_path)


@pytest.mark.parametrize(("key", "value"), [("winner", None), ("type", "lps"), ("plies", 3), ("elim", [0, 99])])
def test_a_different_result_is_seen(key: str, value: object, tmp_path: Path) -> None:
    game = a_game()
    real = game["result"][key]
    game["result"][key] = value
    assert f"{key}: expected {value!r}, got {real!r}" in checked(game, tmp_path)


class NoLineOptions(PlainGame):
    """The twin with a wrong rule: a long line can only be taken whole."""

    def legal(self) -> list[str]:
        return [text for text in super().legal() if not text.startswith("LO:")]


class FreeLines(PlainGame):
    """The twin with a wrong rule: no ring is owed for a line."""

    def play(self, text: str) -> None:
        super().play(text)
        self.position.owes_line_ring = False


class PlacesOnlyOne(PlainGame):
    """The twin with a wrong rule: never more than one ring at a time."""

    def legal(self) -> list[str]:
        return [text for text in super().legal() if not text.startswith("PL:") or text.endswith("x1")]


@pytest.mark.parametrize("engine", [NoLineOptions, FreeLines, PlacesOnlyOne])
def test_an_engine_with_a_wrong_rule_is_found_out(engine: Any) -> None:
    reports = [check_file(GOLDEN / f"square8_{players}p.jsonl.gz", engine) for players in (2, 3, 4)]
    assert any(report.difference is not None for report in reports)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda game: game.update(v=2), "of version 1 was expected, got v=2"),
        (lambda game: game.update(board="square9"), "no variant square9_2p"),
        (lambda game: game.update(line=5), "line is 5, but square8_2p has 4"),
        (lambda game: game.update(rules="house"), "rules: Invalid enum value 'house'"),
        (lambda game: game.pop("swap"), "missing required field `swap`"),
        (lambda game: game.update(players="2"), "players: Expected `int`, got `str`: '2'"),
        (lambda game: game.update(init="ph=RP"), "init is not a state of square8_2p"),
        (lambda game: game["plies"][3].update(d="xyz"), "line 1: plies[3].d: Expected `str` matching regex"),
        (lambda game: game["plies"][1].update(n=1), "line 1: plies[1]: n or ld does not fit the list l"),
        (lambda game: game["plies"][0].update(s="ph=RP"), "line 1: plies[0]: digest d is"),
    ],
)
def test_a_malformed_game_is_refused_with_file_line_and_reason(change: Any, message: str, tmp_path: Path) -> None:
    game = a_game()
    change(game)
    with pytest.raises(DataError, match=r"one\.jsonl, line 1") as caught:
        checked(game, tmp_path)
    assert message in str(caught.value)


def test_a_file_that_is_not_json_or_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text("hello\n")
    with pytest.raises(DataError, match=r"text\.jsonl, line 1 is not JSON"):
        check_file(tmp_path / "text.jsonl", Game)
    (tmp_path / "cut.jsonl.gz").write_bytes((GOLDEN / "square8_2p.jsonl.gz").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cut\.jsonl\.gz"):
        check_file(tmp_path / "cut.jsonl.gz", Game)


def test_the_command_says_what_agrees_and_fails_on_the_first_difference(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    game = a_game()
    good.write_text(json.dumps(game) + "\n")
    game["result"]["winner"] = None
    bad.write_text(json.dumps(game) + "\n")
    out = io.StringIO()
    assert run([good], out) == 0
    assert f"good.jsonl: 1 games, {len(game['plies'])} plies agree" in out.getvalue()
    out = io.StringIO()
    assert run([good, bad, tmp_path / "absent.jsonl"], out, engine="plain") == 1
    assert "bad.jsonl: DIFFERENT after 0 games" in out.getvalue()
    assert "absent.jsonl: UNREADABLE" in out.getvalue()
    assert "2 of 3 files differ (plain engine)" in out.getvalue()


def test_a_quirk_move_cuts_a_reference_game_but_not_a_recommended_one(tmp_path: Path) -> None:
    placements = PlainGame("square8_2p").legal()
    quirk = sorted([*placements, "SP"])
    state = PlainGame("square8_2p").text()
    ply = {"ph": "RP", "p": 1, "d": text_digest(state), "n": len(quirk), "ld": text_digest(" ".join(quirk))}
    game = a_game()
    game["plies"] = [{**ply, "l": " ".join(quirk), "m": "SP", "q": ["SPX"]}]
    del game["rules"]
    (tmp_path / "quirk.jsonl").write_text(json.dumps(game) + "\n")
    report = check_file(tmp_path / "quirk.jsonl", Game)
    assert (report.games, report.cut, report.difference) == (1, 1, None)
    assert "missing SP\n" in checked({**game, "rules": "recommended"}, tmp_path)


def test_golden_games_say_that_they_follow_the_recommended_rules() -> None:
    games = golden_games("hex8_2p", Game)
    assert {game["rules"] for game in games} == {"recommended"}
    assert [game["swap"] for game in games[:3]] == [False, False, True]
