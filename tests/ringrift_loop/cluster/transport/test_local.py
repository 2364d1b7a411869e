"""A host that is a folder of this machine: whatever lies there, nobody waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.actions import MODEL_STATUS, POINT, REPORT
from ringrift_loop.cluster.agent.report import ReportRequest, SealedFile
from ringrift_loop.cluster.agent.requests import ModelQuery, Point
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.host_settings import read_settings
from ringrift_loop.selfplay.pointer import Pointer, read_pointer
from ringrift_loop.selfplay.segments import SegmentName

pytestmark = pytest.mark.timeout(30)  # a pipe that is opened hangs for ever
DIGEST = "a" * 64
NAME = str(SegmentName("e" * 16, 1, 5, "0" * 16))


@pytest.fixture
def folder(tmp_path: Path) -> HostDirectory:
    return HostDirectory(tmp_path / "host")


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def test_a_pipe_in_place_of_a_pointer_is_no_pointer_and_is_replaced(folder: HostDirectory) -> None:
    transport = LocalTransport(folder)
    pipe(folder.current_model("hex8_2p"))
    assert asyncio.run(transport.call(REPORT, ReportRequest())).pointers == {}
    asyncio.run(transport.call(POINT, Point("hex8_2p", Pointer(DIGEST, 1, 5.0))))
    assert asyncio.run(transport.call(REPORT, ReportRequest())).pointers == {"hex8_2p": DIGEST}
    assert read_pointer(folder, "hex8_2p") == Pointer(DIGEST, 1, 5.0)


def test_a_pipe_in_place_of_a_models_file_is_a_damaged_model(folder: HostDirectory) -> None:
    pipe(folder.model(DIGEST) / "manifest.json")
    assert not asyncio.run(LocalTransport(folder).call(MODEL_STATUS, ModelQuery(DIGEST))).present


@pytest.mark.parametrize(
    ("place", "read"),
    [
        (
            lambda folder: folder.sealed_segments / NAME,
            lambda transport, into: transport.pull([SealedFile(NAME, 5, 1.0)], into),
        ),
        (lambda folder: folder.settings, lambda transport, _: asyncio.to_thread(read_settings, transport.host_dir)),
    ],
    ids=["segment", "settings"],
)
def test_any_other_pipe_is_told_by_its_path(
    folder: HostDirectory, tmp_path: Path, place: Callable[..., Path], read: Callable[..., object]
) -> None:
    pipe(place(folder))

    async def attempt() -> None:
        await read(LocalTransport(folder), tmp_path / "incoming")  # type: ignore[misc]

    with pytest.raises((OSError, DataError), match=f"{place(folder).name} is not a plain file"):
        asyncio.run(attempt())
