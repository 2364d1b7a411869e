"""`ringrift-loop train-bundle` as a host runs it: no ledger, no configuration, real processes."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from ringrift_loop.cli import main
from ringrift_loop.ledger import training
from ringrift_loop.loop import Loop
from ringrift_loop.training.claim import claim_for_run
from ringrift_loop.training.fit import CHECKPOINT
from ringrift_loop.training.train import adopt_run, prepare_run

VARIANT = "square8_2p"
BOUND_S = 120.0
"""For a start of three Pythons with torch on two busy cores; a hang would last for ever."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def bundle(loop: Loop, take_games: Callable[..., Any]) -> Iterator[Path]:
    """The bundle of a run that takes too many steps to be finished by itself, with a checkpoint each second."""
    take_games(loop, VARIANT, range(10))
    settings = dataclasses.replace(loop.config.training, samples_per_row=64.0, checkpoint_seconds=1, batch_size=16)
    loop = dataclasses.replace(loop, config=dataclasses.replace(loop.config, training=settings))
    run_id = claim_for_run(loop, [VARIANT], key="test").run_id
    prepare_run(loop, run_id)
    yield loop.directory.training_bundle(run_id)


@pytest.fixture
def start(bundle: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the command in the bundle's folder; whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGRIFT")}

    def begin(*options: str, output: Path = tmp_path / "output") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ringrift_loop.cli", "train-bundle", "--bundle", str(bundle)]
        command += ["--output", str(output), *options]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        process.communicate()


def _checkpointed(output: Path, *, after: int = 0) -> int:
    """Wait for a checkpoint that is newer than a time; returns its own."""
    limit = time.monotonic() + BOUND_S
    while time.monotonic() < limit:
        path = output / CHECKPOINT
        if path.exists() and path.stat().st_mtime_ns > after:
            return path.stat().st_mtime_ns
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint in {output} within {BOUND_S} s")


def _members(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "train-bundle" in child.cmdline()]


def test_processes_that_share_a_training_stop_die_and_go_on_together(start: Start, tmp_path: Path) -> None:
    output = tmp_path / "output"
    # SIGTERM: all stop after a checkpoint.
    first = start("--processes", "2")
    saved = _checkpointed(output)
    members = _members(first)
    assert len(members) == 2
    first.terminate()
    out, err = first.communicate(timeout=BOUND_S)
    assert (first.returncode, out) == (75, ""), err
    assert "all 2 processes were ended by SIGTERM" in err
    assert not any(member.is_running() for member in members)
    saved = max(saved, (output / CHECKPOINT).stat().st_mtime_ns)

    # One is killed: the others are ended, and the command fails.
    second = start("--processes", "2")
    saved = _checkpointed(output, after=saved)
    members = _members(second)
    members[1].kill()
    began = time.monotonic()
    out, err = second.communicate(timeout=BOUND_S)
    assert time.monotonic() - began < 30.0
    assert (second.returncode, out) == (1, ""), err
    assert "of 2 was ended by signal 9" in err or "of 2 ended with status 1" in err
    assert not any(member.is_running() for member in members)

    # The one that watches is killed: nothing is left of the others.
    third = start("--processes", "2")
    _checkpointed(output, after=saved)
    members = _members(third)
    third.kill()
    third.communicate(timeout=BOUND_S)
    _, left = psutil.wait_procs(members, timeout=10.0)
    assert left == []


def test_a_single_process_stops_after_a_checkpoint_and_goes_on(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # the command sets it, and the test takes it back
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    output, saved = tmp_path / "output", 0
    caplog.set_level(logging.INFO)
    for _ in range(2):

        def stop_after_a_checkpoint(after: int = saved) -> None:
            _checkpointed(output, after=after)
            os.kill(os.getpid(), signal.SIGTERM)

        stopper = threading.Thread(target=stop_after_a_checkpoint)
        stopper.start()
        assert main(["train-bundle", "--bundle", str(bundle), "--output", str(output), "--processes", "1"]) == 75
        stopper.join()
        signal.signal(signal.SIGTERM, handler)
        saved = (output / CHECKPOINT).stat().st_mtime_ns
    assert "resumed at step" in caplog.text
    assert not (output / "report.json").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_gpu_has_a_process_of_its_own(loop: Loop, take_games: Callable[..., Any], tmp_path: Path) -> None:
    """Its CPU twin: test_the_parts_of_a_run_are_commands_for_a_dag."""
    take_games(loop, VARIANT, range(10))
    run_id = claim_for_run(loop, [VARIANT], key="test").run_id
    prepare_run(loop, run_id)
    outcome = _train_bundle(loop.directory.training_bundle(run_id), tmp_path / "output")
    assert adopt_run(loop, run_id, tmp_path / "output").model_digest == outcome["model_digest"]


def test_the_parts_of_a_run_are_commands_for_a_dag(
    loop: Loop,
    take_games: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    take_games(loop, VARIANT, range(10))
    run_id = claim_for_run(loop, [VARIANT], key="test").run_id
    small = tmp_path / "small.yaml"
    keys = ("window_rows_min", "samples_per_row", "batch_size", "warmup_steps", "validation_fraction")
    values = {key: getattr(loop.config.training, key) for key in (*keys, "blocks", "channels", "threads")}
    inference = {"int8": loop.config.inference.int8}
    small.write_text(json.dumps({"training": values, "inference": inference}))
    monkeypatch.setenv("RINGRIFT_HOME", str(loop.directory.root))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")

    def train(*arguments: str) -> dict[str, Any]:
        assert main(["train", "--run", run_id, *arguments, "--config", str(small), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert isinstance(document, dict)
        return document

    prepared = train("--prepare-only")
    assert (prepared["run_id"], prepared["variant"]) == (run_id, VARIANT)
    assert prepared["bytes"] > 1000
    trained = _train_bundle(Path(prepared["bundle"]), Path(prepared["output"]), "--processes", "2")
    report = train("--adopt", prepared["output"])
    assert report["model_digest"] == trained["model_digest"]
    with loop.ledger.read() as conn:
        assert training.require(conn, run_id).report == report
    assert [path.name for path in loop.directory.training(run_id).iterdir()] == ["report.json"]


def _train_bundle(bundle: Path, output: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ringrift_loop.cli", "train-bundle", *options]
    command += ["--bundle", str(bundle), "--output", str(output)]
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True, timeout=2 * BOUND_S)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert printed == json.loads((output / "report.json").read_text())
    return printed


def test_a_wrong_number_of_processes_is_a_usage_error(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    arguments = ["train-bundle", "--bundle", str(bundle), "--output", str(tmp_path / "output"), "--processes"]
    assert main([*arguments, "0"]) == 2
    assert main([*arguments, "17"]) == 2  # a batch has 16 rows
    assert "--processes must be from 1 to" in capsys.readouterr().err
