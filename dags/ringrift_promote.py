"""# Promotion by hand

Makes a model the champion of its variant. The gates count as always, but not the cool-down, the daily maximum or
`promotion.auto_promote`: this is how a person says yes.

1. **approve**: a person says yes on Airflow's page, where `promotion.require_approval` is on
2. **promote**: the pointer swaps, or the run is skipped with the reason
3. **distribute**: to every host
4. **confirm_reload**: until the workers play with it (deferred)

If it fails: docs/5-operations.md#promotion
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ringrift_airflow.dag_defaults import DAG_DEFAULTS, TAG
from ringrift_airflow.params import digest_param, optional_reason_param, text, variant_param
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.promotion import approve, confirm_reload, distribute, promote


@dag(
    schedule=None,
    params={"model": digest_param(), "variant": variant_param(loop_config()), "reason": optional_reason_param()},
    tags=[TAG, "models"],
    doc_md=__doc__,
    **DAG_DEFAULTS,
)
def ringrift_promote() -> None:
    asked = approve(text("model"), text("variant"), by_hand=True)
    champion = promote(text("model"), text("variant"), by_hand=True, reason=text("reason"))
    chain(asked, champion, distribute(champion), confirm_reload(champion))


ringrift_promote()
