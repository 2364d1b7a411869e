"""Segments: how finished games lie on a host's disk until the coordinator has taken them.

A worker appends each record to its slot's open journal, framed with length and CRC. Every few seconds the journal is
sealed: compressed to a hidden name, synced, renamed. A sealed segment never changes. The journal's own name carries
epoch and number, so a killed worker goes on where it was:

    games/open/<slot>-<epoch>-<seq>.journal            frames: length u32, crc32 u32, payload
    games/sealed/<epoch>-<seq>-<n>-<sha16>.jsonl.zst   a header line, then n records, one a line

`epoch` is a random id of one slot of one data folder; numbers run 1, 2, 3, ... within it without a gap. When the
journal is gone (a folder made anew) a new epoch starts. The last sealed segment of an epoch stays on the host until
a later one was taken (`cluster.sync`): it shows that a journal left behind by a crash was sealed already.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import zstandard

from ringrift_loop.errors import DataError, NoCapacity
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.machine.files import rename_durably, sync_folder
from ringrift_loop.machine.locks import locked

FORMAT = "ringrift-segment"
VERSION = 1
MAX_RECORD_BYTES = 4 << 20
MAX_SEGMENT_BYTES = 64 << 20  # uncompressed, header included
MAX_SEGMENT_RECORDS = 100_000
MAX_SLOT = 9999  # a journal's name has room for four digits

_FRAME = struct.Struct("<II")
_LEVEL = 6  # 2.9 kB a game instead of level 3's 3.1, at 1 ms CPU a game
_JOURNAL_NAME = re.compile(r"(\d{1,4})-([0-9a-f]{16})-(\d{8})\.journal")
_SEGMENT_NAME = re.compile(r"([0-9a-f]{16})-(\d{8})-(\d{1,6})-([0-9a-f]{16})\.jsonl\.zst")


class UnknownVersionError(DataError):
    """The segment was written by another version of the program; not damaged, and not to be thrown away."""


@dataclass(frozen=True, order=True)
class SegmentName:
    """What a sealed segment's file name says; sorts by epoch and number."""

    epoch: str
    seq: int
    records: int
    sha16: str  # first 16 hex digits of the file's sha256

    @classmethod
    def parse(cls, name: str) -> SegmentName:
        """Read a file name.

        Raises:
            DataError: it is not the name of a sealed segment, or its numbers are out of range.
        """
        match = _SEGMENT_NAME.fullmatch(name)
        if match is None:
            raise DataError(f"a segment is named <epoch>-<seq>-<records>-<sha16>.jsonl.zst, got {name[:200]!r}")
        parsed = cls(match[1], int(match[2]), int(match[3]), match[4])
        if parsed.seq < 1 or not 1 <= parsed.records <= MAX_SEGMENT_RECORDS or str(parsed) != name:
            raise DataError(f"a segment holds 1 to {MAX_SEGMENT_RECORDS} records, numbered from 1, got {name!r}")
        return parsed

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq:08d}-{self.records}-{self.sha16}.jsonl.zst"


class SegmentWriter:
    """Writes one worker slot's records; at most one writer per slot, also across processes.

    A killed process loses nothing that `append` returned for; a power cut loses at most the open journal.
    """

    def __init__(
        self,
        host_dir: HostDirectory,
        slot: int,
        max_games: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the slot, seal what an earlier worker left in its journal, and open the next one.

        Args:
            host_dir: the host's root folder; made when missing.
            slot: number of the worker's slot.
            max_games: records after which `maybe_seal` seals.
            max_age_s: seconds from the first record after which it seals.
            clock: UTC seconds.

        Raises:
            NoCapacity: another process writes this slot.
            ValueError: `max_games` is not in 1..100,000, or the slot not in 0..9999.
        """
        if not 1 <= max_games <= MAX_SEGMENT_RECORDS or not 0 <= slot <= MAX_SLOT:
            raise ValueError(
                f"max_games is 1..{MAX_SEGMENT_RECORDS} and slot 0..{MAX_SLOT}, got {max_games} and {slot}"
            )
        self._open, self._sealed = host_dir.open_segments, host_dir.sealed_segments
        self._slot, self._max_games, self._max_age_s, self._clock = slot, max_games, max_age_s, clock
        self._open.mkdir(parents=True, exist_ok=True)
        self._sealed.mkdir(parents=True, exist_ok=True)
        self._held = ExitStack()
        self._take_slot()
        self._records: list[bytes] = []
        self._bytes = 0  # of the open journal
        self._first_at = 0.0
        self._journal = -1
        self._recover()

    @property
    def pending(self) -> int:
        """Records in the open journal."""
        return len(self._records)

    def append(self, payload: bytes) -> None:
        """Write one record; it survives a kill -9 from here on.

        Raises:
            ValueError: it is empty, holds a line break, or is over 4 MiB.
            OSError: the disk is full; the journal is as before.
        """
        if not payload or b"\n" in payload or len(payload) > MAX_RECORD_BYTES:
            raise ValueError(f"a record is one line of 1 to {MAX_RECORD_BYTES} bytes, got {len(payload)}")
        room = MAX_SEGMENT_BYTES - 1024  # the header line is shorter than that
        if self._records and self._bytes + _FRAME.size + len(payload) > room:
            self.seal()
        frame = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        written = 0
        try:
            while written < len(frame):
                written += os.write(self._journal, frame[written:])
        except OSError:
            os.ftruncate(self._journal, self._bytes)
            raise
        if not self._records:
            self._first_at = self._clock()
        self._records.append(payload)
        self._bytes += len(frame)

    def maybe_seal(self) -> str | None:
        """Seal when the journal is full or old enough; returns the segment's name if it did."""
        if not self._records:
            return None
        age_s = self._clock() - self._first_at
        # Below 0 the clock was set back since: sealed at once, not when it has caught up.
        if len(self._records) < self._max_games and 0 <= age_s < self._max_age_s:
            return None
        return self.seal()

    def seal(self) -> str | None:
        """Make a segment of what the journal holds; returns its name, None when there was nothing."""
        if not self._records:
            return None
        name = self._write_segment(self._epoch, self._seq, self._records)
        self._start_journal(self._epoch, self._seq + 1)
        return name

    def close(self) -> None:
        """Seal, and give the slot back."""
        self.seal()
        os.close(self._journal)
        self._held.close()

    def _take_slot(self) -> None:
        try:
            self._held.enter_context(locked(self._open / f"{self._slot}.lock", wait_s=0))
        except BlockingIOError:
            raise NoCapacity(f"another process writes slot {self._slot} of {self._open}") from None

    def _recover(self) -> None:
        """Drop half-written files, seal what earlier journals hold, and open the next one."""
        for temporary in self._sealed.glob(f".{self._slot}-*.tmp"):
            temporary.unlink()
        journals = sorted(self._journals(), key=lambda item: item[1])
        if not journals:
            self._start_journal(secrets.token_hex(8), 1)
            return
        for epoch, seq, path in journals:
            records = _salvage(path)
            if records and not self._is_sealed(epoch, seq):
                self._write_segment(epoch, seq, records)
        # An empty journal keeps its number; only a sealed one hands on the next.
        epoch, seq, _ = journals[-1]
        self._start_journal(epoch, seq + 1 if self._is_sealed(epoch, seq) else seq)

    def _is_sealed(self, epoch: str, seq: int) -> bool:
        return any(self._sealed.glob(f"{epoch}-{seq:08d}-*.jsonl.zst"))

    def _journals(self) -> list[tuple[str, int, Path]]:
        found = []
        for path in self._open.glob(f"{self._slot}-*.journal"):
            match = _JOURNAL_NAME.fullmatch(path.name)
            if match is not None and int(match[1]) == self._slot:
                found.append((match[2], int(match[3]), path))
        return found

    def _start_journal(self, epoch: str, seq: int) -> None:
        """Open an empty journal under this number, then delete the slot's other ones."""
        if self._journal >= 0:
            os.close(self._journal)
        path = self._open / f"{self._slot}-{epoch}-{seq:08d}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(path, flags, 0o644)
        sync_folder(self._open)
        for _, _, other in self._journals():
            if other != path:
                other.unlink()
        self._epoch, self._seq, self._records, self._bytes = epoch, seq, [], 0

    def _write_segment(self, epoch: str, seq: int, records: list[bytes]) -> str:
        header = {"format": FORMAT, "v": VERSION, "epoch": epoch, "seq": seq, "records": len(records)}
        lines = [json.dumps(header, separators=(",", ":")).encode(), *records, b""]
        data = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(b"\n".join(lines))
        name = str(SegmentName(epoch, seq, len(records), hashlib.sha256(data).hexdigest()[:16]))
        temporary = self._sealed / f".{self._slot}-{seq:08d}.tmp"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename_durably(temporary, self._sealed / name)
        return name


def segment_path(directory: RunDirectory, host: str, name: str) -> Path:
    """Where the coordinator keeps a segment that it has taken in."""
    return directory.segment(host, SegmentName.parse(name).epoch, name)


def read_segment(path: Path, max_bytes: int = MAX_SEGMENT_BYTES) -> list[bytes]:
    """The records of a sealed segment, after checking its digest, format, place and count against its name.

    Args:
        path: the file, under its own name.
        max_bytes: refuse a segment that is larger than this when unpacked.

    Raises:
        UnknownVersionError: the format's version is not the one this program reads.
        DataError: anything else is not as the name says.
    """
    name = SegmentName.parse(path.name)
    if path.stat().st_size > max_bytes:
        raise DataError(f"{path.name} has {path.stat().st_size} bytes, at most {max_bytes} are taken")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest[:16] != name.sha16:
        raise DataError(f"{path.name} is damaged: its sha256 starts with {digest[:16]}")
    lines = _unpack(data, max_bytes, path.name).split(b"\n")
    if lines.pop() != b"":
        raise DataError(f"{path.name} does not end with a line break")
    _check_header(lines[0] if lines else b"", name)
    if len(lines) - 1 != name.records or b"" in lines:
        raise DataError(f"{path.name} holds {len(lines) - 1} records instead of {name.records}, or an empty one")
    if max(map(len, lines)) > MAX_RECORD_BYTES:
        raise DataError(f"{path.name} holds a record over {MAX_RECORD_BYTES} bytes")
    return lines[1:]


def _check_header(line: bytes, name: SegmentName) -> None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} has no readable header: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(f"{name} is not a {FORMAT}")
    if header.get("v") != VERSION:
        raise UnknownVersionError(f"{name} has format version {header.get('v')!r}; this program reads {VERSION}")
    said = (header.get("epoch"), header.get("seq"), header.get("records"))
    if said != (name.epoch, name.seq, name.records):
        raise DataError(f"{name}'s header says that it is {said}")


def _unpack(data: bytes, max_bytes: int, name: str) -> bytes:
    """Decompress exactly one frame, never holding more than `max_bytes` and one chunk."""
    out = bytearray()
    try:
        # The window is bounded too: a frame may ask for gigabytes of it.
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        with unpacker.stream_reader(io.BytesIO(data)) as reader:
            while chunk := reader.read(1 << 20):
                out += chunk
                if len(out) > max_bytes:
                    raise DataError(f"{name} unpacks to more than {max_bytes} bytes")
    except zstandard.ZstdError as error:
        raise DataError(f"{name} does not unpack: {error}") from error
    return bytes(out)


def _salvage(path: Path) -> list[bytes]:
    """The records of a journal's valid prefix."""
    records: list[bytes] = []
    data = path.read_bytes()
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        if not 0 < length <= MAX_RECORD_BYTES or len(payload) < length or zlib.crc32(payload) != crc:
            break
        records.append(payload)
        at += _FRAME.size + length
    return records
