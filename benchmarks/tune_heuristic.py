"""Tunes the weights of the heuristic by games: a fit to results, then matches between neighbours.

    python benchmarks/tune_heuristic.py --variant square8_2p --seconds 300

1. The present weights play games, some of them partly at random; a softmax regression predicts the winner from the
   features of every position (weights shared by all seats). Fitted weights play the next round of games.
2. They climb by matches: opposite neighbours meet each other and random players (same opening, every seat).

The last line is JSON: the weights and the win rate against random players.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import (
    apply_move,
    legal_moves,
    make_work,
    new_states,
    random_below,
    truncate,
)
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY, TO_PLAY, WINNER
from ringrift_loop.search.features import FEATURES, NUM_FEATURES, write_features
from ringrift_loop.search.heuristic import heuristic_weights, score_moves
from ringrift_loop.search.randomness import uniform
from ringrift_loop.search.tally import make_tally, tally_board

RIDGE = 1e-3
SHAKE, GAIN, OPENINGS = 0.3, 1.0, 40
ROWS_PER_GAME = 40
_kernel = numba.njit(nogil=True, error_model="numpy")


@_kernel
def play_games(
    rules: Rules,
    starts: NDArray[np.int16],
    weights: NDArray[np.float64],
    luck: NDArray[np.float64],
    opening_plies: int,
    seeds: NDArray[np.uint64],
    work: Any,
    tally: Any,
    winners: NDArray[np.int64],
    features: NDArray[np.float64],
    row_game: NDArray[np.int64],
) -> int:
    """Play a game from each start [G, W].

    Seat s of game g moves by weights[g, s] or, with probability luck[g, s], at random.

    Writes winners [G] (-1: cut off) and, while there is room, features [R, P, F] of positions with a choice and their
    game [R]; returns the number of rows.
    """
    seats = rules.core.players
    moves = np.empty(rules.max_moves, np.int64)
    scores = np.empty(rules.max_moves, np.float32)
    child = np.empty(rules.core.width, np.int16)
    scratch = np.empty((seats, NUM_FEATURES), np.float64)
    shares = np.empty(seats, np.float64)
    rows = 0
    for g in range(len(starts)):
        state, own, choices = starts[g], seeds[g : g + 1], 0
        while state[PHASE] != GAME_OVER:
            count = legal_moves(rules, state, work, moves)
            place = 0
            if state[PLY] >= rules.ply_budget:
                truncate(state)
                break
            if count > 1:
                choices += 1
                seat = state[TO_PLAY]
                if rows < len(row_game) and choices > opening_plies:
                    tally_board(rules.core, state, tally)
                    write_features(rules.core, state, tally.before, features[rows])
                    row_game[rows] = g
                    rows += 1
                if choices <= opening_plies or uniform(own) < luck[g, seat]:
                    place = random_below(own, count)
                else:
                    used = (child, scratch, shares, scores)
                    score_moves(rules, state, moves[:count], work, tally, weights[g, seat], *used)
                    best = np.max(scores[:count])
                    ties = 0
                    for other in range(count):  # a random one of the best
                        if scores[other] >= best - 1e-6:
                            ties += 1
                            if random_below(own, ties) == 0:
                                place = other
            apply_move(rules, state, work, moves[place])
        winners[g] = state[WINNER]
    return rows


class Bench:
    """Plays batches of games of one variant."""

    def __init__(self, variant: str, seed: int) -> None:
        self.rules = rules_for(variant)
        self.players = self.rules.players
        self.chance = 1.0 / self.players
        self._random = np.random.default_rng(seed)

    def rows(self, weights: NDArray[np.float64], games: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Features [R, P, F] of positions from games among copies of the weights, and who won from there [R]."""
        everyone = np.broadcast_to(weights, (games, self.players, NUM_FEATURES)).copy()
        luck = np.repeat(self._random.choice([0.0, 0.1, 0.3, 1.0], games)[:, None], self.players, axis=1)
        winners, features, game = self._play(everyone, luck, 8, games * ROWS_PER_GAME)
        kept = winners[game] >= 0
        return features[kept], winners[game][kept]

    def win_rate(self, one: NDArray[np.float64], other: NDArray[np.float64] | None, openings: int) -> float:
        """Share of games that `one` wins alone against copies of `other`, or of random players (None)."""
        games = openings * self.players
        hero = np.arange(games) % self.players
        everyone = np.broadcast_to(one if other is None else other, (games, self.players, NUM_FEATURES)).copy()
        everyone[np.arange(games), hero] = one
        luck = np.full((games, self.players), 0.0 if other is not None else 1.0)
        luck[np.arange(games), hero] = 0.0
        seeds = np.repeat(self._random.integers(0, 1 << 63, openings), self.players)
        winners, _, _ = self._play(everyone, luck, 4, 0, seeds)
        return float(np.mean(winners == hero))

    def _play(
        self,
        weights: NDArray[np.float64],
        luck: NDArray[np.float64],
        opening_plies: int,
        rows: int,
        seeds: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        games = len(weights)
        if seeds is None:
            seeds = self._random.integers(0, 1 << 63, games)
        winners = np.empty(games, np.int64)
        features = np.empty((rows, self.players, NUM_FEATURES))
        row_game = np.empty(rows, np.int64)
        states, work, tally = new_states(self.rules, games), make_work(self.rules), make_tally(self.rules)
        scratch = (seeds.astype(np.uint64), work, tally, winners, features, row_game)
        used = play_games(self.rules, states, weights, luck, opening_plies, *scratch)
        return winners, features[:used], row_game[:used]


def fit(features: NDArray[np.float64], winner: NDArray[np.int64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax regression of the winner [R] on the seats' features [R, P, F] with a small ridge; returns weights [F]."""
    rows = np.arange(len(winner))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = features @ weights
        scores -= scores.max(axis=1, keepdims=True)
        share = np.exp(scores)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        value = float(np.mean(np.log(total[:, 0]) - scores[rows, winner])) + 0.5 * RIDGE * float(weights @ weights)
        return value, share

    weights = np.zeros_like(start)
    value, share = loss(weights)
    for _ in range(20):
        expected = np.einsum("rp,rpf->rf", share, features)
        gradient = (features[rows, winner] - expected).mean(axis=0) - RIDGE * weights
        centred = features - expected[:, None, :]
        weighted = centred * share[:, :, None]
        flat = NUM_FEATURES
        curvature = centred.reshape(-1, flat).T @ weighted.reshape(-1, flat) / len(winner) + RIDGE * np.eye(flat)
        step = np.linalg.solve(curvature, gradient)
        while np.abs(step).max() > 1e-4:  # Newton's step, halved until it helps
            new_value, new_share = loss(weights + step)
            if new_value < value:
                break
            step /= 2
        else:
            break
        weights, value, share = weights + step, new_value, new_share
    return weights


def climb(bench: Bench, weights: NDArray[np.float64], seconds: float, seed: int) -> NDArray[np.float64]:
    """Climb by matches until the time is over: two opposite neighbours meet each other and random players.

    Simultaneous perturbation (Spall 1992): every weight is shaken at once, so a step costs four matches whatever their
    number. The weights move towards the neighbour that did better; wins over random players count too, since copies of
    one style alone can drift into another that careless opponents upset.
    """
    random = np.random.default_rng(seed)
    best, began, step = weights.copy(), time.process_time(), 0
    scale = SHAKE * np.maximum(np.abs(weights), 0.3)
    while time.process_time() - began < seconds:
        shake = random.choice([-1.0, 1.0], NUM_FEATURES) * scale
        up = bench.win_rate(best + shake, best - shake, OPENINGS)
        down = bench.win_rate(best - shake, best + shake, OPENINGS)
        up_random = bench.win_rate(best + shake, None, OPENINGS)
        down_random = bench.win_rate(best - shake, None, OPENINGS)
        best += GAIN * (0.5 * (up - down) + (up_random - down_random)) * shake
        step += 1
        if step % 20 == 0:
            rate, over_random = bench.win_rate(best, weights, 100), bench.win_rate(best, None, 100)
            seconds_used = time.process_time() - began
            print(
                f"{seconds_used:.0f} s, {step} steps: {rate:.3f} against the start, {over_random:.3f} random",
                flush=True,
            )
    return best


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Tune the weights of the heuristic by games.")
    parser.add_argument("--variant", required=True, help="such as square8_2p")
    parser.add_argument("--seconds", type=float, default=300.0, help="processor time for the matches, s (default 300)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of playing and fitting (default 3)")
    parser.add_argument("--games", type=int, default=1000, help="games per round (default 1000)")
    parser.add_argument("--start", help="JSON object of weights by name to start from (default: the shipped ones)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", action="store_true", help="accepted as by the other benchmarks: the last line is JSON"
    )
    args = parser.parse_args()
    bench = Bench(args.variant, args.seed)
    weights = heuristic_weights(bench.rules).copy()
    if args.start:
        given = json.loads(args.start)
        weights = np.array([float(given[name]) for name in FEATURES])
    print("at the start, against random:", bench.win_rate(weights, None, 300), flush=True)
    for number in range(args.rounds):
        features, winner = bench.rows(weights, args.games)
        fitted = fit(features, winner, weights)
        rate = bench.win_rate(fitted, weights, 300)
        over_random = bench.win_rate(fitted, None, 300)
        print(f"round {number}: {rate:.3f} against the last weights, {over_random:.3f} random", flush=True)
        if rate > bench.chance:
            weights = fitted
    climbed = climb(bench, weights, args.seconds, args.seed)
    rate = bench.win_rate(climbed, weights, 500)
    before, after = bench.win_rate(weights, None, 500), bench.win_rate(climbed, None, 500)
    print(f"climbed: {rate:.3f} against the start; against random {after:.3f}, before {before:.3f}")
    if rate > bench.chance and after > before - 0.01:
        weights = climbed
    named = {name: round(float(value), 3) for name, value in zip(FEATURES, weights, strict=True)}
    over_random = bench.win_rate(weights, None, 1000)
    print(json.dumps({"variant": args.variant, "against_random": over_random, "weights": named}))


if __name__ == "__main__":
    main()
