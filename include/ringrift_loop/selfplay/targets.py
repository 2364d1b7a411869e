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
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ringrift_loop.search
from ringrift_loop.engine.jit import kernel_decorator, wide
from ringrift_loop.errors import DataError
from ringrift_loop.search.pool import Harvest
from ringrift_loop.selfplay.entries import LEAST_WEIGHT, WEIGHT_SUM, policy_entries, write_entries

kernel = kernel_decorator(Path(__file__).parent, Path(ringrift_loop.search.__file__).parent)
allocating = kernel_decorator(Path(__file__).parent, Path(ringrift_loop.search.__file__).parent, allocates=True)

FULL_SEARCH, SURPRISE = 1, 2
MAX_SURPRISE = 32.0
"""Nats; no search says more: of a prior of 1e-9, the smallest that counts, it can be 20.8."""
MAX_ENTRIES = 4096
"""More of them are refused. Programs before LEAST_WEIGHT named every move that had a weight at all."""

_HEAD = struct.Struct("<HBH")
_ENTRY_BYTES = 4
_SURPRISE_BYTES = 2
_FIRST_ROOM = 1 << 14
"""Bytes of each game that notes have room for at first."""


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


def pack_targets(targets: Iterable[SearchTarget]) -> bytes:
    """The packed form of targets in the order of their plies."""
    targets = tuple(targets)
    if not targets:
        return b""
    room = sum(_HEAD.size + _ENTRY_BYTES * len(one.index) + 2 * len(one.value) + 2 * _SURPRISE_BYTES for one in targets)
    out, at = np.empty(room, np.uint8), 0
    for one in targets:
        told = one.value_surprise is not None
        assert (one.full and told) == (one.policy_surprise is not None), f"ply {one.ply} tells one of its two surprises"
        surprises = np.array([one.value_surprise or 0.0, one.policy_surprise or 0.0], np.float16).view(np.uint16)
        policy = (one.index, one.weight)
        at = _put_search(out, at, one.ply, one.full, told, policy, one.value.view(np.uint16), surprises)
    return out[:at].tobytes()


class TargetNotes:
    """What the searches of G games in play have found so far, in packed form."""

    def __init__(self, games: int, *, least: float = LEAST_WEIGHT) -> None:
        """Allocate for `games` games; `least` as in `policy_entries`."""
        self._least = least
        self._most = round(1 / least) if least > 0 else MAX_ENTRIES
        self._bytes = np.empty((games, _FIRST_ROOM), np.uint8)
        self._used = np.zeros(games, np.int64)

    def clear(self, slots: NDArray[np.int32]) -> None:
        """Begin games anew."""
        self._used[slots] = 0

    def add(
        self, slots: NDArray[np.int32], plies: NDArray[np.int64], full: NDArray[np.bool_], harvest: Harvest
    ) -> None:
        """Note the search of each slot [S], done before ply plies [S]: if full [S], with its policy."""
        needed = int(self._used.max()) + least_bytes(1, harvest.values.shape[1]) + _ENTRY_BYTES * self._most
        present = self._bytes.shape[1]
        if needed > present:
            grown = np.empty((len(self._bytes), max(needed, 2 * present)), np.uint8)
            grown[:, :present] = self._bytes
            self._bytes = grown
        values = harvest.values.astype(np.float16).view(np.uint16)
        surprises = harvest.surprises.astype(np.float16).view(np.uint16)
        policy = (harvest.policy, harvest.policy.view(np.uint32), harvest.bounds)
        _put_searches(slots, plies, full, *policy, self._least, values, surprises, self._bytes, self._used)

    def packed(self, slot: int) -> bytes:
        """What `pack_targets` would make of a slot's targets."""
        return self._bytes[slot, : self._used[slot]].tobytes()


@allocating
def _put_searches(
    slots: NDArray[np.int32],
    plies: NDArray[np.int64],
    full: NDArray[np.bool_],
    policies: NDArray[np.float32],
    bits: NDArray[np.uint32],
    bounds: NDArray[np.int64],
    least: float,
    values: NDArray[np.uint16],
    surprises: NDArray[np.uint16],
    out: NDArray[np.uint8],
    used: NDArray[np.int64],
) -> None:
    """Append the searches to the games [G] that they belong to; halves as their bits."""
    for s in range(len(slots)):
        g, first, end = slots[s], bounds[s], bounds[s + 1]
        index, weight = np.empty(end - first, np.uint16), np.empty(end - first, np.uint16)
        count = write_entries(policies[first:end], bits[first:end], least, index, weight) if full[s] else 0
        policy = (index[:count], weight[:count])
        used[g] = _put_search(out[g], used[g], plies[s], full[s], True, policy, values[s], surprises[s])


@kernel
def _put_search(
    out: NDArray[np.uint8],
    at: int,
    ply: int,
    full: bool,
    told: bool,
    policy: tuple[NDArray[np.uint16], NDArray[np.uint16]],
    value: NDArray[np.uint16],
    surprises: NDArray[np.uint16],
) -> int:
    """Write the packed form of one target, halves as their bits, and return where it ends."""
    index, weight = policy
    at = _put(out, at, ply)
    out[at] = FULL_SEARCH * full + SURPRISE * told
    at = _put(out, at + 1, len(index))
    for entry in range(len(index)):
        at = _put(out, at, wide(index[entry]))
        at = _put(out, at, wide(weight[entry]))
    for seat in range(len(value)):
        at = _put(out, at, wide(value[seat]))
    if told:
        for which in range(2 if full else 1):
            at = _put(out, at, wide(surprises[which]))
    return at


@kernel
def _put(out: NDArray[np.uint8], at: int, number: int) -> int:
    """Write a number of two bytes, little-endian, and return where it ends."""
    out[at], out[at + 1] = number & 0xFF, number >> 8
    return at + 2


def within(packed: bytes, players: int, plies: int, room: int) -> bytes:
    """A game's packed targets in at most `room` bytes: the longest policies name fewer moves.

    Raises:
        ValueError: not even a move of each policy has room; see `least_bytes`.
    """
    if len(packed) <= room:
        return packed
    targets = unpack_targets(packed, players, plies)
    lengths = np.array([len(target.index) for target in targets], np.int64)
    spare = room - len(packed) + _ENTRY_BYTES * int(lengths.sum())
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
