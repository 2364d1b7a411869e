"""The forms' patterns take whole values only: a newline at the end is no part of a name."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ringrift_airflow.params import DEPLOY_PARAMS, digest_param, model_param

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("schema", "right"),
    [
        (model_param().schema, "champion"),
        (model_param().schema, DIGEST),
        (digest_param().schema, DIGEST),
        (DEPLOY_PARAMS["hosts"].schema["items"], "gpu-1"),
    ],
)
def test_nothing_may_stand_around_a_value(schema: dict[str, Any], right: str) -> None:
    jsonschema.validate(right, schema)
    for wrong in (f"{right}\n", f"\n{right}", f"{right} ", ""):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
