"""Segments: order, numbering, recovery after a kill at every step, refusal of damaged files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from clocks import Clock
from ringrift_loop.errors import DataError, NoCapacity
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.segments import SegmentName, SegmentWriter, UnknownVersionError, read_segment


def sealed(host_dir: HostDirectory) -> list[Path]:
    return sorted(host_dir.sealed_segments.glob("*.zst"))


def write_segment(folder: Path, lines: list[bytes], *, records: int, seq: int = 1) -> Path:
    """A file with a right digest and whatever content."""
    data = zstandard.ZstdCompressor().compress(b"".join(line + b"\n" for line in lines))
    path = folder / str(SegmentName("0" * 16, seq, records, hashlib.sha256(data).hexdigest()[:16]))
    path.write_bytes(data)
    return path


def header(records: int, **changes: object) -> bytes:
    document = {"format": "ringrift-segment", "v": 1, "epoch": "0" * 16, "seq": 1, "records": records}
    return json.dumps(document | changes).encode()


def test_a_sealed_segment_holds_the_records_in_their_order(tmp_path: Path) -> None:
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    records = [b'{"game":%d}' % n for n in range(3)]
    for record in records:
        writer.append(record)
    name = writer.seal()
    assert name is not None
    assert read_segment(HostDirectory(tmp_path).sealed_segments / name) == records
    assert SegmentName.parse(name).seq == 1
    writer.close()


def test_a_clock_that_was_set_back_does_not_keep_a_segment_open(tmp_path: Path) -> None:
    clock = Clock()
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=3, max_age_s=15, clock=clock)
    writer.append(b"1")
    clock.now -= 900
    assert writer.maybe_seal() is not None
    writer.close()


def test_a_segment_is_sealed_when_it_is_full_or_old_and_not_before(tmp_path: Path) -> None:
    clock = Clock()
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=3, max_age_s=15, clock=clock)
    assert writer.maybe_seal() is None  # nothing in it
    writer.append(b"1")
    clock.now += 14.9
    assert writer.maybe_seal() is None
    clock.now += 0.2
    assert writer.maybe_seal() is not None
    for record in (b"2", b"3", b"4"):
        assert writer.maybe_seal() is None
        writer.append(record)
    assert writer.maybe_seal() is not None
    writer.close()


def test_numbers_have_no_gap_over_restarts_and_slots_have_epochs_of_their_own(tmp_path: Path) -> None:
    for slot in (0, 1, 0, 1, 0):
        writer = SegmentWriter(HostDirectory(tmp_path), slot, max_games=10, max_age_s=15)
        writer.append(b"x")
        writer.close()
    names = [SegmentName.parse(path.name) for path in sealed(HostDirectory(tmp_path))]
    by_epoch = {epoch: [name.seq for name in names if name.epoch == epoch] for epoch in {name.epoch for name in names}}
    assert sorted(by_epoch.values()) == [[1, 2], [1, 2, 3]]


def test_a_start_without_new_games_uses_no_number(tmp_path: Path) -> None:
    for _ in range(3):
        SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15).close()
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    writer.append(b"x")
    assert SegmentName.parse(writer.seal() or "").seq == 1
    writer.close()


def test_a_folder_made_anew_starts_a_new_epoch(tmp_path: Path) -> None:
    first = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    first.append(b"x")
    one = SegmentName.parse(first.seal() or "")
    first.close()
    for path in HostDirectory(tmp_path).open_segments.glob("*.journal"):
        path.unlink()
    again = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    again.append(b"x")
    two = SegmentName.parse(again.seal() or "")
    again.close()
    assert (one.seq, two.seq) == (1, 1)
    assert one.epoch != two.epoch


def test_a_slot_has_one_writer(tmp_path: Path) -> None:
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    with pytest.raises(NoCapacity, match="another process writes slot 0"):
        SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    writer.close()
    SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15).close()


def test_a_record_with_a_line_break_is_refused_and_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    writer.append(b"good")
    with pytest.raises(ValueError, match="one line"):
        writer.append(b"two\nlines")
    name = writer.seal()
    assert read_segment(HostDirectory(tmp_path).sealed_segments / str(name)) == [b"good"]
    writer.close()


def test_a_journal_that_breaks_off_gives_its_whole_records(tmp_path: Path) -> None:
    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15)
    for record in (b"first", b"second", b"third"):
        writer.append(record)
    (journal,) = HostDirectory(tmp_path).open_segments.glob("*.journal")
    whole = journal.read_bytes()
    writer.close()
    for path in sealed(HostDirectory(tmp_path)):
        path.unlink()
    for path in HostDirectory(tmp_path).open_segments.glob("*.journal"):
        path.unlink()
    journal.write_bytes(whole[:-2])
    SegmentWriter(HostDirectory(tmp_path), 0, max_games=10, max_age_s=15).close()
    (path,) = sealed(HostDirectory(tmp_path))
    assert read_segment(path) == [b"first", b"second"]


_CRASH = """
import os, pathlib, signal, sys, zlib
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay import segments

root, die_at, first = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
real_write = os.write
said = os.open(root / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
count = 0

def dying(call):
    def wrapped(*args, **kwargs):
        global count
        count += 1
        if count == die_at:
            if call is real_write:
                real_write(args[0], args[1][: len(args[1]) // 2])  # half a frame
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

os.write, os.fsync, os.open = dying(os.write), dying(os.fsync), dying(os.open)
pathlib.Path.rename, pathlib.Path.unlink = dying(pathlib.Path.rename), dying(pathlib.Path.unlink)
writer = segments.SegmentWriter(HostDirectory(root), 0, max_games=3, max_age_s=1e9)
for number in range(first, first + 7):
    writer.append(b"%d" % number)
    real_write(said, b"%d\\n" % number)
    writer.maybe_seal()
writer.close()
"""


def test_a_writer_killed_at_any_step_loses_nothing_it_had_accepted_and_doubles_nothing(tmp_path: Path) -> None:
    (tmp_path / "said").touch()
    for die_at in range(1, 100):
        command = [sys.executable, "-c", _CRASH, str(tmp_path), str(die_at), str(1000 * die_at)]
        if subprocess.run(command, check=False).returncode == 0:
            break
    assert die_at > 20, "the script has more steps than that: opens, writes, syncs, renames, deletions"
    SegmentWriter(HostDirectory(tmp_path), 0, max_games=3, max_age_s=15).close()
    names = [SegmentName.parse(path.name) for path in sealed(HostDirectory(tmp_path))]
    found = [int(record) for path in sealed(HostDirectory(tmp_path)) for record in read_segment(path)]
    said = [int(line) for line in (tmp_path / "said").read_text().split()]
    assert [name.seq for name in names] == list(range(1, len(names) + 1))
    assert len({name.epoch for name in names}) == 1
    assert len(found) == len(set(found))
    # A record may be whole in the journal though its writer died before it could say so: at most one a kill.
    extra = set(found) - set(said)
    assert set(said) <= set(found)
    assert len({number // 1000 for number in extra}) == len(extra)
    assert not list(HostDirectory(tmp_path).sealed_segments.glob(".*"))


def test_a_segment_has_its_name_only_once_the_disk_has_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = SegmentWriter(HostDirectory(tmp_path), 0, max_games=3, max_age_s=1e9)
    writer.append(b"game")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            writer.seal()
    assert sealed(HostDirectory(tmp_path)) == []
    writer.close()  # there is room again
    assert len(sealed(HostDirectory(tmp_path))) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "0123456789abcdef-00000000-1-0123456789abcdef.jsonl.zst",
        "0123456789abcdef-00000001-0-0123456789abcdef.jsonl.zst",
        "0123456789abcdef-1-1-0123456789abcdef.jsonl.zst",
        "0123456789abcdef-00000001-01-0123456789abcdef.jsonl.zst",
        "0123456789ABCDEF-00000001-1-0123456789abcdef.jsonl.zst",
        "0123456789abcdef-0000000١-1-0123456789abcdef.jsonl.zst",
    ],
)
def test_other_file_names_are_refused(name: str) -> None:
    with pytest.raises(DataError):
        SegmentName.parse(name)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = write_segment(tmp_path, [header(1), b"game"], records=1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        read_segment(path)


@pytest.mark.parametrize(
    ("lines", "records", "complaint"),
    [
        ([header(2), b"game"], 2, "holds 1 records instead of 2"),
        ([header(1), b"game", b"more"], 1, "holds 2 records instead of 1"),
        ([header(1, epoch="1" * 16), b"game"], 1, "header says"),
        ([header(1, seq=2), b"game"], 1, "header says"),
        ([header(1, format="tar"), b"game"], 1, "not a ringrift-segment"),
        ([b"[" * 100_000, b"game"], 1, "no readable header"),
        ([header(2), b"game", b""], 2, "an empty one"),
    ],
)
def test_content_that_is_not_as_the_name_says_is_refused(
    tmp_path: Path, lines: list[bytes], records: int, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        read_segment(write_segment(tmp_path, lines, records=records))


def test_a_later_version_is_told_apart_from_damage(tmp_path: Path) -> None:
    with pytest.raises(UnknownVersionError, match="format version 2; this program reads 1"):
        read_segment(write_segment(tmp_path, [header(1, v=2), b"game"], records=1))


def test_unpacking_stops_at_the_limit(tmp_path: Path) -> None:
    bomb = write_segment(tmp_path, [header(1), b"0" * 50_000_000], records=1)
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DataError, match="unpacks to more than 1000000 bytes"):
        read_segment(bomb, max_bytes=1_000_000)
