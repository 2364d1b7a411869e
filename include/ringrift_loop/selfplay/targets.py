"""What a game's searches found, packed for its record: policy targets and root values, a few bytes a move.

    per searched ply: ply u16, flags u8, n u16, n x (index u16, weight u16), P x root value f16,
        value surprise f16, policy surprise f16                                                      (little-endian)

`index` counts in the engine's order of legal moves, `weight` is a share of 65,535, root values are shares of the win
per seat, seat 1 first. Only full searches have entries (flag FULL_SEARCH). Where the flag SURPRISE says so, a search
tells how far its value and, a full one, its policy lie from what its player expected. A policy names the moves of some
weight, and of the many light ones of a large board some that stand for the others; see `policy_entries`. So the targets
of a game can be brought to any length that leaves each of them a move.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ringrift_loop.search
from ringrift_loop.engine.jit import kernel_decorator, wide
from ringrift_loop.errors import DataError

kernel = kernel_decorator(Path(__file__).parent, Path(ringrift_loop.search.__file__).parent)

FULL_SEARCH, SURPRISE = 1, 2
MAX_SURPRISE = 32.0
"""Nats; no search says more: of a prior of 1e-9, the smallest that counts, it can be 20.8."""
WEIGHT_SUM = 65_535
MAX_ENTRIES = 4096
"""More of them are refused. Programs before LEAST_WEIGHT named every move that had a weight at all."""
LEAST_WEIGHT = 1 / 256
"""Share of the policy below which moves are drawn by lot, so that a policy names 256 moves at most. A game of hexagonal
has a quarter of the bytes that it has with all moves, and a sixth in a segment (docs/log.md, 2026-11-29)."""

_HEAD = struct.Struct("<HBH")
_ENTRY_BYTES = 4
_SURPRISE_BYTES = 2


@dataclass(frozen=True)
class SearchTarget:
    """What the search at one ply found."""

    ply: int
    """Moves played before it, counted from 0."""
    full: bool
    """Whether `index` and `weight` are a policy target."""
    index: NDArray[np.uint16]
    """[n] places in the engine's list of legal moves."""
    weight: NDArray[np.uint16]
    """[n] sum to WEIGHT_SUM."""
    value: NDArray[np.float16]
    """[P] the root's share of the win per seat."""
    policy_surprise: float | None = None
    """KL(policy || prior) of a full search, nats; None where the record does not tell, as older ones do not."""
    value_surprise: float | None = None
    """KL(value || the root's own evaluation), nats; None as above."""


def policy_entries(
    policy: NDArray[np.float32], least: float = LEAST_WEIGHT
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The places of the moves that a policy target names, and their weights: at most 1 / `least` of them.

    Moves with less than `least` are drawn by lot, each as often as it has weight, and stand for the others: on average
    every move keeps its share, so what a network learns is the policy. Without the others' share, a search that finds
    hundreds of moves about equal would teach the few above `least`. The lot is systematic: one number, drawn from the
    policy itself, places evenly spaced marks along the light moves' weights. Weights are rounded so that they sum to
    WEIGHT_SUM: the largest remainders are rounded up.

    Args:
        policy: [K], sums to 1.
        least: one over a whole number; 0 names every move that has a weight at all.
    """
    index, weight = np.empty(len(policy), np.uint16), np.empty(len(policy), np.uint16)
    count = _write_entries(policy, least, zlib.crc32(policy.tobytes()) / 2.0**32, index, weight)
    return index[:count].copy(), weight[:count].copy()


@kernel
def _write_entries(
    policy: NDArray[np.float32],
    least: float,
    lot: float,
    index: NDArray[np.uint16],
    weight: NDArray[np.uint16],
) -> int:
    """Write what `policy_entries` returns to the arrays [K] and return how many moves are named."""
    total = 0.0
    for place in range(len(policy)):
        total += policy[place]
    light, drawn, mass = np.zeros(len(policy)), np.zeros(len(policy)), 0.0
    for place in range(len(policy)):
        share = policy[place] / total
        if share < least:
            light[place] = share
            mass += share
        else:
            drawn[place] = share
    marks = int(np.rint(mass / least)) if least > 0.0 else 0
    if marks > 0:
        for place in systematic_sample(light, marks, lot):
            drawn[place] += mass / marks
    exact = drawn / drawn.sum() * WEIGHT_SUM
    whole = np.floor(exact)
    missing = WEIGHT_SUM - int(whole.sum())
    if missing > 0:
        for place in np.argsort(whole - exact, kind="mergesort")[:missing]:
            whole[place] += 1.0
    count = 0
    for place in range(len(policy)):
        if whole[place] > 0.0:
            index[count], weight[count] = place, int(whole[place])
            count += 1
    return count


@kernel
def systematic_sample(weights: NDArray[np.float64], count: int, lot: float) -> NDArray[np.int64]:
    """Draw `count` places, in order, each as often as its share of the weights says, rounded up or down by one lot.

    Evenly spaced marks along the sum of the weights; the lot, 0 to 1, says how far the first is from the start. Over
    all lots a place is drawn exactly as often as its share (Madow 1949).
    """
    places = np.empty(count, np.int64)
    step = weights.sum() / count
    drawn, last, reached = 0, 0, 0.0
    for place in range(len(weights)):
        if weights[place] > 0.0:
            last = place
            reached += weights[place]
        while drawn < count and (drawn + lot) * step < reached:
            places[drawn] = place
            drawn += 1
    places[drawn:] = last  # the sums are rounded
    return places


def pack_targets(targets: Iterable[SearchTarget]) -> bytes:
    """The packed form of targets in the order of their plies."""
    targets = tuple(targets)
    if not targets:
        return b""
    told = np.array([target.value_surprise is not None for target in targets])
    full = np.array([target.full for target in targets])
    surprises = np.array([(target.value_surprise or 0.0, target.policy_surprise or 0.0) for target in targets], "<f2")
    for target in targets:
        both = target.full and target.value_surprise is not None
        assert both == (target.policy_surprise is not None), f"ply {target.ply} tells one of its two surprises"
    counts = np.array([len(target.index) for target in targets], np.int64)
    values = np.stack([target.value for target in targets]).astype("<f2")
    own = _HEAD.size + 2 * values.shape[1]
    room = own * len(targets) + _ENTRY_BYTES * int(counts.sum()) + _SURPRISE_BYTES * int((told * (1 + full)).sum())
    out = np.empty(room, np.uint8)
    _pack(
        np.array([target.ply for target in targets], np.uint16),
        full,
        told,
        counts,
        np.concatenate([target.index for target in targets]),
        np.concatenate([target.weight for target in targets]),
        values.view(np.uint16),
        surprises.view(np.uint16),
        out,
    )
    return out.tobytes()


@kernel
def _pack(
    plies: NDArray[np.uint16],
    full: NDArray[np.bool_],
    told: NDArray[np.bool_],
    counts: NDArray[np.int64],
    index: NDArray[np.uint16],
    weight: NDArray[np.uint16],
    values: NDArray[np.uint16],
    surprises: NDArray[np.uint16],
    out: NDArray[np.uint8],
) -> None:
    """Write the packed form of n targets to `out`; halves as their bits."""
    at, entry = wide(0), 0
    for n in range(len(plies)):
        at = _put(out, at, wide(plies[n]))
        out[at] = FULL_SEARCH * full[n] + SURPRISE * told[n]
        at = _put(out, at + 1, wide(counts[n]))
        for _ in range(counts[n]):
            at = _put(out, at, wide(index[entry]))
            at = _put(out, at, wide(weight[entry]))
            entry += 1
        for seat in range(values.shape[1]):
            at = _put(out, at, wide(values[n, seat]))
        if told[n]:
            for which in range(2 if full[n] else 1):
                at = _put(out, at, wide(surprises[n, which]))


@kernel
def _put(out: NDArray[np.uint8], at: int, number: int) -> int:
    """Write a number of two bytes, little-endian, and return where it ends."""
    out[at], out[at + 1] = number & 0xFF, number >> 8
    return at + 2


def pack_within(targets: Sequence[SearchTarget], room: int) -> bytes:
    """The packed form of a game's targets in at most so many bytes: the longest policies name fewer moves.

    Raises:
        ValueError: not even a move of each policy has room; see `least_bytes`.
    """
    packed = pack_targets(targets)
    lengths = np.array([len(target.index) for target in targets], np.int64)
    spare = room - len(packed) + _ENTRY_BYTES * int(lengths.sum())
    if len(packed) <= room:
        return packed
    # The most moves a policy with which all fit: how many of the numbers from 1 on are not too many.
    most = bisect_right(
        range(1, int(lengths.max()) + 1), spare, key=lambda most: _ENTRY_BYTES * int(np.minimum(lengths, most).sum())
    )
    if most == 0:
        raise ValueError(f"{len(targets)} targets do not fit into {room} bytes, not even with a move each")
    return pack_targets(_shortened(target, most) for target in targets)


def least_bytes(targets: int, players: int) -> int:
    """How many bytes so many targets of full searches need when each names one move."""
    return targets * (_HEAD.size + _ENTRY_BYTES + 2 * players + 2 * _SURPRISE_BYTES)


def _shortened(target: SearchTarget, most: int) -> SearchTarget:
    if len(target.index) <= most:
        return target
    kept, weight = policy_entries(target.weight.astype(np.float32), 1 / most)
    return replace(target, index=target.index[kept], weight=weight)


def unpack_targets(data: bytes, players: int, plies: int) -> list[SearchTarget]:
    """The targets of a game of that many seats and plies.

    Raises:
        DataError: the bytes are not such targets: cut off, plies out of order or beyond the game, unknown flags, a
            policy that is missing, unexpected, unsorted or does not sum to one, values that are not shares, a
            surprise that is no divergence.
    """
    heads: list[tuple[int, int]] = []  # ply and entries
    entries_of, values_of = [], []
    surprises: list[tuple[float | None, float | None]] = []
    at, last = 0, -1
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise DataError(f"targets end in the middle of a head, at byte {at}")
        ply, flags, count = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        middle = at + _ENTRY_BYTES * count
        after = middle + 2 * players
        full, told = bool(flags & FULL_SEARCH), bool(flags & SURPRISE)
        end = after + told * (1 + full) * _SURPRISE_BYTES
        if not last < ply < plies or flags > FULL_SEARCH | SURPRISE or count > MAX_ENTRIES or end > len(data):
            raise DataError(
                f"target {len(heads)} has ply {ply}, flags {flags} and {count} entries after ply {last} of {plies}"
            )
        if full != bool(count):
            raise DataError(f"the target of ply {ply} has flags {flags} and {count} entries")
        heads.append((ply, count))
        entries_of.append(data[at:middle])
        values_of.append(data[middle:after])
        surprises.append(_surprises(data[after:end], ply))
        at, last = end, ply
    # All at once: an array for each target takes several times as long.
    entries = np.frombuffer(b"".join(entries_of), "<u2").reshape(-1, 2).astype(np.uint16)
    index, weight = np.ascontiguousarray(entries[:, 0]), np.ascontiguousarray(entries[:, 1])
    value = np.frombuffer(b"".join(values_of), "<f2").reshape(-1, players).astype(np.float16)
    _check(heads, index, weight, value)
    targets, first = [], 0
    for (ply, count), shares, (policy_surprise, value_surprise) in zip(heads, value, surprises, strict=True):
        end = first + count
        policy = (index[first:end], weight[first:end])
        targets.append(SearchTarget(ply, count > 0, *policy, shares, policy_surprise, value_surprise))
        first = end
    return targets


def _surprises(data: bytes, ply: int) -> tuple[float | None, float | None]:
    """The surprises of policy and value in a target's last bytes."""
    told: tuple[float, ...] = struct.unpack(f"<{len(data) // _SURPRISE_BYTES}e", data)
    for surprise in told:
        if not 0.0 <= surprise <= MAX_SURPRISE:  # NaN is not
            raise DataError(f"the surprise of ply {ply} must be 0 to {MAX_SURPRISE:g} nats, got {surprise:g}")
    value, policy = (*told, None, None)[:2]
    return policy, value


def _check(
    heads: list[tuple[int, int]], index: NDArray[np.uint16], weight: NDArray[np.uint16], value: NDArray[np.float16]
) -> None:
    """Check the policies and values of all targets."""
    shares = value.astype(np.float64)
    # Sums of rounded half-precision numbers are within 0.01 of 1. A comparison with NaN is false.
    with np.errstate(invalid="ignore"):  # infinities of both signs
        fits = ((shares >= 0) & (shares <= 1)).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) < 0.01)
    if not fits.all():
        wrong = int(fits.argmin())
        raise DataError(
            f"the root value of ply {heads[wrong][0]} must be shares of one win, got {shares[wrong].tolist()}"
        )
    full = [head for head in heads if head[1]]
    if not full:
        return
    starts = np.cumsum([0, *(count for _, count in full)])[:-1]
    sums = np.add.reduceat(weight, starts, dtype=np.int64)
    if (sums != WEIGHT_SUM).any():
        wrong = int((sums != WEIGHT_SUM).argmax())
        raise DataError(f"the policy of ply {full[wrong][0]} must sum to {WEIGHT_SUM}, got {int(sums[wrong])}")
    steps = np.diff(index.astype(np.int64))
    steps[starts[1:] - 1] = 1  # from one policy to the next
    if (steps <= 0).any():
        place = int((steps <= 0).argmax()) + 1
        wrong = int(np.searchsorted(starts, place, side="right")) - 1
        raise DataError(f"the policy of ply {full[wrong][0]} must name each move once, in order")
