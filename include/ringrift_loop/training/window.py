"""The replay window as arrays: one row for each ply that was searched, in files that are mapped into memory.

Single-choice plies teach nothing about the policy and are left out; so are the random moves of an opening, after which
the outcome says little about the state before them. The arrays lie in the run's folder while it trains:
the states of a large board are mapped from there, not held in memory, and a killed run goes on with the same rows.
gather.py fills a window from the ledger's games; batches.py makes of it what the network is fed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine import moves as mv
from ringrift_loop.engine import state as st
from ringrift_loop.engine.rules import Rules
from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import arriving, write_json
from ringrift_loop.selfplay.records import ReplayedGame

FORMAT_VERSION = 4
MANIFEST = "window.json"


@dataclass(frozen=True)
class Window:
    """R rows of G games; P seats are always four, 0 for those that the variant lacks. Seats count from 0."""

    states: NDArray[np.int16]
    """[R, W]."""
    choices: NDArray[np.uint16]
    """[R]: legal moves, at least 2."""
    game: NDArray[np.int32]
    """[R]: number of the game, 0..G-1; rows of one game follow each other."""
    ply: NDArray[np.int32]
    """[R]."""
    searched: NDArray[np.uint8]
    """[R]: 1 if the row has a policy target, that is, comes from a full search."""
    policy_surprise: NDArray[np.float32]
    """[R]: divergence of the policy target from what its player expected, nats; NaN where no record tells it."""
    value_surprise: NDArray[np.float32]
    """[R]: divergence of the root value from what its player expected, nats; NaN where no record tells it."""
    root_value: NDArray[np.float32]
    """[R, 4]: the search's share of the win per seat."""
    target_start: NDArray[np.int64]
    """[R + 1]: a row's entries in the two arrays below; none for rows without a policy target."""
    target_move: NDArray[np.uint16]
    """[E]: index in the engine's order of legal moves."""
    target_weight: NDArray[np.float32]
    """[E]: probability; sums to 1 over the entries of a row."""
    swapped: NDArray[np.uint8]
    """[R]: 1 for the rows before a swap of sides: their seats 1 and 2 are the people who end up in seats 2 and 1."""
    outcome: NDArray[np.float32]
    """[G, 4]: share of the win per seat at the end."""
    owner: NDArray[np.int8]
    """[G, N]: who owns each cell at the end, -1 if no one."""
    score: NDArray[np.float32]
    """[G, 4, 2]: territory and eliminated rings at the end, over their targets."""
    plies: NDArray[np.int32]
    """[G]: length of the game."""
    bootstrap: NDArray[np.uint8]
    """[G]: 1 for the games that no model played."""
    host: NDArray[np.int32]
    """[G]: number of the host that played it."""
    validation: NDArray[np.uint8]
    """[G]: 1 for the games kept for validation."""

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.states)

    @property
    def num_games(self) -> int:
        """G."""
        return len(self.plies)

    def row_numbers(self, *, validation: bool) -> NDArray[np.int64]:
        """Numbers of the rows of the validation games, or of the others."""
        return np.flatnonzero(self.validation[self.game] == int(validation))


class WindowWriter:
    """Fills a window's files game by game; `finish` makes them valid."""

    def __init__(self, folder: Path, rules: Rules, *, rows: int, games: int) -> None:
        """Create the files.

        Args:
            folder: made if missing; files of an unfinished window are overwritten.
            rules: the variant.
            rows: room for rows.
            games: room for games.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        self._folder, self._rules = folder, rules
        self._room = (rows, games)
        self._rows = self._games = self._entries = 0
        cells = rules.board.num_cells
        self._states = np.lib.format.open_memmap(
            folder / "states.npy", mode="w+", dtype=np.int16, shape=(max(rows, 1), rules.width)
        )
        self._by_row: dict[str, NDArray[np.generic]] = {
            "choices": np.empty(rows, np.uint16),
            "game": np.empty(rows, np.int32),
            "ply": np.empty(rows, np.int32),
            "searched": np.zeros(rows, np.uint8),
            "policy_surprise": np.full(rows, np.nan, np.float32),
            "value_surprise": np.full(rows, np.nan, np.float32),
            "root_value": np.zeros((rows, 4), np.float32),
            "swapped": np.zeros(rows, np.uint8),
        }
        self._by_game: dict[str, NDArray[np.generic]] = {
            "outcome": np.zeros((games, 4), np.float32),
            "owner": np.empty((games, cells), np.int8),
            "score": np.zeros((games, 4, 2), np.float32),
            "plies": np.empty(games, np.int32),
            "bootstrap": np.zeros(games, np.uint8),
            "host": np.zeros(games, np.int32),
            "validation": np.zeros(games, np.uint8),
        }
        self._target_start = np.zeros(rows + 1, np.int64)
        self._target_moves: list[NDArray[np.uint16]] = []
        self._target_weights: list[NDArray[np.float32]] = []

    def add(self, replayed: ReplayedGame, *, validation: bool, bootstrap: bool = False, host: int = 0) -> None:
        """Append a game that replayed through the engine, and all its plies that were searched.

        Args:
            replayed: the game.
            validation: whether it is kept for validation.
            bootstrap: whether no model played it.
            host: number of the host that played it.

        Raises:
            DataError: there is no room: it has more rows than the ledger said.
        """
        plies = np.array([target.ply for target in replayed.targets], np.int64)
        part = slice(self._rows, self._rows + len(plies))
        if part.stop > self._room[0] or self._games >= self._room[1]:
            raise DataError(f"a game has {len(plies)} searched plies, more than the ledger says")
        self._states[part] = replayed.states[plies]
        self._by_row["choices"][part] = replayed.choices[plies]
        self._by_row["game"][part] = self._games
        self._by_row["ply"][part] = plies
        swaps = np.flatnonzero((replayed.moves & 0xFF) == mv.SW)
        self._by_row["swapped"][part] = plies <= (swaps[-1] if len(swaps) else -1)
        self._add_targets(replayed, part)
        self._add_results(replayed)
        self._by_game["bootstrap"][self._games] = bootstrap
        self._by_game["host"][self._games] = host
        self._by_game["validation"][self._games] = validation
        self._rows = part.stop
        self._games += 1

    def finish(self, digest: str) -> Window:
        """Write everything to disk, then the manifest with the digest of the window's plan; return the window."""
        self._states.flush()
        arrays = {name: array[: self._rows] for name, array in self._by_row.items()}
        arrays |= {name: array[: self._games] for name, array in self._by_game.items()}
        arrays["target_start"] = self._target_start[: self._rows + 1]
        arrays["target_move"] = np.concatenate([np.empty(0, np.uint16), *self._target_moves])
        arrays["target_weight"] = np.concatenate([np.empty(0, np.float32), *self._target_weights])
        for name, array in arrays.items():
            with arriving(self._folder / f"{name}.npy") as file:
                np.save(file, array, allow_pickle=False)
        write_json(self._folder / MANIFEST, {"v": FORMAT_VERSION, "digest": digest, "rows": self._rows})
        window = open_window(self._folder, digest)
        assert window is not None
        return window

    def _add_targets(self, replayed: ReplayedGame, part: slice) -> None:
        searched, root_value = self._by_row["searched"], self._by_row["root_value"]
        for name in ("policy_surprise", "value_surprise"):
            told = [getattr(target, name) for target in replayed.targets]
            self._by_row[name][part] = np.array(told, np.float32)  # None becomes NaN
        lengths = np.zeros(len(replayed.targets), np.int64)
        for row, target in enumerate(replayed.targets, part.start):
            root_value[row, : self._rules.players] = target.value.astype(np.float32) / np.float32(
                target.value.sum(dtype=np.float32)
            )
            if target.full:
                searched[row] = 1
                lengths[row - part.start] = len(target.index)
                self._target_moves.append(target.index)
                self._target_weights.append((target.weight / float(target.weight.sum())).astype(np.float32))
        self._target_start[part.start + 1 : part.stop + 1] = self._entries + np.cumsum(lengths)
        self._entries += int(lengths.sum())

    def _add_results(self, replayed: ReplayedGame) -> None:
        rules, players, number = self._rules, self._rules.players, self._games
        end = replayed.states[-1]
        winner = -1 if replayed.winner is None else replayed.winner - 1
        results = self._by_game
        results["outcome"][number, :players] = 1.0 / players if winner < 0 else np.arange(players) == winner
        results["owner"][number] = end[rules.owner : rules.owner + rules.board.num_cells]
        results["score"][number, :players, 0] = end[st.TERR : st.TERR + players] / rules.territory_target
        results["score"][number, :players, 1] = end[st.ELIM : st.ELIM + players] / rules.elimination_target
        results["plies"][number] = len(replayed.moves)


def open_window(folder: Path, digest: str) -> Window | None:
    """The finished window in a folder; None if there is none, or it was made by another plan.

    Raises:
        DataError: its files are damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["v"] != FORMAT_VERSION or manifest["digest"] != digest:
            return None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the replay window in {folder} is damaged: {MANIFEST}: {error!r}; delete the folder"
        ) from error
    try:
        arrays = {
            field.name: np.load(
                folder / f"{field.name}.npy", mmap_mode="r" if field.name == "states" else None, allow_pickle=False
            )
            for field in fields(Window)
        }
        arrays["states"] = arrays["states"][: manifest["rows"]]
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise DataError(f"the replay window in {folder} is damaged: {error!r}; delete the folder") from error
    return Window(**arrays)
