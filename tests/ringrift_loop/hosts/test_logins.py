from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.hosts.inventory import Credentials, Inventory, parse_inventory
from ringrift_loop.hosts.logins import logins_of, with_logins

INVENTORY = """
standard_hosts:
  here: {transport: local}
  a: {ssh_host: 192.0.2.1, ssh_user: nobody, ssh_key: /k, role: tournament, root: /r, connection: fleet_a}
  b: {ssh_host: 192.0.2.2}
"""


@pytest.fixture
def inventory() -> Inventory:
    return parse_inventory(INVENTORY, "hosts.yaml")


@pytest.mark.parametrize("secret", [None, Credentials("hush"), Credentials(None, "-----BEGIN", "phrase")])
def test_a_login_replaces_what_the_inventory_says_of_its_host_alone(
    inventory: Inventory, secret: Credentials | None, tmp_path: Path
) -> None:
    resolved = replace(
        inventory.hosts["a"],
        ssh_host="198.51.100.7",
        ssh_port=2200,
        ssh_user="ringrift",
        ssh_key=None,
        host_key="SHA256:x",
        connect_limit_s=7.0,
        unusable="no",
        credentials=secret,
    )
    (tmp_path / "logins").write_bytes(logins_of([resolved]))
    found = with_logins(inventory, tmp_path / "logins")
    assert found.hosts == {**inventory.hosts, "a": resolved}
    assert "hush" not in repr(found)


def test_what_is_no_login_is_refused(inventory: Inventory, tmp_path: Path) -> None:
    stranger = replace(inventory.hosts["a"], name="c")
    (tmp_path / "stranger").write_bytes(logins_of([stranger]))
    with pytest.raises(ConfigError, match="name c, which the inventory does not have"):
        with_logins(inventory, tmp_path / "stranger")
    with pytest.raises(ConfigError, match="cannot be read"):
        with_logins(inventory, tmp_path / "nothing")
    (tmp_path / "empty").write_bytes(b"{}")
    with pytest.raises(DataError, match="the logins of hosts"):
        with_logins(inventory, tmp_path / "empty")
