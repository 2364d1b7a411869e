"""What a host's workers do differently: kept in its root folder, read whoever starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringrift_loop.config import Selfplay
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.host_settings import DEFAULTS, HostSettings, read_settings, write_settings


def test_what_is_written_is_read_and_no_file_means_the_defaults(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path / "host")
    assert read_settings(host) == DEFAULTS == HostSettings(hot_reload=True)
    write_settings(host, HostSettings(hot_reload=False))
    assert read_settings(host) == HostSettings(hot_reload=False)
    assert [path.name for path in host.root.iterdir()] == ["host_settings.json"]


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_worker_reloads_when_both_configuration_and_host_allow_it(here: bool, everywhere: bool) -> None:
    selfplay = HostSettings(hot_reload=here).applied_to(Selfplay(hot_reload=everywhere))
    assert selfplay == Selfplay(hot_reload=here and everywhere)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b'{"v": 2, "hot_reload": true}', b'{"v": 1}', b'{"v": 1, "hot_reload": 0}', b'{"hot_reload": true}'],
)
def test_a_damaged_file_is_refused_with_its_place(tmp_path: Path, raw: bytes) -> None:
    host = HostDirectory(tmp_path)
    host.settings.write_bytes(raw)
    with pytest.raises(DataError, match=r"host_settings\.json"):
        read_settings(host)


def test_a_file_that_cannot_be_opened_is_refused_with_its_place(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    host.settings.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"host_settings\.json cannot be read: .* is not a plain file"):
        read_settings(host)


def test_the_command_that_plays_obeys_the_hosts_settings(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    write_settings(host, HostSettings(hot_reload=False))
    config = tmp_path / "config.yaml"
    config.write_text("selfplay: {games_in_parallel: 4, bootstrap_simulations: 2}\n")
    command = [sys.executable, "-m", "ringrift_loop.cli", "selfplay", "--root", str(tmp_path), "--config", str(config)]
    done = subprocess.run([*command, "--variant", "square8_2p", "--games", "1"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(host.heartbeat(0).read_bytes())["hot_reload"] is False
