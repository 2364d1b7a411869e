"""Where blocks are played: as a job on a host that the inventory names for it, or in a process of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from ringrift_loop.checked_json import line
from ringrift_loop.hosts.inventory import SSH, Inventory

if TYPE_CHECKING:  # it brings numba, which whoever only asks for the role does without
    from ringrift_loop.tournament.remote.bundle import MatchBundle

ROLE = "tournament"
COMMAND = ("ringrift-loop", "match-bundle", "--bundle", "{input}", "--output", "{output}", "--root", "{root}")
JOB_PREFIX = "match-"
LIMIT_S = 3600.0
"""A host may play for so long, at least, before the games are played elsewhere."""
SHADOW_LIMIT_S = 600.0
"""The same for a shadow tournament, at least (`tournament/duration.py`); its task has twice the time."""
FENCE_S = 300.0
"""A host plays on for so long when nobody asks any more; short, because nothing that has ended is lost with it."""


def match_hosts(inventory: Inventory, without: Collection[str] = ()) -> list[str]:
    """Names of the enabled hosts reached by SSH that play matches; one on this machine would save nothing."""
    hosts = [host for host in inventory.with_role(ROLE) if host.transport == SSH]
    return [host.name for host in hosts if host.name not in without]


def match_job_id(bundle: MatchBundle, without: Collection[str]) -> str:
    """The same for the same blocks, so that a process which is started again finds the job of the one before.

    Args:
        bundle: the blocks.
        without: hosts that have failed at them: one of these may still run the job, under the id that it has there.
    """
    text = line(bundle) + " ".join(sorted(without)).encode()
    return JOB_PREFIX + hashlib.sha256(text).hexdigest()[:32]
