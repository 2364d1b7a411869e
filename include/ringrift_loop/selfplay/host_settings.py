"""What one host's workers do differently from the coordinator's configuration: a small file in the host's root folder.

It is written by a deployment and read by each worker at its start, whoever starts it.
"""

from __future__ import annotations

from dataclasses import replace

from ringrift_loop.checked_json import File, line, parse
from ringrift_loop.config import Selfplay
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_whole

MAX_BYTES = 4096


class HostSettings(File, frozen=True):
    """The settings of a host."""

    hot_reload: bool  # false: its workers keep the model that they began with

    def applied_to(self, selfplay: Selfplay) -> Selfplay:
        """A worker's configuration on this host: the stricter of the two holds."""
        return replace(selfplay, hot_reload=selfplay.hot_reload and self.hot_reload)


DEFAULTS = HostSettings(hot_reload=True)  # without a file


def parse_settings(raw: bytes | str, name: str) -> HostSettings:
    """Read the file's content.

    Raises:
        DataError: it is not what `write_settings` writes; `name` stands in the message.
    """
    return parse(raw, HostSettings, name)


def read_settings(host_dir: HostDirectory) -> HostSettings:
    """The host's settings.

    Raises:
        DataError: the file cannot be read, or is damaged; delete it, or deploy again.
    """
    path = host_dir.settings
    try:
        with open_plain(path) as file:
            raw = file.read(MAX_BYTES)
    except FileNotFoundError:
        return DEFAULTS
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return parse_settings(raw, str(path))


def write_settings(host_dir: HostDirectory, settings: HostSettings) -> None:
    """Put the file in place of the last one."""
    write_whole(host_dir.settings, line(settings))
