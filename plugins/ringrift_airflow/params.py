"""The forms that people fill in when they start a DAG by hand."""

from __future__ import annotations

from airflow.sdk import Param

from ringrift_loop.config import LoopConfig

MODEL_PATTERN = r"^(champion|[0-9a-f]{64})$"


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
    return Param(
        type="string", pattern=r"^[0-9a-f]{64}$", title="Model", description="the 64 hex characters of its digest"
    )


def reason_param() -> Param:
    """Why, in a person's words."""
    return Param(type="string", minLength=3, maxLength=500, title="Reason", description="kept in the history")
