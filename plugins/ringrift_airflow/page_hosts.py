"""The names under which Airflow's page answers while it has no login.

Any web site can have its name resolve to 127.0.0.1 and then talk to what listens there as if it were its own (DNS
rebinding); its name stands in the Host header of such requests. With a login the site lacks the cookie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.configuration import conf

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_LOOPBACK = ("127.0.0.1", "localhost")


def known_hosts_only(app: ASGIApp) -> ASGIApp:
    """The app, closed to requests for other names than this machine's and those of Airflow's own addresses."""
    if not conf.getboolean("core", "simple_auth_manager_all_admins"):
        return app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    addresses = (conf.get("api", "base_url", fallback=""), conf.get("core", "execution_api_server_url", fallback=""))
    named = [name for address in addresses if (name := urlsplit(address or "").hostname)]
    return TrustedHostMiddleware(app, allowed_hosts=[*_LOOPBACK, *named], www_redirect=False)
