"""What a check says, whatever it meets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from ringrift_loop.doctor.findings import FAILED, HERE, Finding, looked_at, table


def test_a_check_that_nobody_foresaw_to_fail_is_its_own_finding() -> None:
    def look() -> Iterator[Finding]:
        raise OverflowError("int too large")
        yield

    (finding,) = looked_at("ssh", "a", look, "look there")
    assert (finding.status, finding.met) == (FAILED, "int too large")


def test_the_table_shows_printable_lines_without_passwords() -> None:
    met = "\x1b[2J\x00 postgresql://db/x?password=s3cret"
    (_, line, right, remedy, *_) = table([Finding("ledger", HERE, FAILED, met, met, met)]).splitlines()
    for text in (line, right, remedy):
        assert text.isprintable()
        assert text.endswith("?[2J? postgresql://db/x?password=***")


def test_the_doctor_looks_without_torch() -> None:
    code = "import sys; from ringrift_loop.doctor import examine; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ringrift_loop.doctor.loop_state" in loaded
    assert "torch" not in loaded
