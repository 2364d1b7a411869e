"""A deployment of what runs here: the wheel of this program, the project's pinned versions and units, to some hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ringrift_loop.config import LoopConfig
from ringrift_loop.deployment import units
from ringrift_loop.deployment.deploy import Deployment, DeployReport, deploy
from ringrift_loop.deployment.plan import ALL, SELFPLAY_HOSTS, Wish, chosen_hosts
from ringrift_loop.deployment.release import CONSTRAINTS, build_release, open_release
from ringrift_loop.deployment.step import Coordinator
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.project import Project


def deploy_project(
    inventory: Inventory,
    config: LoopConfig,
    wish: Wish,
    *,
    say: Callable[[str], None],
    tell: Callable[[int, int], None] = lambda done, total: None,
    scope: str = ALL,
    names: Sequence[str] = (),
    dry_run: bool = False,
    wheel: Path | None = None,
    run: RunDirectory | None = None,
) -> DeployReport:
    """Choose the hosts, build the wheel unless one is given, tell the plan, and carry it out.

    Args:
        inventory: the hosts.
        config: names the variants that systemd may play, and how workers that are started again play.
        wish: what was asked for.
        say: is given the plan line by line.
        tell: is told of how many machines the work is done, and of how many of them.
        scope: one of `deploy_plan.SCOPES`.
        names: of those hosts, only these.
        dry_run: stop after the plan.
        wheel: by default built from the source of this program.
        run: the run directory, when this machine's own unit is to be seen to as well: with all or the primary hosts.

    Raises:
        ConfigError: no such host, or no project, wheel or unit here.
    """
    hosts = chosen_hosts(inventory, scope, names)
    project = Project.find(Path()).root
    own_unit = (wish.install_systemd or wish.restart) and not names and scope != SELFPLAY_HOSTS
    coordinator = Coordinator(project, run.root) if run is not None and own_unit else None
    with tempfile.TemporaryDirectory() as folder:
        constraints = project / CONSTRAINTS
        release = build_release(Path(folder), constraints) if wheel is None else open_release(wheel, constraints)
        deployment = Deployment(
            release=release,
            wish=wish,
            variants=tuple(config.variants),
            selfplay_unit=units.read_unit(project, units.SELFPLAY_TEMPLATE),
            selfplay=config.selfplay,
        )
        return deploy(hosts, deployment, dry_run=dry_run, say=say, tell=tell, coordinator=coordinator)
