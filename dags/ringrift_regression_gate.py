"""# Regression gate

The six tests of the gate on any model, by hand; the same code as in `ringrift_training` and in
`ringrift-loop regression-gate`.

1. **regression_gate**: six tests with one verdict

If it fails: docs/5-operations.md#regression-gate
"""

from __future__ import annotations

from airflow.sdk import dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG
from ringrift_airflow.params import model_param, text, variant_param
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.gate import regression_gate


@dag(
    schedule=None,
    params={"model": model_param(), "variant": variant_param(loop_config())},
    tags=[TAG, "models"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_regression_gate() -> None:
    regression_gate(text("model"), text("variant"), candidate=False)


ringrift_regression_gate()
