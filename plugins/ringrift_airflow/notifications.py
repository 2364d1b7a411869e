"""Failures, stuck trainings, promotions, rollbacks and questions through a notifier of Airflow's, if one is named.

`notifications.arguments` are the notifier's own; those that it renders may use `{{ ringrift_message }}`, a sentence on
what happened. A notifier that fails is a line in the log, and never a task's failure.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ringrift_airflow.settings import loop_config
from ringrift_loop.text import one_line

if TYPE_CHECKING:
    from airflow.sdk import Context

_log = logging.getLogger(__name__)
_MOVED = ("promoted", "rolled_back")


def notify_failure(context: Context) -> None:
    """Called when a task of the loop has failed for good."""
    instance = context["ti"]
    reason = context.get("exception") or "no reason is known"
    _notify(f"{instance.dag_id}.{instance.task_id} failed: {reason}", context)


def notify_move(context: Context) -> None:
    """Called when a task that may move the champion pointer has succeeded; a champion that was kept is no news."""
    instance = context["ti"]
    record = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
    if isinstance(record, dict) and "watch" in record:  # of a shadow tournament
        record = (record["watch"] or {}).get("rollback")
    if isinstance(record, dict) and record.get("status") in _MOVED:
        verb = "is the champion" if record["status"] == "promoted" else "is the champion again"
        what = f"{record['variant']}: {str(record['model_digest'])[:12]} {verb}, generation {record['generation']}"
        _notify(f"{what}. {record['reason']}", context)


def notify_question(question: str, context: Context) -> None:
    """Called when a person has to approve something on Airflow's page."""
    _notify(f"{question} {context['ti'].dag_id} waits for an answer under Required Actions", context)


def notify_stuck(message: str, context: Mapping[str, Any]) -> None:
    """Called in the triggerer: there is no task, so `context` has the run alone."""
    _notify(message, context)


def _notify(message: str, context: Context | Mapping[str, Any]) -> None:
    config = loop_config().notifications
    if not config.notifier:
        return
    module, _, name = config.notifier.rpartition(".")
    try:
        notifier = getattr(importlib.import_module(module), name)(**config.arguments)
        notifier({**context, "ringrift_message": one_line(message)})
    except Exception:  # noqa: BLE001 - a notifier is anybody's program
        _log.exception("%s could not tell: %s", config.notifier, one_line(message))
