"""What holds in every game, and that kernels and plain twin never disagree."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ringrift_loop.engine.conformance.plain import PlainGame
from ringrift_loop.engine.game import RESULT_NAMES, Game
from ringrift_loop.engine.kernels import make_work, new_states, random_playout
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.state import RESULT, WINNER
from ringrift_loop.engine.text.notation import state_text
from scenarios import random_state

SMALL = [name for name in VARIANTS if name.startswith(("square8", "hex8"))]
SEEDS = st.integers(0, 2**32 - 1)
TURN_CHANGES = [
    *(f"ph={phase}" for phase in ("RP", "MO", "CA", "CH", "LI", "TE", "FE", "GO")),
    *(f"{key}={value}" for key in ("cp", "w") for value in "123"),
    *("pe=1", "mm=-", "at=-", "mm=stack", "at=stack", "E=0,0,61", "E=0,0,62", "H=00,0,0"),
]

# Fixed examples, so that a failure stays; a seed that fails is reported as it is, for there is nothing to shrink.
QUICK = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Board:
    """A state text taken apart, independently of both engines."""

    hands: list[int]
    eliminated: list[int]
    territory: list[int]
    stacks: dict[str, str]
    markers: dict[str, str]
    collapsed: dict[str, str]

    @property
    def progress(self) -> int:
        """S of docs/3-rules.md 16.4."""
        return len(self.markers) + len(self.collapsed) + sum(self.eliminated)

    def rings(self, seat: int) -> int:
        """Rings of one colour in hand and on the board."""
        return self.hands[seat] + "".join(self.stacks.values()).count(str(seat + 1))


def read(text: str) -> Board:
    fields = dict(part.split("=", 1) for part in text.split(";"))
    numbers = {name: [int(part) for part in fields[name].split(",")] for name in "HET"}
    cells = {name: dict(item.split(":") for item in fields[name].split("|") if item) for name in "SMC"}
    return Board(numbers["H"], numbers["E"], numbers["T"], cells["S"], cells["M"], cells["C"])


def choose(legal: list[str], rng: random.Random) -> str:
    """First a kind, then a move of it: more skips, lines, regions and payments than an even choice would give."""
    kind = rng.choice(sorted({text.partition(":")[0] for text in legal}))
    return rng.choice([text for text in legal if text.partition(":")[0] == kind])


def assert_read_alike(variant: str, text: str) -> None:
    """Both engines refuse a state text with a reason, or both read it and would write it as it is."""
    outcomes = []
    for engine in (Game, PlainGame):
        try:
            game = engine.from_text(variant, text)
        except ValueError as error:
            assert len(str(error)) > 15
            outcomes.append("refused")
        else:
            assert game.text() == text
            outcomes.append(f"{game.to_play} {game.result} {game.legal()}")
    assert outcomes[0] == outcomes[1], text


def assert_same(kernel: Game, twin: PlainGame) -> list[str]:
    legal = kernel.legal()
    assert kernel.text() == twin.text()
    assert legal == twin.legal()
    assert kernel.digest() == twin.digest()
    if legal:
        # After the end the tracker means nothing: the twin has begun the next turn by then, the kernels have not.
        assert kernel.lps_text() == twin.lps_text()
    assert (kernel.is_over, kernel.winner, kernel.result) == (twin.is_over, twin.winner, twin.result)
    assert kernel.to_play == twin.to_play
    return legal


@pytest.mark.parametrize("variant", SMALL)
@settings(QUICK, max_examples=3)
@given(seed=SEEDS)
def test_kernels_and_twin_agree_at_every_ply_of_a_random_game(variant: str, seed: int) -> None:
    rng = random.Random(seed)
    pie_rule = rng.random() < 0.5
    kernel, twin = Game(variant, pie_rule=pie_rule), PlainGame(variant, pie_rule=pie_rule)
    while legal := assert_same(kernel, twin):
        move = choose(legal, rng) if seed % 2 else rng.choice(legal)
        kernel.play(move)
        twin.play(move)
    assert kernel.moves == twin.moves
    assert kernel.places() == twin.places()


@pytest.mark.parametrize("variant", VARIANTS)
@settings(QUICK, max_examples=8)
@given(seed=SEEDS)
def test_kernels_and_twin_agree_from_random_positions(variant: str, seed: int) -> None:
    rng = random.Random(seed)
    text = random_state(variant, rng)
    kernel, twin = Game.from_text(variant, text), PlainGame.from_text(variant, text)
    for _ in range(20):
        legal = assert_same(kernel, twin)
        if not legal:
            assert kernel.places() == twin.places()
            break
        for move in rng.sample(legal, min(3, len(legal))):
            after, twin_after = kernel.copy(), twin.copy()
            after.play(move)
            twin_after.play(move)
            assert after.text() == twin_after.text()
        move = choose(legal, rng)
        kernel.play(move)
        twin.play(move)


@pytest.mark.parametrize("variant", VARIANTS)
@settings(QUICK, max_examples=4)
@given(seed=SEEDS)
def test_rings_cells_and_progress_are_kept_by_every_legal_move(variant: str, seed: int) -> None:
    rng = random.Random(seed)
    game = Game.from_text(variant, random_state(variant, rng))
    all_rings = VARIANTS[variant].players * VARIANTS[variant].rings_per_seat
    for _ in range(30):
        legal = game.legal()
        if not legal:
            break
        before = read(game.text())
        for move in rng.sample(legal, min(6, len(legal))):
            child = game.copy()
            child.play(move)
            after = read(child.text())
            occupied = [*after.stacks, *after.markers, *after.collapsed]
            assert len(occupied) == len(set(occupied)), f"after {move} a cell is in two states"
            seats = range(VARIANTS[variant].players)
            assert sum(after.rings(seat) for seat in seats) + sum(after.eliminated) == all_rings
            assert all(after.rings(seat) <= before.rings(seat) for seat in seats), f"{move} made rings"
            assert after.territory == [list(after.collapsed.values()).count(str(seat + 1)) for seat in seats]
            assert before.collapsed.items() <= after.collapsed.items(), f"{move} undid a collapse"
            assert after.progress >= before.progress, f"{move} lowered S"
            if move.startswith(("MV:", "CP:", "CC:", "LE:", "TE:", "TB:", "FE:", "RF:", "RL1:", "RS:")):
                assert after.progress > before.progress, f"{move} did not raise S"
        game.play(choose(legal, rng))


@pytest.mark.parametrize("variant", VARIANTS)
@settings(QUICK, max_examples=20)
@given(seed=SEEDS)
def test_every_random_game_ends_with_a_winner(variant: str, seed: int) -> None:
    rules = rules_for(variant)
    row = new_states(rules, 1)[0]
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    plies = int(random_playout(rules, row, work, moves, np.array([seed], np.uint64)))
    assert row[WINNER] >= 0
    assert RESULT_NAMES[row[RESULT]] in ("elimination", "territory", "sole_survivor", "stalemate", "lps")
    # A turn has at most some six moves besides chain captures, and each turn raises S or spends a ring of a hand.
    most = 2 * rules.board.num_cells + 2 * rules.num_rings
    assert plies < 8 * most
    final = read(state_text(rules, row))
    assert sum(final.rings(seat) for seat in range(rules.players)) + sum(final.eliminated) == rules.num_rings


@settings(QUICK, max_examples=400)
@given(seed=SEEDS, place=st.floats(0, 1), removed=st.integers(0, 3), put=st.text("0129-,;:|=xHSCRP", max_size=3))
@example(seed=0, place=0.0, removed=2, put="")
def test_a_damaged_state_text_is_refused_by_both_engines_or_means_the_same_to_both(
    seed: int, place: float, removed: int, put: str
) -> None:
    text = random_state("hex8_3p", random.Random(seed % 50))
    at = int(place * len(text))
    assert_read_alike("hex8_3p", text[:at] + put + text[at + removed :])


@settings(QUICK, max_examples=300)
@given(seed=SEEDS, changes=st.lists(st.sampled_from(TURN_CHANGES), min_size=1, max_size=3))
def test_a_state_text_with_another_turn_is_refused_by_both_engines_or_means_the_same_to_both(
    seed: int, changes: list[str]
) -> None:
    fields = dict(part.split("=") for part in random_state("hex8_3p", random.Random(seed % 50)).split(";"))
    stack = fields["S"].partition(":")[0] or "0,0"
    for change in changes:
        key, _, value = change.partition("=")
        fields[key] = stack if value == "stack" else value
    assert_read_alike("hex8_3p", ";".join(f"{key}={value}" for key, value in fields.items()))


@pytest.mark.parametrize("engine", [Game, PlainGame])
@settings(QUICK, max_examples=150)
@given(seed=SEEDS, place=st.floats(0, 1), removed=st.integers(0, 3), put=st.text("0129-,>:@#/.xPLRMVCS", max_size=3))
def test_a_damaged_move_text_is_refused_with_a_reason_and_changes_nothing(
    engine: type[Game] | type[PlainGame], seed: int, place: float, removed: int, put: str
) -> None:
    rng = random.Random(seed % 50)
    game = engine.from_text("hex8_3p", random_state("hex8_3p", rng))
    legal = game.legal()
    move = rng.choice(legal)
    at = int(place * len(move))
    damaged = move[:at] + put + move[at + removed :]
    before = game.text()
    if damaged in legal:
        game.play(damaged)
        assert game.moves == [damaged]
        return
    with pytest.raises(ValueError, match=r"[a-z]{3}") as caught:
        game.play(damaged)
    assert damaged in str(caught.value) or "board" in str(caught.value)
    assert (game.text(), game.moves) == (before, [])
