"""The forms that people fill in when they start a DAG by hand."""

from __future__ import annotations

from airflow.sdk import Param

from ringrift_loop.config import LoopConfig

# JSON Schema's patterns search, and Python's `$` lets a newline follow; browsers do not know `\Z`.
_WHOLE = r"^(?:{})(?!\n)$"
_DIGEST = "[0-9a-f]{64}"
MODEL_PATTERN = _WHOLE.format(f"champion|{_DIGEST}")


def variant_param(config: LoopConfig, *, optional: bool = False) -> Param:
    """A choice among the variants that the configuration plays; the first is the default unless it is optional."""
    names = list(config.variants)
    if optional:
        description = "the variant to train now; empty: the one whose games made the run due"
        return Param(None, type=["null", "string"], enum=[None, *names], title="Variant", description=description)
    return Param(names[0], type="string", enum=names, title="Variant", description="board and number of players")


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


def reason_param() -> Param:
    """Why, in a person's words."""
    return Param(type="string", minLength=3, maxLength=500, title="Reason", description="kept in the history")


def _flag(default: bool, title: str, description: str) -> Param:
    return Param(default, type="boolean", title=title, description=description)


DEPLOY_PARAMS = {
    "scope": Param("all", type="string", enum=["all", "primary", "selfplay"], title="Scope", description="which hosts"),
    "hosts": Param(
        [],
        type="array",
        items={"type": "string", "pattern": _WHOLE.format("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")},
        title="Hosts",
        description="of those, only the named ones; one a line",
    ),
    "dry_run": _flag(True, "Dry run", "only tell the plan"),
    "restart": _flag(False, "Restart", "drain the workers and start them again, also the units"),
    "install_systemd": _flag(False, "Install systemd units", "self-play as a service where the loop runs no workers"),
    "hot_reload": _flag(True, "Hot reload", "false: workers keep their model until they are restarted"),
}
"""What `ringrift_deploy` is asked."""
