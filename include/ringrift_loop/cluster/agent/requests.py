"""The small documents in which hosts are asked, and answer; the larger ones stand beside their subject."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import Meta

from ringrift_loop.checked_json import Digest, Document, VariantName
from ringrift_loop.cluster.agent.gpus import MAX_GPUS, Gpu
from ringrift_loop.cluster.agent.job_folder import MAX_FILES, FolderFiles
from ringrift_loop.cluster.agent.job_record import JobSpec, LogOffset
from ringrift_loop.cluster.agent.workers import NICE
from ringrift_loop.errors import DataError
from ringrift_loop.hosts.entry import MAX_SLOTS
from ringrift_loop.selfplay.pointer import Pointer

ModelFile: TypeAlias = Literal["manifest.json", "model.safetensors", "model.onnx"]
FILES: tuple[ModelFile, ...] = get_args(ModelFile)
# Those of network/artifact.py, which brings numba and collecting games does not need.
ModelSize: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 30)]
SlotNumber: TypeAlias = Annotated[int, Meta(ge=0, lt=MAX_SLOTS)]


class Nothing(Document, frozen=True):
    """No question beyond the action's name, or no answer beyond that it is done."""


class Point(Document, frozen=True):
    """Which model a variant's workers should play with."""

    variant: VariantName
    pointer: Pointer


class ModelQuery(Document, frozen=True):
    """Which model is asked about."""

    digest: Digest


class ModelStatus(Document, frozen=True):
    """What a host has of a model."""

    present: bool  # whole and checked
    staged: dict[ModelFile, ModelSize]  # bytes that arrived before a cut


class FilePart(Document, frozen=True, array_like=True):
    """The part of a file that comes in a stream: from a byte on to its end."""

    offset: ModelSize
    size: ModelSize  # of the whole file

    def __post_init__(self) -> None:
        """It begins within the file."""
        if self.offset > self.size:
            raise ValueError("a part begins within its file")


class ModelStream(Document, frozen=True):
    """What comes in a stream: these parts, one after the other in the order of FILES."""

    digest: Digest
    files: dict[ModelFile, FilePart]

    def __post_init__(self) -> None:
        """All files come."""
        if set(self.files) != set(FILES):
            raise ValueError(f"a stream has the files {', '.join(FILES)}")


class StartWorker(Document, frozen=True):
    """What a slot should run."""

    host: str  # the inventory's name, for the records
    slot: SlotNumber
    selfplay: dict[str, Any]  # the configuration's part
    nice: Annotated[int, Meta(ge=0, le=19)] = NICE


class StopWorker(Document, frozen=True):
    """Which slot's worker should end."""

    slot: SlotNumber
    kill: bool = False  # at once, with its children


class Stopped(Document, frozen=True):
    """What came of it."""

    alive: bool  # there was a live worker


class Gpus(Document, frozen=True):
    """The GPUs of a host."""

    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=MAX_GPUS)]


class StartJob(Document, frozen=True):
    """A job to start, or to attach to."""

    id: str
    spec: JobSpec


class JobQuery(Document, frozen=True):
    """Which job is meant."""

    id: str


class StatusQuery(Document, frozen=True):
    """Which job is asked about."""

    id: str
    log_offset: LogOffset | None = None  # where the part of the log begins that should come along; None for none


class FolderQuery(Document, frozen=True):
    """Which folder is asked about."""

    folder: str  # such as `jobs/ID/input`


class ExpectFolder(Document, frozen=True):
    """What a folder should hold; anything else is removed from it."""

    folder: str
    content: FolderFiles


class Missing(Document, frozen=True):
    """Which of those files are not there as they should be."""

    missing: Annotated[tuple[str, ...], Meta(max_length=MAX_FILES)]

    def check_against(self, request: ExpectFolder) -> None:
        """Return when this can be the answer to a request.

        Raises:
            DataError: it cannot.
        """
        if not set(self.missing) <= request.content.files.keys():
            raise DataError("a list of missing files names some that nobody asked about")
