"""Whether `notifications.notifier` names a notifier of Airflow's; a child process imports it, nothing here does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from ringrift_loop.config.schema import Notifications
from ringrift_loop.errors import ConfigError
from ringrift_loop.text import one_line

_LIMIT_S = 60.0
_SHOWN = 300
_LOOK = """
import importlib, json, sys
module, _, name = sys.argv[1].rpartition(".")
try:
    found = getattr(importlib.import_module(module), name)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
if not (isinstance(found, type) and callable(getattr(found, "notify", None))):
    sys.exit("it is no class with a method notify")
try:
    found(**json.loads(sys.argv[2]))
except Exception as error:
    sys.exit(f"it does not take notifications.arguments: {type(error).__name__}: {error}")
"""


def check_notifier(config: Notifications) -> None:
    """Import the notifier and make one, as a task would.

    Raises:
        ConfigError: it cannot be imported, is no notifier, or does not take the arguments.
    """
    if not config.notifier:
        return
    command = [sys.executable, "-c", _LOOK, config.notifier, json.dumps(dict(config.arguments))]
    with tempfile.TemporaryDirectory() as home:  # Airflow makes a folder when it is imported
        environment = {**os.environ, "AIRFLOW_HOME": home}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(f"notifications.notifier: importing {config.notifier} took over {_LIMIT_S:g} s") from None
    if done.returncode != 0:
        said = one_line((done.stderr.strip().splitlines() or ["it said nothing"])[-1], _SHOWN)
        raise ConfigError(
            f"notifications.notifier must be the import path of a notifier of Airflow's, such as "
            f"airflow.providers.smtp.notifications.smtp.SmtpNotifier, got {config.notifier!r}: {said}"
        )
