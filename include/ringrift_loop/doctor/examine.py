"""The whole of `ringrift-loop doctor`: which checks are made, in which order, and what each needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from ringrift_loop.cluster.transport.probing import Probe, probe_hosts
from ringrift_loop.doctor import airflow, loop_state, machine
from ringrift_loop.doctor.findings import HERE, Finding, looked_at
from ringrift_loop.doctor.hosts import check_host
from ringrift_loop.doctor.machine import Setup, open_setup, skipped
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.ledger import segments
from ringrift_loop.loop import Loop

_LOG = "--debug shows where; the logs are in run/logs/"


def examine(*, here: bool, names: Collection[str] | None, config_path: Path | None = None) -> list[Finding]:
    """Make the checks.

    Args:
        here: check this machine and the loop.
        names: check these hosts, also disabled ones; None for every enabled one.
        config_path: the configuration; by default as everywhere.

    Raises:
        ConfigError: a name is no host's, or hosts are asked for and the inventory is wrong.
    """
    setup = open_setup(config_path)
    findings = list(_here(setup)) if here else []
    if names is None or names:
        findings += _hosts(setup, names, here=here)
    return findings


def _here(setup: Setup) -> Iterator[Finding]:
    directory, config = setup.directory, setup.config
    yield from machine.check_python()
    yield from machine.check_packages()
    yield from setup.findings
    for check, look in (
        ("run-directory", lambda: machine.check_run_directory(directory)),
        ("ports", lambda: machine.check_ports(directory, config)),
        ("launcher", lambda: machine.check_launcher(directory)),
        ("dags", lambda: airflow.check_airflow(directory, setup.inventory)),
        ("metrics", lambda: loop_state.check_metrics(config)),
    ):
        yield from looked_at(check, HERE, look, _LOG)
    loop = setup.loop
    if loop is None:
        yield from skipped(loop_state.CHECKS, "needs the configuration, the inventory and the ledger")
        return
    yield from _loop(loop)


def _loop(loop: Loop) -> Iterator[Finding]:
    for check, look in (
        ("halt", loop_state.check_halt),
        ("training", loop_state.check_training),
        ("failing-hosts", loop_state.check_failing_hosts),
        ("suspected-hosts", loop_state.check_suspected_hosts),
        ("quarantine", loop_state.check_quarantine),
        ("reload", loop_state.check_reload),
        ("champions", loop_state.check_champions),
    ):
        yield from looked_at(check, HERE, lambda look=look: look(loop), _LOG)  # type: ignore[misc]


def _hosts(setup: Setup, names: Collection[str] | None, *, here: bool) -> list[Finding]:
    if setup.inventory is None:
        if here:
            return []  # the check of the inventory has said so
        raise ConfigError(next(one.met for one in setup.findings if one.check == "inventory"))
    known = setup.inventory.hosts
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ConfigError(f"no host is named {', '.join(unknown)}; the hosts are {', '.join(known)}")
    chosen: list[Host] = setup.inventory.enabled if names is None else [known[name] for name in dict.fromkeys(names)]
    probes = probe_hosts(chosen, setup.directory)
    findings: list[Finding] = []
    for probe in probes:
        findings += looked_at("ssh", probe.host.name, partial(_host, setup, probe), _LOG)
    return findings


def _host(setup: Setup, probe: Probe) -> Iterator[Finding]:
    return check_host(probe, setup.config.data_ingestion, _known(setup, probe))


def _known(setup: Setup, probe: Probe) -> set[str]:
    """Which of the host's sealed segments the ledger has."""
    if setup.ledger is None or probe.report is None:
        return set()
    with setup.ledger.read() as conn:
        return segments.known_names(conn, probe.host.name, [str(file.name) for file in probe.report.sealed])
