"""Compiles the kernels once, at set-up: never in the first game, never twice at the same time.

The machine code goes to disk (jit.py); every later process loads it in about a second. Packages with kernels of their
own use `compile_once` in the same way.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from ringrift_loop.engine import kernels
from ringrift_loop.engine.game import Game
from ringrift_loop.engine.jit import cache_folder
from ringrift_loop.machine.locks import locked

_KEEP_DAYS = 30
"""Machine code of other sources that nobody has compiled for so long is removed."""


def compile_kernels(out: TextIO | None = None) -> bool:
    """Make the engine's kernels ready in this process; return whether they had to be compiled.

    Compiling takes about half a minute and is announced by a line on `out` (stderr if None). Processes that start at
    the same time wait for the first one.
    """
    return compile_once(cache_folder(), "rules", _call_each_kernel, out)


def compile_once(folder: Path, name: str, call_each: Callable[[], None], out: TextIO | None = None) -> bool:
    """Call kernels so that they are loaded, or compiled if nobody has done so yet; return whether they were compiled.

    Args:
        folder: where the machine code lies, from `jit.cache_folder`.
        name: what is compiled, for the line on `out` and the files of this function.
        call_each: calls every kernel once with the types that it will be called with.
        out: where compiling is announced; stderr if None.
    """
    out = sys.stderr if out is None else out
    # Machine code is good for one kind of processor, and the folder may be shared between hosts.
    ready = folder / f"{name}-{_processor()}.ready"
    if ready.exists():
        call_each()
        return False
    with locked(folder / f"{name}.lock"):
        compiles = not ready.exists()
        started = time.perf_counter()
        if compiles:
            out.write(f"Compiling the {name} kernels for this machine, once (about a minute) ... ")
            out.flush()
        call_each()
        if compiles:
            ready.touch()
            out.write(f"done in {time.perf_counter() - started:.0f} s, kept in {folder}\n")
            out.flush()
            _remove_old(folder)
    return compiles


def _processor() -> str:
    return str(llvm.get_host_cpu_name())


def _call_each_kernel() -> None:
    game = Game("square8_2p")
    rules, row, work = game.rules, game.row, kernels.make_work(game.rules)
    moves = np.empty(rules.max_moves, np.int64)
    kernels.legal_moves(rules, row, work, moves)
    kernels.apply_move(rules, row, work, int(moves[0]))
    states, choices = np.stack([row, row]), np.empty(1, np.int32)
    kernels.follow(rules, states, work, np.empty_like(moves), np.array([-1]), choices, 0)
    kernels.play_forced(rules, row, work, moves, np.empty(16, np.int64), 0)
    kernels.has_real_action(rules, row, 0)
    rng_state = np.array([1], np.uint64)
    kernels.random_below(rng_state, 2)
    kernels.random_playout(rules, row, work, moves, rng_state)
    kernels.outcome(rules, row, np.empty(2, np.float32))
    kernels.places(rules, row, np.empty(2, np.int64))
    kernels.truncate(row)
    # Reading a state and naming a region call a few small kernels directly.
    _play_to_a_region(Game.from_text("square8_2p", _REGION_STATE))
    Game.from_text("square8_2p", _FINISHED_STATE)


_REGION_STATE = "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,1;S=0,0:2|7,7:1;M=0,2:1|1,1:1|2,0:1;C=5,5:2"
_FINISHED_STATE = "ph=GO;cp=1;w=1;pe=0;mm=-;at=-;H=5,5;E=18,0;T=0,0;S=7,7:1;M=;C="


def _play_to_a_region(game: Game) -> None:
    game.play(next(text for text in game.legal() if text.startswith("TR:")))


def _remove_old(folder: Path) -> None:
    for other in folder.parent.glob("kernels-*"):
        if other != folder and time.time() - other.stat().st_mtime > _KEEP_DAYS * 86400:
            shutil.rmtree(other, ignore_errors=True)
