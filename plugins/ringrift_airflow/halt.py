"""The halt: `ringrift-loop workers halt` holds back every task that the loop starts by itself.

`dag_defaults.py` gives every task the check. The few that go on through a halt say `pre_execute=None` and why; what a
person starts by hand runs in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from ringrift_airflow.params import BY_ITSELF
from ringrift_airflow.settings import open_loop

if TYPE_CHECKING:
    from airflow.sdk import Context


def skip_while_halted(context: Context) -> None:
    """Called before each task's own work.

    Raises:
        AirflowSkipException: the loop is halted, and no person started this run.
    """
    from ringrift_loop.ledger import state

    if context["dag_run"].run_type not in BY_ITSELF:
        return
    with open_loop().ledger.read() as connection:
        halted = state.halted(connection)
    if halted:
        raise AirflowSkipException("the loop is halted; run `ringrift-loop workers resume`, then clear this task")
