"""One command, or one file or folder by rsync, on many hosts within one task, with a result for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ringrift_airflow.hooks.cluster import ClusterHook
from ringrift_airflow.links import HostResultsLink
from ringrift_airflow.numbers import number
from ringrift_loop.errors import ConfigError, RemoteJobFailed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ringrift_loop.cluster.ssh.fan_out import FanOutReport


class SSHFanOutOperator(BaseOperator):
    """Runs a command on hosts of the inventory, or brings them a file or folder, and says how it went on each.

    The log shows a table with one line per host. XCom `return_value` has `outcome` (`all` or `partial`), `succeeded`,
    `failed` and, for each host, status, exit status, seconds and the ends of its output. When fewer than `min_success`
    hosts succeed the task fails, and the same record lies in XCom under `report`. A missing exit status is a failure.

    A command may run twice on a host (a retried task runs it again on all), so it should be idempotent. rsync is: it
    moves what differs, goes on where it was cut, and never deletes anything on a host.

    Args:
        command: a line of shell, or a list of words that no shell reads. Either this, or the next two.
        rsync_source: a file or folder of the machine that runs the task.
        rsync_target: its path on the hosts; a relative one lies in the home of the user who logs in.
        hosts: names of the inventory; by default every enabled host.
        role: only hosts with this role.
        min_success: how many hosts must succeed: a number, or a share as a fraction below 1; by default all.
        limit_s: wall clock for one host, connecting included; the command is ended there too.
        at_once: hosts at a time.
        hosts_file: the inventory, when it is not the configured one.

    Raises:
        RemoteJobFailed: fewer than `min_success` hosts succeeded.
        ConfigError: an argument, the inventory or a connection is wrong.
    """

    template_fields: Sequence[str] = (
        "command",
        "rsync_source",
        "rsync_target",
        "hosts",
        "role",
        "min_success",
        "limit_s",
        "at_once",
        "hosts_file",
    )
    template_fields_renderers = {"command": "bash"}  # noqa: RUF012 - Airflow's own attribute is one
    ui_color = "#d5e8d4"
    operator_extra_links = (HostResultsLink(),)

    def __init__(
        self,
        *,
        command: str | Sequence[str] | None = None,
        rsync_source: str | None = None,
        rsync_target: str | None = None,
        hosts: str | Sequence[str] | None = None,
        role: str | None = None,
        min_success: int | float | str | None = None,
        limit_s: float | str = 60.0,
        at_once: int | str = 64,
        hosts_file: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.command = command
        self.rsync_source = rsync_source
        self.rsync_target = rsync_target
        self.hosts = hosts
        self.role = role
        self.min_success = min_success
        self.limit_s = limit_s
        self.at_once = at_once
        self.hosts_file = hosts_file

    def execute(self, context: Context) -> dict[str, Any]:
        """Run it everywhere."""
        names = [name.strip() for name in self.hosts.split(",")] if isinstance(self.hosts, str) else self.hosts
        report = self._action()(
            ClusterHook(self.hosts_file).hosts(names or None, self.role or None),
            limit_s=number("limit_s", self.limit_s),
            at_once=int(number("at_once", self.at_once)),
            min_success=_min_success(self.min_success),
        )
        record = report.as_json()
        summary = f"{len(report.succeeded)} of {len(report.results)} hosts succeeded, {report.needed} were needed"
        self.log.info("%s\n%s", summary, report.table())
        if report.outcome == "too few":
            context["ti"].xcom_push(key="report", value=record)
            raise RemoteJobFailed(f"{summary}; failed: {', '.join(report.failed)}")
        if report.outcome == "partial":
            self.log.warning("partial failure, tolerated by min_success: %s", ", ".join(report.failed))
        return dict(record)

    def _action(self) -> Callable[..., FanOutReport]:
        """What is done on the hosts that it is then called with."""
        from ringrift_loop.cluster.ssh.fan_out import fan_out
        from ringrift_loop.cluster.ssh.rsync import RsyncTo, push

        if self.command and not self.rsync_source and not self.rsync_target:
            return partial(fan_out, command=self.command)
        if self.rsync_source and self.rsync_target and not self.command:
            return partial(push, what=RsyncTo(Path(self.rsync_source), self.rsync_target))
        raise ConfigError(
            "give either command, or rsync_source and rsync_target, got "
            f"command={self.command!r}, rsync_source={self.rsync_source!r}, rsync_target={self.rsync_target!r}"
        )


def _min_success(value: int | float | str | None) -> int | float | None:
    if value is None or value in ("", "None"):
        return None
    wanted = number("min_success", value)
    return int(wanted) if wanted == int(wanted) else wanted
