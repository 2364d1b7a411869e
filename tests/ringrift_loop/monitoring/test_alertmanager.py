"""Alertmanager's file: who is told of which alert, and which alerts hold others back."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from other_programs import end
from ringrift_loop.config import LoopConfig
from ringrift_loop.monitoring.alerts import LOOP_DOWN, alerts

FILE = Path(__file__).parents[3] / "config" / "prometheus" / "alertmanager.yml"
ALERTS = {alert.name: alert for alert in alerts(LoopConfig())}


def _held_back_by(name: str) -> set[str]:
    """The alerts that the file's rules hold back while this one fires."""
    held = set()
    for rule in yaml.safe_load(FILE.read_text(encoding="utf-8"))["inhibit_rules"]:
        assert "equal" not in rule, "an alert without the label would be told all the same"
        if rule["source_matchers"] == [f'alertname="{name}"']:
            (target,) = rule["target_matchers"]
            label, _, value = target.replace("=~", "=").partition("=")
            names = value.strip('"').split("|")
            held |= {
                other.name
                for other in ALERTS.values()
                if (other.follows if label == "follows" else other.name) in names
            }
    return held


def test_a_loop_that_is_down_holds_back_what_follows_from_it_and_no_danger_to_data() -> None:
    held = _held_back_by(LOOP_DOWN)

    assert {"NoGamesSynced", "NoTaskStarted", "TrainingStuck", "BridgeSilent", "CPUUnderutilized"} <= held
    assert held.isdisjoint({LOOP_DOWN, "DiskNearlyFull", "LedgerVerificationFailed", "HighQuarantineRate"})


def test_hosts_that_are_all_away_are_told_once() -> None:
    assert _held_back_by("AllHostsFailed") == {"HostFailing", "HighSyncErrorRate", "NoGamesSynced"}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("amtool") is None, reason="the Debian package prometheus-alertmanager is missing")
class TestByAmtool:
    def test_the_file_is_valid(self) -> None:
        found = subprocess.run(["amtool", "check-config", str(FILE)], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr

    @pytest.mark.parametrize("name", sorted(ALERTS))
    def test_an_alert_reaches_the_receiver_of_its_severity(self, name: str) -> None:
        severity = ALERTS[name].severity
        labels = [f"alertname={name}", f"severity={severity}"]
        command = ["amtool", "config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={severity}"]
        found = subprocess.run([*command, *labels], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.system
@pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None, reason="the Debian package prometheus-alertmanager is missing"
)
def test_a_running_alertmanager_holds_back_what_follows(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ["prometheus-alertmanager", f"--config.file={FILE}", f"--storage.path={tmp_path}"]
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    firing = [
        {
            "labels": {"alertname": name, "severity": alert.severity}
            | ({"follows": alert.follows} if alert.follows else {})
        }
        for name, alert in ALERTS.items()
    ]
    held = _held_back_by(LOOP_DOWN) | _held_back_by("AllHostsFailed") | {"GPUOverutilized"}
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 30.0
            _ask(address, firing, deadline=deadline)
            states = _states(address, deadline)
            # Its inhibitor reads what came in beside the page that takes it in.
            while _suppressed(states) != held and time.monotonic() < deadline:
                time.sleep(0.1)  # between two looks at another process
                states = _states(address, deadline)
        finally:
            end(process)

    assert _suppressed(states) == held
    assert states.keys() == ALERTS.keys()


def _states(address: str, deadline: float) -> dict[str, str]:
    """The state of each alert by its name."""
    told = _ask(address, None, deadline=deadline)
    return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in told}


def _suppressed(states: dict[str, str]) -> set[str]:
    return {name for name, state in states.items() if state == "suppressed"}


def _ask(address: str, alerts_to_send: list[dict[str, Any]] | None, *, deadline: float) -> Any:
    """Send alerts, or get them; waits until Alertmanager answers."""
    body = None if alerts_to_send is None else json.dumps(alerts_to_send).encode()
    request = urllib.request.Request(
        f"http://{address}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except OSError:
            assert time.monotonic() < deadline, "Alertmanager does not answer"
            time.sleep(0.1)  # between two looks at another process
