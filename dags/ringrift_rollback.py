"""# Rollback

Makes the previous champion the champion again.

Name the variant and the reason; nothing is chosen for you, and unknown keys are refused:
`airflow dags trigger ringrift_rollback --conf '{"variant": "square8_2p", "reason": "..."}'`

1. **approve**: a person says yes on Airflow's page, where `promotion.require_approval` is on
2. **roll_back**: the pointer swaps back and the reason is kept in the promotion history
3. **distribute**: to every host
4. **confirm_reload**: until the workers play with it (deferred)

If it fails: docs/5-operations.md#promotion
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG
from ringrift_airflow.params import reason_param, text, variant_param
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.promotion import approve, confirm_reload, distribute, roll_back


@dag(
    schedule=None,
    params={"variant": variant_param(loop_config()), "reason": reason_param()},
    tags=[TAG, "models"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_rollback() -> None:
    asked = approve(variant=text("variant"), reason=text("reason"))
    champion = roll_back(text("variant"), text("reason"))
    chain(asked, champion, distribute(champion), confirm_reload(champion))


ringrift_rollback()
