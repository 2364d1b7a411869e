"""What the soak's hosts wrote and which processes ran, kept apart from the loop that is being judged.

Sealed segments get a second name (a hard link) as soon as they are seen; of a journal, which a new worker may empty,
the longest state that was seen is kept. So every game that a worker wrote down whole can be counted in the end. A
journal's frames are parsed here by a few lines of their own, and not by the code under test.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import zstandard

_FRAME = struct.Struct("<II")
_ENDED = re.compile(r"worker (\S+) ends: (\d+) games finished")


@dataclass
class Verdict:
    """What was found in the end; everything but `emitted`, `games` and `twins` should be nought."""

    emitted: int = 0
    games: int = 0
    segments: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    twins: int = 0  # games that were played move by move alike; the ledger keeps the first
    unlogged: list[str] = field(default_factory=list)  # workers whose own log counts other games than their files hold
    leases: list[str] = field(default_factory=list)
    temporaries: list[str] = field(default_factory=list)
    slowest_s: float = 0.0  # from sealed to ingested


class Witness:
    """Looks at the hosts' folders and at this process's descendants, about twice a second."""

    def __init__(self, hosts: dict[str, Path], folder: Path) -> None:
        self._hosts, self._folder = hosts, folder
        self._linked: set[tuple[str, str]] = set()
        self._processes: dict[int, float] = {}

    def look(self) -> None:
        """Link new files, note the workers and whatever else was started by this process."""
        for name, root in self._hosts.items():
            for kind in ("open", "sealed"):
                with contextlib.suppress(FileNotFoundError):
                    for entry in os.scandir(root / "games" / kind):
                        self._link(name, entry)
            for record in (root / "workers").glob("*.pid.json"):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    self._note(json.loads(record.read_bytes())["pid"], root)
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                self._processes[process.pid] = process.create_time()

    def processes(self) -> list[psutil.Process]:
        """Those that were seen and still run."""
        alive = []
        for pid, started in self._processes.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
        return alive

    def judge(self, ledger: Path, incoming: Path, now: float) -> Verdict:
        """Compare what was written with what the ledger holds."""
        from ringrift_loop.selfplay.records import GameRecord, move_hash

        written: dict[str, bytes] = {}
        sealed: Counter[str] = Counter()
        sealed_at: dict[str, float] = {}
        by_worker: Counter[tuple[str, str]] = Counter()
        for host, name in sorted(self._linked):
            path = self._folder / host / name
            journal = name.endswith(".journal")
            for payload in _frames(path.read_bytes()) if journal else _lines(path.read_bytes()):
                game = str(json.loads(payload)["id"])
                if game not in written:
                    by_worker[host, json.loads(payload)["worker"]] += 1
                written[game] = payload
                sealed[game] += not journal
            if not journal:
                sealed_at[name] = path.stat().st_mtime
        verdict = Verdict(emitted=len(written))
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
            ids = [row[0] for row in db.execute("SELECT id FROM games")]
            hashes = {row[0] for row in db.execute("SELECT move_hash FROM games")}
            taken = dict(db.execute("SELECT name, ingested_at FROM segments").fetchall())
            verdict.leases = [row[0] for row in db.execute("SELECT name FROM leases WHERE expires_at > ?", (now,))]
        verdict.games, verdict.segments = len(ids), len(taken)
        for game in sorted(written.keys() - set(ids)):
            if move_hash(GameRecord.from_json(written[game])) in hashes:
                verdict.twins += 1
            else:
                verdict.lost.append(game)
        verdict.lost += [f"segment {name}" for name in sorted(sealed_at.keys() - taken.keys())]
        verdict.doubled = [game for game, number in sealed.items() if number > 1] + sorted(
            game for game, number in Counter(ids).items() if number > 1
        )
        verdict.unlogged = [
            f"{host} {worker}: its log says {number}, its files hold {by_worker[host, worker]}"
            for (host, worker), number in self._logged().items()
            if number != by_worker[host, worker]
        ]
        verdict.temporaries = [str(path) for path in incoming.rglob("*") if path.is_file()]
        verdict.temporaries += [str(path) for root in self._hosts.values() for path in (root / "games").rglob("*.tmp")]
        verdict.slowest_s = max((taken[name] - at for name, at in sealed_at.items() if name in taken), default=0.0)
        return verdict

    def _link(self, host: str, entry: os.DirEntry[str]) -> None:
        kept = self._folder / host / entry.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # sealed or taken between the two looks
            if entry.name.endswith(".journal"):
                data = Path(entry.path).read_bytes()
                if not kept.exists() or len(data) > kept.stat().st_size:
                    kept.write_bytes(data)
            elif not entry.name.endswith(".jsonl.zst") or (host, entry.name) in self._linked:
                return
            else:
                os.link(entry.path, kept)
            self._linked.add((host, entry.name))

    def _note(self, pid: int, root: Path) -> None:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if str(root) in process.cmdline():
                self._processes[pid] = process.create_time()

    def _logged(self) -> dict[tuple[str, str], int]:
        """Games of each worker that came to a clean end, as its own log says."""
        found: dict[tuple[str, str], int] = {}
        for host, root in self._hosts.items():
            for log in (root / "logs" / "selfplay").glob("*.log"):
                for worker, number in _ENDED.findall(log.read_text(errors="replace")):
                    found[host, worker] = int(number)
        return found


def _frames(data: bytes) -> list[bytes]:
    """The whole records of a journal."""
    records, at = [], 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(payload) < length or zlib.crc32(payload) != crc:
            break
        records.append(payload)
        at += _FRAME.size + length
    return records


def _lines(data: bytes) -> list[bytes]:
    """The records of a sealed segment, without its header."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data).split(b"\n")[1:-1]
