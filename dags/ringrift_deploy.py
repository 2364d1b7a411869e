"""# Deployment

Installs this version of the program on the SSH hosts, as `ringrift-loop deploy` does, from a form. A dry run, the
default, logs the plan and changes nothing. A host that is up to date is left alone.

1. **deploy_hosts**: plan, install beside what is there, check, drain, switch; a failing host does not stop the others

This machine's own service is not touched: it runs this DAG.

If it fails: docs/5-operations.md#deployment
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG
from ringrift_airflow.params import DEPLOY_PARAMS
from ringrift_airflow.tasks.deploy import deploy_hosts


@dag(schedule=None, params=DEPLOY_PARAMS, tags=[TAG, "hosts"], doc_md=__doc__, **DAG_DEFAULTS)
def ringrift_deploy() -> None:
    deploy_hosts(
        scope="{{ params.scope }}",
        hosts="{{ params.hosts }}",
        install_systemd="{{ params.install_systemd }}",
        restart="{{ params.restart }}",
        dry_run="{{ params.dry_run }}",
        hot_reload="{{ params.hot_reload }}",
    )


ringrift_deploy()
