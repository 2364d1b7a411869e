"""A person's command on many hosts: shown and written down, then run."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task

from ringrift_airflow.dag_defaults import LEDGER_POOL, SHORT, SUPERVISION_POOL
from ringrift_airflow.hooks.cluster import ClusterHook
from ringrift_airflow.operators.ssh_fan_out import SSHFanOutOperator
from ringrift_airflow.settings import open_loop

if TYPE_CHECKING:
    from airflow.sdk import Context

_log = logging.getLogger(__name__)
_LIMIT = timedelta(hours=2)


@task.short_circuit(pool=LEDGER_POOL, execution_timeout=SHORT, retries=0)  # a person started it, and looks
def note_command() -> dict[str, Any]:
    """Who runs what, where: into the log and the ledger's history. A dry run ends here."""
    from ringrift_loop.cluster.ssh.fleet_command import note_command as note

    context = get_current_context()
    # Not from a template: it would read a command such as `123` or `'a' 'b'` as Python.
    form = context["params"]
    names = [host.name for host in ClusterHook().hosts(form["hosts"] or None, form["role"])]
    dry_run = bool(form["dry_run"])
    _log.info("%s", note(open_loop(), form["command"], names, user=_user(context), dry_run=dry_run))
    return {} if dry_run else {"command": form["command"], "hosts": names}


def run_on_hosts(noted: Any) -> SSHFanOutOperator:
    """The command on every host of the plan, with a result for each."""
    return SSHFanOutOperator(
        task_id="run_on_hosts",
        command=noted["command"],
        hosts=noted["hosts"],
        min_success="{{ params.min_success }}",
        limit_s="{{ params.limit_s }}",
        at_once="{{ params.at_once }}",
        pool=SUPERVISION_POOL,
        execution_timeout=_LIMIT,
        retries=0,  # a command may not be safe to run twice
    )


@task(pool=LEDGER_POOL, execution_timeout=SHORT)
def note_result(report: dict[str, Any]) -> None:
    """How it went, into the ledger's history; a failure stands there by itself."""
    from ringrift_loop.cluster.ssh.fleet_command import note_result as note

    user = _user(get_current_context())
    _log.info("%s", note(open_loop(), report["succeeded"], report["failed"], user=user))


def _user(context: Context) -> str:
    run = context["dag_run"]
    return run.triggering_user_name or f"a run of type {run.run_type}"
