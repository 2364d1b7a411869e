"""What Airflow's provider discovery reads: the `[ringrift]` section of its configuration.

The section is read in `settings.py` only.
"""

from __future__ import annotations

from typing import Any

_VERSION_ADDED = "0.1.0"


def _option(description: str, example: str) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": _VERSION_ADDED,
        "type": "string",
        "example": example,
        "default": "",
    }


def get_provider_info() -> dict[str, Any]:
    """The provider record, in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "ringrift-loop",
        "name": "RingRift improvement loop",
        "description": "Self-play, training, gating and promotion of a RingRift AI as Airflow DAGs.",
        "config": {
            "ringrift": {
                "description": "Where the improvement loop keeps its state and finds its own configuration.",
                "options": {
                    "home": _option(
                        "The run directory. Empty: the environment variable RINGRIFT_HOME, else `run` below the "
                        "folder that Airflow was started in.",
                        "/srv/ringrift/run",
                    ),
                    "ledger_url": _option(
                        "Database URL of the ledger. Empty: RINGRIFT_LEDGER_URL, else SQLite in the run directory.",
                        "postgresql+psycopg2://ringrift@database/ledger",
                    ),
                    "config_file": _option(
                        "The loop's YAML configuration. Empty: RINGRIFT_CONFIG, else config/unified_loop.yaml.",
                        "/opt/ringrift/config/unified_loop.yaml",
                    ),
                    "hosts_file": _option(
                        "The inventory of hosts. Empty: RINGRIFT_HOSTS, else config/remote_hosts.yaml.",
                        "/opt/ringrift/config/remote_hosts.yaml",
                    ),
                },
            }
        },
    }
