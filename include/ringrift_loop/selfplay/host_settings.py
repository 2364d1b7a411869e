"""What one host's workers do differently from the coordinator's configuration: a small file in the host's root folder.

It is written by a deployment and read by each worker at its start, whoever starts it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace

from ringrift_loop.config import Selfplay
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory

VERSION = 1
MAX_BYTES = 4096


@dataclass(frozen=True)
class HostSettings:
    """The settings of a host; without a file, the defaults."""

    hot_reload: bool = True  # false: its workers keep the model that they began with

    def applied_to(self, selfplay: Selfplay) -> Selfplay:
        """A worker's configuration on this host: the stricter of the two holds."""
        return replace(selfplay, hot_reload=selfplay.hot_reload and self.hot_reload)


def parse_settings(raw: bytes, name: str) -> HostSettings:
    """Read the file's content.

    Raises:
        DataError: it is not what `write_settings` writes; `name` stands in the message.
    """
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is JSON: {error}") from error
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise DataError(f"{name} has v: {VERSION}, got {raw[:80]!r}")
    if set(document) != {"v", "hot_reload"} or not isinstance(document["hot_reload"], bool):
        raise DataError(f"{name} has hot_reload: true or false, got {raw[:80]!r}")
    return HostSettings(document["hot_reload"])


def read_settings(host_dir: HostDirectory) -> HostSettings:
    """The host's settings.

    Raises:
        DataError: the file is damaged; delete it, or deploy again.
    """
    path = host_dir.settings
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES)
    except FileNotFoundError:
        return HostSettings()
    return parse_settings(raw, str(path))


def write_settings(host_dir: HostDirectory, settings: HostSettings) -> None:
    """Put the file in place of the last one."""
    path = host_dir.settings
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w") as file:
        json.dump({"v": VERSION, **asdict(settings)}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
