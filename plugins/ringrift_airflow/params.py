"""The forms that people fill in when they start a DAG by hand, and what becomes of what they wrote."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from airflow.sdk import Param

from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.entry import ROLES

BY_ITSELF = ("scheduled", "asset_triggered")
"""Types of the runs that the loop starts by itself; all others are a person's, or another DAG's."""

# JSON Schema's patterns search, and Python's `$` lets a newline follow; browsers do not know `\Z`.
_WHOLE = r"^(?:{})(?!\n)$"
_DIGEST = "[0-9a-f]{64}"
MODEL_PATTERN = _WHOLE.format(f"champion|{_DIGEST}")
ALIASES = MappingProxyType({"config": "variant"})
"""Other words for a field of a form: the deployment guide says `config`, as `ringrift-loop --config` does."""


def filled_in(schemas: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a person gave, under the names of the form.

    Args:
        schemas: the form: each field's JSON schema by its name.
        given: by name, or by one of `ALIASES`.

    Raises:
        ValueError: a name that the form does not have, a field named twice, or one that must be chosen and was not.
    """
    answers: dict[str, Any] = {}
    for name, value in given.items():
        field = name if name in schemas else ALIASES.get(name, name)
        if field not in schemas:
            raise ValueError(f"unknown key {name!r}{_suggestion(name, schemas)}")
        if answers.setdefault(field, value) != value:
            raise ValueError(f"{field} is given twice, as {answers[field]!r} and as {value!r}")
    for field, schema in schemas.items():
        if schema.get("must_be_chosen") and answers.get(field) is None:
            names = ", ".join(choice for choice in schema["enum"] if choice is not None)
            raise ValueError(f"{field} must be chosen, one of {names}")
    return answers


def _suggestion(name: str, schemas: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.replace("-", "_"), [*schemas, *ALIASES], n=1)
    if close and ALIASES.get(close[0], close[0]) in schemas:
        return f", did you mean {ALIASES.get(close[0], close[0])!r}?"
    return f"; the keys are {', '.join(schemas)}" if schemas else "; this DAG takes none"


def variant_param(config: LoopConfig) -> Param:
    """A choice among the variants that the configuration plays; whoever starts the DAG has to make it.

    It is empty at first, and not without a default, because Airflow refuses a missing field before `config` could be
    read as `variant`. `must_be_chosen` is a keyword of our own for `filled_in`; Airflow passes over it.
    """
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *config.variants],
        title="Variant",
        description="board and number of players, such as square8_2p",
        must_be_chosen=True,
    )


def model_param() -> Param:
    """A model by its digest, or the variant's champion."""
    return Param(
        "champion",
        type="string",
        pattern=MODEL_PATTERN,
        title="Model",
        description="`champion`, or the 64 hex characters of a model's digest",
    )


def digest_param() -> Param:
    """A model by its digest, without a default: nobody promotes by mistake."""
    pattern = _WHOLE.format(_DIGEST)
    return Param(type="string", pattern=pattern, title="Model", description="the 64 hex characters of its digest")


def optional_reason_param() -> Param:
    """Why, in a person's words, or nothing."""
    return Param("", type="string", maxLength=500, title="Reason", description="kept in the history")


def reason_param() -> Param:
    """Why, in a person's words."""
    return Param(type="string", minLength=3, maxLength=500, title="Reason", description="kept in the history")


def text(field: str) -> str:
    """The template of a text of the form, as it was written.

    A plain one would read `4711`, `None` or `...` as Python, since DAGs render native objects.
    """
    return f"{{{{ '%r' | format(params.{field}) }}}}"


def _flag(default: bool, title: str, description: str) -> Param:
    return Param(default, type="boolean", title=title, description=description)


_HOST_NAME = {"type": "string", "pattern": _WHOLE.format("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")}

DEPLOY_PARAMS = {
    "scope": Param("all", type="string", enum=["all", "primary", "selfplay"], title="Scope", description="which hosts"),
    "hosts": Param(
        [],
        type="array",
        items=_HOST_NAME,
        title="Hosts",
        description="of those, only the named ones; one per line",
    ),
    "dry_run": _flag(True, "Dry run", "only show the plan"),
    "restart": _flag(False, "Restart", "drain and restart the workers, and the units"),
    "install_systemd": _flag(False, "Install systemd units", "self-play as a service where the loop runs no workers"),
    "hot_reload": _flag(True, "Hot reload", "false: workers keep their model until they are restarted"),
}
"""The form of `ringrift_deploy`."""

FLEET_COMMAND_PARAMS = {
    "command": Param(
        type="string",
        minLength=1,
        maxLength=4000,
        title="Command",
        description="lines of POSIX sh; no passwords: it is kept in the history",
    ),
    "hosts": Param([], type="array", items=_HOST_NAME, title="Hosts", description="only the named ones; one per line"),
    "role": Param(
        None,
        type=["null", "string"],
        enum=[None, *sorted(ROLES)],
        title="Role",
        description="only hosts with this role",
    ),
    "at_once": Param(16, type="integer", minimum=1, maximum=256, title="At once", description="hosts at a time"),
    "min_success": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Successes needed",
        description="with fewer the run fails; empty: all hosts",
    ),
    "limit_s": Param(
        60, type="integer", minimum=5, maximum=3600, title="Time limit", description="for one host, seconds"
    ),
    "dry_run": _flag(True, "Dry run", "only say where it would run"),
}
"""The form of `ringrift_fleet_command`."""

LONGEST_BUDGET_S = 300
"""The longest time that a full tournament may begin games for, seconds."""

FULL_TOURNAMENT_PARAMS = {
    "budget_s": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=LONGEST_BUDGET_S,
        title="Budget",
        description="games are begun for so long, seconds; empty: as the intervals of `evaluation` allow",
    ),
}
"""The form of `ringrift_full_tournament`."""

RETENTION_PARAMS = {
    "dry_run": _flag(True, "Dry run", "only say what would be deleted, unless `retention.apply` is true"),
}
"""The form of `ringrift_retention`."""
