"""`ringrift-loop train` on a small ledger; it stands here for the games of this folder's conftest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ledger_rows import rows
from ringrift_loop.cli import main, progress
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.ledger import games, leases, models, training
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import WEIGHTS, ArchitectureRecord, verify
from ringrift_loop.network.export import architecture_for, load_network, weights_file
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.training.claim import claim_for_run, lease_name
from ringrift_loop.training.remote.bundle import START, read_bundle
from samples import byte_model
from terminal import terminal_as_stderr

VARIANT = "square8_2p"


@pytest.fixture
def run_train(
    loop: Loop,
    take_games: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command on the loop with ten games; returns exit status, stdout and stderr."""
    take_games(loop, VARIANT, range(10))
    settings = loop.config.training
    small = ("window_rows_min", "samples_per_row", "batch_size", "warmup_steps", "validation_fraction")
    config = {"training": {key: getattr(settings, key) for key in (*small, "blocks", "channels", "threads")}}
    config["inference"] = {"int8": loop.config.inference.int8}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setenv("RINGRIFT_HOME", str(loop.directory.root))
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # the command sets it, and the test takes it back

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["train", *arguments, "--config", str(tmp_path / "small.yaml")])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_a_variants_new_games_make_a_candidate_and_one_line_of_json(
    loop: Loop, run_train: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LOOK_S", 0.02)  # so small a training may be over within a second
    with terminal_as_stderr() as terminal:
        status, out, _ = run_train("--variant", VARIANT, "--json")
        terminal.read_until("Training, steps")

    assert status == 0
    assert out.count("\n") == 1
    report = json.loads(out)
    assert (report["variant"], report["window"]["games"], report["generation"]) == (VARIANT, 10, 1)
    assert set(report["validation"]) == {"total", "policy", "value", "owner", "score", "moves_left"}
    assert report["targets"]["soft_share"] > 0.9
    load_network(loop.directory.model(report["model_digest"]), report["model_digest"])
    with loop.ledger.read() as conn:
        assert games.pending(conn, VARIANT) == 0
        assert training.require(conn, report["run_id"]).report == report
    # Asked for the run again, the command shows the same report, now over several lines.
    status, out, _ = run_train("--run", report["run_id"])
    assert (status, json.loads(out)) == (0, report)
    assert out.count("\n") > 20
    with loop.ledger.read() as conn:
        assert len(models.all_models(conn, VARIANT)) == 1


def test_an_interrupted_run_of_the_variant_is_finished_before_a_new_one_begins(
    loop: Loop, run_train: Callable[..., tuple[int, str, str]]
) -> None:
    interrupted = claim_for_run(loop, [VARIANT], key="killed").run_id

    status, out, _ = run_train("--variant", VARIANT, "--json")

    assert status == 0
    assert json.loads(out)["run_id"] == interrupted
    with loop.ledger.read() as conn:
        assert [run.id for run in rows(conn, TrainingRunRow)] == [interrupted]


def test_while_another_process_trains_the_variant_the_command_ends_with_75(
    loop: Loop, run_train: Callable[..., tuple[int, str, str]]
) -> None:
    with leases.hold(loop.ledger, lease_name(VARIANT)):
        status, out, err = run_train("--variant", VARIANT)

    assert (status, out) == (75, "")
    assert "ringrift-loop train: " in err
    with loop.ledger.read() as conn:
        assert models.latest(conn, VARIANT) is None


def _foreign_model(folder: Path, variant: str, *, channels: int = 8) -> Path:
    """A model of another variant, in a folder of its own; its ONNX file is of no account."""
    torch.manual_seed(VARIANT_NAMES.index(variant))
    net = RingRiftNet(architecture_for(variant, blocks=1, channels=channels))
    record = ArchitectureRecord(net.architecture.name, 1, channels, net.architecture.is_hex)
    return folder / byte_model(folder, weights_file(net), variant, architecture=record)


def test_a_run_starts_from_the_model_that_was_named(
    loop: Loop, run_train: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    folder = _foreign_model(tmp_path / "elsewhere", "square19_4p")

    status, out, _ = run_train("--variant", VARIANT, "--start-from", str(folder), "--prepare-only")

    assert status == 0
    prepared = json.loads(out)
    bundle = read_bundle(Path(prepared["bundle"]))
    assert (bundle.parent, bundle.start) == (folder.name, "the model that was asked for, of square19_4p")
    assert (Path(prepared["bundle"]) / START).read_bytes() == (folder / WEIGHTS).read_bytes()
    verify(loop.directory.model(folder.name), folder.name)
    # The run has begun: it goes on from there, and from nowhere else.
    other = _foreign_model(tmp_path / "elsewhere", "square8_4p")
    assert run_train("--run", prepared["run_id"], "--start-from", folder.name[:8], "--prepare-only")[0] == 0
    status, out, err = run_train("--run", prepared["run_id"], "--start-from", str(other), "--prepare-only")
    assert (status, out) == (2, "")
    assert f"has begun from square19_4p model as before ({folder.name[:12]}) and goes on from there" in err
    with loop.ledger.read() as conn:
        assert training.require(conn, prepared["run_id"]).state == "running"


@pytest.mark.parametrize(
    ("variant", "channels", "complaint"),
    [
        ("square19_2p", 16, "it is b1c16, training.blocks and training.channels ask for b1c8"),
        ("hex8_2p", 8, "it is b1c8-hex, training.blocks and training.channels ask for b1c8"),
    ],
)
def test_a_model_whose_weights_cannot_fit_is_refused_before_anything_is_claimed(
    loop: Loop,
    run_train: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    variant: str,
    channels: int,
    complaint: str,
) -> None:
    folder = _foreign_model(tmp_path / "elsewhere", variant, channels=channels)
    status, out, err = run_train("--variant", VARIANT, "--start-from", str(folder))
    assert (status, out) == (2, "")
    assert f"square8_2p cannot start from model {folder.name[:12]} of {variant}: {complaint}" in err
    with loop.ledger.read() as conn:
        assert rows(conn, TrainingRunRow) == []
        assert games.pending(conn, VARIANT) == 10


def test_a_baseline_is_no_model_to_start_from(run_train: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = run_train("--variant", VARIANT, "--start-from", "heuristic")
    assert status == 2
    assert "--start-from needs a model, a baseline has no weights, got 'heuristic'" in err


def test_a_run_that_does_not_exist_is_named(run_train: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = run_train("--run", "square8_2p-none")

    assert (status, out) == (1, "")
    assert "no training run square8_2p-none in the ledger" in err


@pytest.mark.parametrize(
    "command", [["train", "--run", "r1", "--adopt", "output"], ["train-bundle", "--bundle", "bundle", "--output", "o"]]
)
def test_without_the_packages_for_training_a_sentence_names_them(command: list[str], tmp_path: Path) -> None:
    without = "import sys; sys.modules |= dict.fromkeys(['torch', 'onnxscript']); from ringrift_loop.cli import main; "
    program = [sys.executable, "-c", f"{without} sys.exit(main({command!r}))"]
    said = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "training needs torch, onnxscript on this machine" in said.stderr
    assert "ringrift-loop[train]" in said.stderr
    assert "Traceback" not in said.stderr
