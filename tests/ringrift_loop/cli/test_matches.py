"""The commands that play matches ask the arena of hosts for them, with the logins that they were given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from latent import LatentArena
from new_ledger import new_ledger
from ringrift_loop.cli.entry import main
from ringrift_loop.cluster.jobs.host_arena import HostArena
from ringrift_loop.hosts.inventory import load_inventory
from ringrift_loop.hosts.logins import logins_of
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.tournament.blocks import BlockPlan
from samples import byte_model
from terminal import terminal_as_stderr

VARIANT = "square8_2p"


@pytest.fixture
def digests(run_home: Path) -> list[str]:
    """The champion and a candidate."""
    directory = RunDirectory(run_home)
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    found = [byte_model(directory.root / "models", weights) for weights in (b"one", b"two")]
    ledger = Ledger.open(f"sqlite:///{run_home / 'ledger.db'}")
    with ledger.begin() as conn:
        for digest in found:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, VARIANT, found[0], reason="first", elo_gain=None, games=0, at=1.0)
    ledger.close()
    return found


@pytest.mark.parametrize(
    "command",
    [
        "shadow --games 4",
        "full-tournament --games 4 --budget 0",
        "regression-gate --model {candidate} --test beats_random",
        "champion-gate --model {candidate} --json",
    ],
)
def test_a_command_that_plays_asks_the_hosts(
    command: str,
    digests: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "hosts.yaml").write_text("standard_hosts: {a: {ssh_host: 192.0.2.1, role: tournament}}")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    told = replace(load_inventory().hosts["a"], ssh_host="198.51.100.7")
    (tmp_path / "logins").write_bytes(logins_of([told]))
    addresses: list[str | None] = []

    def play(
        self: HostArena, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        addresses.append(self._loop.inventory.hosts["a"].ssh_host)
        elos = {name: 800.0 * (digests[1] in name) for plan in plans for name in plan.participants}
        return LatentArena(elos, seed=1).play(plans)

    monkeypatch.setattr(HostArena, "play", play)
    words = command.format(candidate=digests[1]).split()
    with terminal_as_stderr() as terminal:
        status = main([*words, "--config", VARIANT, "--logins", str(tmp_path / "logins")])
        terminal.read_until(", games ")  # the bar
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 0, report
    assert set(addresses) == {"198.51.100.7"}
    assert (report.get("passed", True), report.get("games", 4)) != (False, 0)
