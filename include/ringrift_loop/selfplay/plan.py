"""Which variants a host's workers play, and by what weights: a small file that the coordinator writes.

A weight is a share of the time in which a worker computes (`turns.py`), not of the games: where a game takes a hundred
times longer, shares of games would leave the others next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import File, VariantName, line, parse
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_whole

_MAX_BYTES = 4096
_DIGITS = 4

Weight = Annotated[float, Meta(gt=0, le=1e6)]


class Plan(File, frozen=True):
    """What the workers play."""

    weights: Annotated[dict[VariantName, Weight], Meta(min_length=1, max_length=len(VARIANT_NAMES))]

    def __post_init__(self) -> None:
        """Every variant is known here."""
        unknown = sorted(self.weights.keys() - set(VARIANT_NAMES))
        if unknown:
            raise ValueError(f"a plan names variants such as {VARIANT_NAMES[0]}, got {unknown[0]}")

    @classmethod
    def by(cls, weights: Mapping[str, float]) -> Plan:
        """The plan of these weights, rounded so that what is read is what was written."""
        return cls({name: max(10**-_DIGITS, round(weight, _DIGITS)) for name, weight in weights.items()})


def read_plan(host_dir: HostDirectory) -> Plan | None:
    """The host's plan; None before the first.

    Raises:
        DataError: the file is not what `write_plan` writes.
    """
    path = host_dir.plan
    try:
        with open_plain(path) as file:
            raw = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return parse(raw, Plan, str(path))


def write_plan(host_dir: HostDirectory, plan: Plan) -> None:
    """Put the file in place of the last one; the workers look at it every second."""
    write_whole(host_dir.plan, line(plan))
