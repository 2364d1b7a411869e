"""What a deployment installs: this very version as a wheel, built from the source or given, and the pinned versions."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from hashlib import sha256
from pathlib import Path

import ringrift_loop
from ringrift_loop import __version__
from ringrift_loop.errors import ConfigError, LoopError

CONSTRAINTS = "constraints.txt"
_NAME = "ringrift-loop"
_BUILD_LIMIT_S = 600.0


@dataclass(frozen=True)
class Release:
    """A wheel and the versions to install with it."""

    wheel: Path
    version: str
    wheel_sha256: str
    constraints: Path
    constraints_sha256: str

    def key(self, extras: tuple[str, ...]) -> str:
        """The name of an installation on a host: other content, other name."""
        parts = (self.wheel_sha256, self.constraints_sha256, ",".join(extras))
        return sha256("\0".join(parts).encode()).hexdigest()[:16]


def open_release(wheel: Path, constraints: Path) -> Release:
    """The release of a wheel.

    Raises:
        ConfigError: a file cannot be read, or is not a wheel of this program in this version.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
            metadata = HeaderParser().parsestr(archive.read(name).decode())
        digests = [sha256(path.read_bytes()).hexdigest() for path in (wheel, constraints)]
    except (OSError, zipfile.BadZipFile, StopIteration, UnicodeDecodeError) as error:
        raise ConfigError(f"{wheel} with {constraints} cannot be installed anywhere: {error or 'no wheel'}") from error
    if (metadata["Name"], metadata["Version"]) != (_NAME, __version__):
        raise ConfigError(
            f"{wheel} is {metadata['Name']} {metadata['Version']}, this is {_NAME} {__version__}: hosts of another "
            "version get no work"
        )
    return Release(wheel, metadata["Version"], digests[0], constraints, digests[1])


def build_release(into: Path, constraints: Path, source: Path | None = None) -> Release:
    """Build the wheel of the program that runs here; the same source gives the same bytes.

    Args:
        into: folder for the wheel.
        constraints: the pinned versions; also for what builds the wheel.
        source: the checkout; by default the one that this package is imported from.

    Raises:
        ConfigError: this package is not imported from a checkout.
        LoopError: the build failed.
    """
    source = Path(ringrift_loop.__file__).parents[2] if source is None else source
    if not (source / "pyproject.toml").is_file():
        raise ConfigError(
            f"{_NAME} is installed here without its source ({source}): name the wheel that it came from with --wheel"
        )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if importlib.util.find_spec("hatchling") is not None:
        command.append("--no-build-isolation")  # the pinned build tool is here: nothing is fetched
    pins = {"PIP_CONSTRAINT": str(constraints), "PIP_BUILD_CONSTRAINT": str(constraints)}
    done = subprocess.run(
        [*command, "--wheel-dir", str(into), str(source)],
        env=os.environ | pins,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_LIMIT_S,
    )
    if done.returncode:
        raise LoopError(f"the wheel of {source} could not be built: {(done.stderr or done.stdout).strip()[-2000:]}")
    [wheel] = into.glob("*.whl")
    return open_release(wheel, constraints)
