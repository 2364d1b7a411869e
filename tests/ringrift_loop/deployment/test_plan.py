"""What a deployment decides from what it finds, and that nothing a host answers is believed unseen."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop import __version__
from ringrift_loop.cluster.agent.report import WorkerReport
from ringrift_loop.deployment.plan import (
    Found,
    HostPlan,
    Installed,
    Wish,
    chosen_hosts,
    installed_record,
    make_plan,
    parse_found,
)
from ringrift_loop.deployment.release import Release, build_release, open_release
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.selfplay.host_settings import DEFAULTS

INVENTORY = parse_inventory(
    """
standard_hosts:
  trainer: {ssh_host: 192.0.2.1, role: 'training,tournament', remote_path: /opt/r}
  tuner: {ssh_host: 192.0.2.2, role: hp_tuning, remote_path: /opt/r}
  player: {ssh_host: 192.0.2.3, role: selfplay, remote_path: /opt/r, max_workers: 2}
  away: {ssh_host: 192.0.2.4, role: selfplay, enabled: false}
""",
    "hosts.yaml",
)
PLAYER, TRAINER = INVENTORY.hosts["player"], INVENTORY.hosts["trainer"]
RELEASE = Release(Path("x.whl"), "0.2.0", "a" * 64, Path("constraints.txt"), "b" * 64)
WORKER = WorkerReport(0, True, "hex8_2p", 10.0, None, None, None)


def found(extras: tuple[str, ...] = (), **changes: Any) -> Found:
    """A host that has the release."""
    record = installed_record(RELEASE, extras)
    up_to_date = Found("/opt/r", "/data", "u", f"venvs/{RELEASE.key(extras)}/venv", record, DEFAULTS)
    return replace(up_to_date, **changes)


def plan(there: Found, wish: Wish | None = None, host: Any = PLAYER, workers: Any = (WORKER,)) -> HostPlan:
    return make_plan(
        host, there, workers, RELEASE, wish or Wish(), template="User=ringrift\n", variants=("square8_2p", "hex8_2p")
    )


def test_scopes_are_the_guides() -> None:
    assert [host.name for host in chosen_hosts(INVENTORY, "all")] == ["trainer", "tuner", "player"]
    assert [host.name for host in chosen_hosts(INVENTORY, "primary")] == ["trainer", "tuner"]
    assert [host.name for host in chosen_hosts(INVENTORY, "selfplay")] == ["player"]
    assert [host.name for host in chosen_hosts(INVENTORY, "all", ["player", "trainer"])] == ["player", "trainer"]
    with pytest.raises(ConfigError, match="no enabled host named away; the hosts are trainer, tuner, player"):
        chosen_hosts(INVENTORY, "all", ["away"])


def test_a_host_that_has_everything_is_left_alone() -> None:
    assert plan(found()).steps == []
    assert plan(found()).line() == "player: up to date (0.2.0)"


@pytest.mark.parametrize(
    "changes",
    [
        {"link": None},
        {"link": "venvs/" + "0" * 16 + "/venv"},  # cut off before the switch
        {"installed": None},  # cut off after it
        {"installed": Installed("0.2.0", "c" * 64, "b" * 64, ())},
    ],
)
def test_whatever_is_missing_is_installed_and_workers_are_drained_for_it(changes: dict[str, Any]) -> None:
    made = plan(found(**changes))
    assert (made.install, made.drain, made.restart_units) == (True, (WORKER,), ())
    assert "; drain 1 worker" in made.line()


def test_a_training_host_gets_the_extra_and_a_changed_role_another_installation() -> None:
    made = plan(found(), host=TRAINER, workers=())
    assert made.line() == f"trainer: install 0.2.0 with train over 0.2.0 ({'a' * 8})"
    assert plan(found(("train",)), host=TRAINER, workers=()).steps == []


def test_a_restart_drains_and_starts_again_where_nothing_is_to_be_installed() -> None:
    states = {"ringrift-selfplay@hex8_2p.service": "active", "ringrift-selfplay@hex8_3p.service": "inactive"}
    made = plan(found(unit_states=states), Wish(restart=True))
    assert made.steps == ["drain 1 worker and start them again", "restart ringrift-selfplay@hex8_2p.service"]


def test_units_that_go_on_with_the_old_program_are_named() -> None:
    made = plan(found(link=None, unit_states={"ringrift-selfplay@hex8_2p.service": "active"}))
    assert made.line().endswith("(until --restart, ringrift-selfplay@hex8_2p.service run the old program)")


def test_a_folder_that_somebody_made_by_hand_is_not_replaced() -> None:
    with pytest.raises(ConfigError, match="/opt/r/venv is a folder that no deployment made; move it away"):
        plan(found(link="folder"))


ANSWER = {"path": "/opt/r", "root": "/data", "user": "u", "link": None, "installed": None, "settings": None}
ANSWER |= {"units": {}, "states": {}}  # type: ignore[dict-item]


def test_a_probes_answer_is_read() -> None:
    read = parse_found(json.dumps(ANSWER).encode(), PLAYER)
    assert (read.path, read.link, read.installed, read.settings) == ("/opt/r", None, None, DEFAULTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": 1},
        {"path": "/opt\nUser=root"},
        {"root": None},
        {"user": "u" * 5000},
        {"states": {"ringrift-ai-loop.service": "act ive"}},
        {"states": {"sshd.service": "active"}},
        {"units": {"a\n": None}},
        {"states": [1]},
        {"settings": "{}"},
        {"units": {"ringrift-ai-loop.service": 10**400}},
        {"mood": "good"},
        {"settings": 5},
    ],
)
def test_a_strange_answer_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        parse_found(json.dumps(ANSWER | changes).encode(), PLAYER)
    with pytest.raises(DataError):
        parse_found(b"[" * 1000, PLAYER)


def test_a_record_of_an_earlier_version_is_read() -> None:
    """As commit 6931780 wrote it."""
    record = {"version": "0.2.0", "wheel_sha256": "a" * 64, "constraints_sha256": "b" * 64, "extras": ["train"]}
    answer = ANSWER | {"installed": json.dumps(record), "settings": '{"v": 1, "hot_reload": false}', "python": "3.11.2"}
    read = parse_found(json.dumps(answer).encode(), PLAYER)
    assert read.installed == installed_record(RELEASE, ("train",))
    assert not read.settings.hot_reload


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"version": "\\u001b", "wheel_sha256": ""}', '{"version": 1}'])
def test_a_record_that_cannot_be_read_counts_as_nothing_installed(record: str) -> None:
    assert parse_found(json.dumps(ANSWER | {"installed": record}).encode(), PLAYER).installed is None


def test_the_same_source_gives_the_same_wheel_and_other_content_another_key(tmp_path: Path) -> None:
    constraints = Path(__file__).parents[3] / "constraints.txt"
    first, second = (build_release(tmp_path / name, constraints) for name in ("a", "b"))
    assert (first.version, first.wheel_sha256) == (__version__, second.wheel_sha256)
    keys = {first.key(()), first.key(("train",)), replace(first, constraints_sha256="0").key(())}
    assert len(keys) == 3


def test_what_is_no_wheel_of_this_version_is_refused(tmp_path: Path) -> None:
    constraints, wheel = tmp_path / "constraints.txt", tmp_path / "x.whl"
    constraints.touch()
    wheel.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"x\.whl"):
        open_release(wheel, constraints)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ringrift_loop-9.9.dist-info/METADATA", "Name: ringrift-loop\nVersion: 9.9\n")
    with pytest.raises(ConfigError, match=f"is ringrift-loop 9.9, this is ringrift-loop {__version__}"):
        open_release(wheel, constraints)


def test_an_installation_without_its_source_asks_for_the_wheel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the wheel that it came from with --wheel"):
        build_release(tmp_path, tmp_path / "constraints.txt", source=tmp_path)
