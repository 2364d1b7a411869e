"""# Fleet command

Runs a command on hosts of the inventory, from a form: all hosts, some, or those of a role. A dry run, the default, says
where the command would run and contacts no host. Who ran what is in the ledger's history:
`ringrift-loop ledger events --kind fleet_command`.

1. **note_command**: who runs what, where; a dry run ends here
2. **run_on_hosts**: a shell command on each host, some at a time; a result for each in the log and behind the button
   "Results of the hosts"
3. **note_result**: how it went, into the history

If it fails: docs/5-operations.md#a-command-on-many-hosts
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG
from ringrift_airflow.params import FLEET_COMMAND_PARAMS
from ringrift_airflow.tasks.fleet import note_command, note_result, run_on_hosts


@dag(schedule=None, params=FLEET_COMMAND_PARAMS, tags=[TAG, "hosts"], doc_md=__doc__, **DAG_DEFAULTS)
def ringrift_fleet_command() -> None:
    noted = note_command()
    note_result(run_on_hosts(noted).output)


ringrift_fleet_command()
