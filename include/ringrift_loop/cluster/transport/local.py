"""The transport of a host that is a folder of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ringrift_loop.cluster.agent import job_folder
from ringrift_loop.cluster.agent.actions import Action, Asked, Told
from ringrift_loop.cluster.agent.report import SealedFile
from ringrift_loop.cluster.transport.protocol import part_of, room_for_the_ledger
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, rename_durably


class LocalTransport:
    """A host that is a folder of this machine."""

    def __init__(self, host_dir: HostDirectory) -> None:
        self.host_dir = host_dir

    async def call(self, action: Action[Asked, Told], request: Asked) -> Told:
        """Do it in a thread of this process."""
        return await asyncio.to_thread(action.run, self.host_dir, request)

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        """Copy segments by a hidden name and a rename."""
        for file in files:
            await asyncio.to_thread(self._pull, file, into)

    async def push_model(self, folder: Path, digest: str) -> None:
        """Copy a model's folder by a hidden name and a rename; both files are checked on the way."""
        # Imported here: the network's package brings numba, which collecting games does not need.
        from ringrift_loop.network.artifact import ONNX, WEIGHTS, read_checked, verify, write_model

        def push() -> None:
            manifest = verify(folder, digest)
            target = self.host_dir.model(digest)
            try:
                if target.exists():
                    verify(target, digest)
            except ModelError:
                shutil.rmtree(target)  # the host's copy is damaged
            write_model(target.parent, manifest, read_checked(folder / WEIGHTS), read_checked(folder / ONNX))

        await asyncio.to_thread(push)

    async def push_folder(self, local: Path, remote: str) -> None:
        """Copy what the job's folder lacks."""

        def push() -> None:
            target = job_folder.below(self.host_dir, remote)
            job_folder.remove_others(target, job_folder.list_folder(local))
            _copy_folder(local, target)

        await asyncio.to_thread(push)

    async def pull_folder(self, remote: str, local: Path, *, max_bytes: int) -> None:
        """Copy what the local folder lacks."""

        def pull() -> None:
            source = job_folder.below(self.host_dir, remote)
            job_folder.check_total(job_folder.list_folder(source), max_bytes, remote)
            _copy_folder(source, local)

        await asyncio.to_thread(pull)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _pull(self, file: SealedFile, into: Path) -> None:
        into.mkdir(parents=True, exist_ok=True)
        name = file.file_name
        temporary = part_of(into, name)
        with open_plain(self.host_dir.sealed_segments / name) as reader, temporary.open("wb") as writer:
            size = os.fstat(reader.fileno()).st_size
            if size != file.size_bytes:
                raise DataError(f"{name} had {file.size_bytes} bytes when it was listed and has {size} now")
            with room_for_the_ledger(temporary):
                shutil.copyfileobj(reader, writer)
                writer.flush()
                os.fsync(writer.fileno())
        rename_durably(temporary, into / name)


def _copy_folder(source: Path, target: Path) -> None:
    wanted = job_folder.list_folder(source)
    for name in job_folder.missing_in(target, wanted):
        with job_folder.arriving(target / name, wanted[name]) as writer, open_plain(source / name) as reader:
            shutil.copyfileobj(reader, writer)
