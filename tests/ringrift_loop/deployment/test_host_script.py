"""What a host is asked to run before anything of ours is there: its refusals."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ringrift_loop.cluster.agent.wire import between_marks
from ringrift_loop.deployment import host_script as host_install
from ringrift_loop.deployment import step

KEY = "0" * 16


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run an action with something on stdin; gives status, stdout and stderr."""

    def call(action: str, *options: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        where = ["--token", "0f" * 16, "--path", str(tmp_path / "p"), "--root", str(tmp_path / "r")]
        status = host_install.main([action, *where, *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_every_python_3_can_read_it_as_far_as_its_refusal() -> None:
    source = Path(host_install.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {node.names[0].name for node in ast.walk(tree) if isinstance(node, ast.Import)}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names


def test_an_old_python_is_refused_by_its_version(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr("platform.python_version", lambda: "3.9.2")
    status, out, err = run("probe")
    assert (status, out) == (1, "")
    assert err.startswith("Python 3.11 or newer is needed as python3, ")
    assert "Python 3.9.2" in err


def test_answers_are_marked_as_those_of_the_installed_program_are(run: Any, tmp_path: Path) -> None:
    status, out, _ = run("probe", "--unit-dir", str(tmp_path))
    assert status == 0
    assert json.loads(between_marks(out.encode(), "0f" * 16))["root"] == str(tmp_path / "r")


def receive(content: bytes, size: int | None = None) -> list[str]:
    size = len(content) if size is None else size
    digest = hashlib.sha256(content).hexdigest()
    return ["receive", "--key", KEY, "--name", "x.whl", "--sha256", digest, "--size", str(size)]


def test_a_file_gets_its_name_when_it_is_whole(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "p" / "venvs" / KEY
    status, _, err = run(*receive(b"whole"), stdin=b"who")
    assert (status, "arrived damaged or cut, 3 of 5 bytes" in err) == (1, True)
    assert list(folder.iterdir()) == []
    assert run(*receive(b"whole"), stdin=b"whole")[0] == 0
    assert (folder / "x.whl").read_bytes() == b"whole"
    assert run(*receive(b"whole"))[0] == 0  # it is here: nothing is read


@pytest.mark.parametrize("key", ["../../etc", "0" * 15, "venv"])
def test_a_key_is_never_a_path(run: Any, key: str) -> None:
    status, _, err = run("receive", "--key", key, "--name", "x", "--sha256", "", "--size", "0")
    assert (status, "16 hex characters" in err) == (1, True)


def test_what_is_not_complete_or_not_ours_to_replace_is_not_put_in_use(run: Any, tmp_path: Path) -> None:
    assert "is not complete" in run("switch", "--key", KEY)[2]
    (tmp_path / "p" / "venv").mkdir(parents=True)
    assert "is a folder that no deployment made; move it away" in run("switch", "--key", KEY)[2]
    assert not (tmp_path / "p" / "installed.json").exists()


def test_a_switch_keeps_the_installation_before_and_drops_older_ones(run: Any, tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "p" / "venvs" / (str(number) * 16)
        (folder / "venv").mkdir(parents=True)
        (folder / "complete").touch()
        assert run("switch", "--key", folder.name, stdin=b"{}")[0] == 0
        assert str((tmp_path / "p" / "venv").readlink()) == f"venvs/{folder.name}/venv"
    assert sorted(path.name[0] for path in (tmp_path / "p" / "venvs").iterdir()) == ["1", "2"]
    assert (tmp_path / "p" / "installed.json").read_bytes() == b"{}"


def test_units_need_systemd_and_root(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = json.dumps({"files": {}, "enable": ["ringrift-selfplay@hex8_2p.service"], "restart": []}).encode()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "units need systemd" in run("units", "--unit-dir", str(tmp_path), stdin=wish)[2]
    for name, status in (("systemctl", 0), ("sudo", 1)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    assert "units need root: log in as root, or give" in run("units", "--unit-dir", str(tmp_path), stdin=wish)[2]


def test_only_our_own_units_are_touched(run: Any, tmp_path: Path) -> None:
    for name in ("sshd.service", "ringrift-x.timer", "../ringrift-a.service", "ringrift-selfplay@../a.service"):
        wish = json.dumps({"files": {name: ""}, "enable": [], "restart": []}).encode()
        status, _, err = run("units", "--unit-dir", str(tmp_path), stdin=wish)
        assert (status, "not one of our units" in err) == (1, True)


def test_a_unit_that_does_not_become_active_is_a_failure(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systemctl").write_text('#!/bin/sh\nif [ "$1" = is-active ]; then echo failed; fi\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(host_install, "_ACTIVE_WAIT_S", 0.0)
    wish = json.dumps({"files": {}, "enable": ["ringrift-ai-loop.service"], "restart": []}).encode()
    status, _, err = run("units", "--unit-dir", str(tmp_path), stdin=wish)
    assert status == 1
    assert err == "ringrift-ai-loop.service is failed, not active: journalctl -u ringrift-ai-loop.service\n"


def test_a_python_that_cannot_read_the_script_says_so_before_it_reads_it() -> None:
    old = step._READ_AND_RUN.format(9).replace("import json,sys;", "import json,sys;sys.version_info=(3,6,8);")
    content = json.dumps([step._TOO_OLD, "probe"]).encode() + b"\nno python"
    done = subprocess.run([sys.executable, "-I", "-c", old], input=content, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().strip() == step._TOO_OLD
    new = subprocess.run(
        [sys.executable, "-I", "-c", step._READ_AND_RUN.format(22)],
        input=json.dumps([step._TOO_OLD, "probe"]).encode() + b"\nprint(sys.argv[1:]) ##",
        capture_output=True,
        check=True,
    )
    assert new.stdout.split() == [b"['probe']"]
