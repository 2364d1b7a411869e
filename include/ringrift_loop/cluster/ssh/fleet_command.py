"""What a person wants to have run on many hosts: the plan that is shown first, and its line in the history."""

from __future__ import annotations

from collections.abc import Sequence

from ringrift_loop.loop import Loop
from ringrift_loop.text import clean_lines, counted, one_line, without_secrets

_KEPT = 4000  # letters of a command in the history
EVENT = "fleet_command"


def note_command(loop: Loop, command: str, hosts: Sequence[str], *, user: str, dry_run: bool) -> str:
    """Write down who wants to run what and where; returns the sentence.

    Passwords of URLs and of `password=...` stay out of the history; others should not be in a command.
    """
    shown = without_secrets(clean_lines(command, _KEPT))
    verb = "would run" if dry_run else "runs"
    among = f"{counted(len(hosts), 'host')}: {', '.join(hosts)}"
    message = one_line(f"{user} {verb} a command on {among}: {shown}", _KEPT)
    with loop.ledger.begin() as conn:
        loop.record(conn, EVENT, message, user=user, command=shown, hosts=list(hosts), dry_run=dry_run)
    return message


def note_result(loop: Loop, succeeded: Sequence[str], failed: Sequence[str], *, user: str) -> str:
    """Write down how it went; returns the sentence."""
    total = len(succeeded) + len(failed)
    message = f"the command of {user} succeeded on {len(succeeded)} of {total} hosts"
    message += f", not on {', '.join(failed)}" if failed else ""
    with loop.ledger.begin() as conn:
        loop.record(conn, EVENT, message, user=user, succeeded=list(succeeded), failed=list(failed))
    return message
