"""A run in three parts, as two machines would do them: prepare.py, run_bundle.py and adopt.py."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from safetensors.torch import load_file, save

from ledger_rows import rows
from ringrift_loop.errors import DataError, LedgerError, LoopError, ModelError, NoCapacity
from ringrift_loop.ledger import events, games, leases, models, training
from ringrift_loop.ledger.leases import LeaseRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import ONNX, WEIGHTS, ArchitectureRecord, verify
from ringrift_loop.network.export import architecture_for, export_onnx, load_network, save_model, weights_file
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.training.claim import claim_for_run, lease_name
from ringrift_loop.training.fit import CHECKPOINT
from ringrift_loop.training.remote.bundle import MANIFEST, START, WINDOW, Bundle, read_bundle, verify_bundle
from ringrift_loop.training.remote.outcome import REPORT, Outcome
from ringrift_loop.training.remote.run_bundle import output_folder, run_bundle
from ringrift_loop.training.team import alone
from ringrift_loop.training.train import adopt_run, prepare_run, train
from samples import byte_model

TakeGames = Callable[..., list[GameRecord]]
VARIANT = "square8_2p"
CPU = alone(torch.device("cpu"))


@pytest.fixture
def run_id(loop: Loop, take_games: TakeGames) -> str:
    """A claimed run of ten games."""
    take_games(loop, VARIANT, range(10))
    return claim_for_run(loop, [VARIANT], key="test").run_id


@pytest.fixture
def bundle(loop: Loop, run_id: str) -> Bundle:
    """The run's bundle."""
    return prepare_run(loop, run_id)


def _trained(loop: Loop, bundle: Bundle, machine: Path) -> Outcome:
    """Train on another machine: nothing of the loop is there but the bundle."""
    shutil.copytree(loop.directory.training_bundle(bundle.run_id), machine / "bundle")
    (machine / "output").mkdir()
    outcome = run_bundle(machine / "bundle", machine / "output", CPU)
    assert outcome is not None
    return outcome


def test_a_run_on_two_machines_ends_like_a_run_on_one(loop: Loop, bundle: Bundle, tmp_path: Path) -> None:
    run_id, machine = bundle.run_id, tmp_path / "machine"
    outcome = _trained(loop, bundle, machine)
    assert run_bundle(machine / "bundle", machine / "output", CPU) == outcome
    assert not (machine / "output" / CHECKPOINT).exists()
    with loop.ledger.read() as conn:
        assert models.all_models(conn) == []

    theirs = machine / "output" / "model" / outcome.model_digest
    assert [path.name for path in theirs.iterdir()] == [WEIGHTS]
    # A graph that does what it should only for the batches that an adoption might try, and a manifest to go with it.
    (theirs / ONNX).write_bytes(b"a graph that never ends")
    (theirs / "manifest.json").write_text(json.dumps({"v": 1, "architecture": {"blocks": 64, "channels": 1024}}))

    report = adopt_run(loop, run_id, machine / "output")

    # The same as when the three parts follow each other in one process; but for the time, weights decide all of it.
    assert (report.model_digest, report.generation) == (outcome.model_digest, 1)
    assert (report.validation, report.steps) == (outcome.fit.validation, bundle.schedule.steps)
    assert (report.window, report.targets, report.start) == (bundle.window, bundle.targets, bundle.start)
    # Manifest and graph were made here, whatever the output folder brought along.
    ours = loop.directory.model(report.model_digest)
    made = save_model(
        load_network(ours, report.model_digest)[0],
        lambda digest: tmp_path / "again" / digest,
        variant=VARIANT,
        training_run=run_id,
        created_at=1.0,
    )
    assert structs.replace(verify(ours), created_at=1.0) == made  # the digests of weights and graph among the rest
    assert [path.name for path in loop.directory.training(run_id).iterdir()] == ["report.json"]
    before = _recorded(loop, run_id)
    assert before[0].report == report.as_json()

    assert adopt_run(loop, run_id, machine / "output") == report  # a second time changes nothing
    assert train(loop, run_id) == report
    with pytest.raises(LedgerError, match="has succeeded already"):
        prepare_run(loop, run_id)
    assert _recorded(loop, run_id) == before
    with loop.ledger.read() as conn:
        assert [lease for lease in rows(conn, LeaseRow) if lease.expires_at > loop.clock()] == []


def _recorded(loop: Loop, run_id: str) -> tuple[training.TrainingRunRow, list[models.ModelRow], list[events.Event]]:
    with loop.ledger.read() as conn:
        run, made = training.require(conn, run_id), models.all_models(conn)
        return run, made, list(events.latest(conn, kind="training", limit=9))


def test_a_finished_bundle_is_kept_and_one_of_other_settings_is_made_anew(loop: Loop, bundle: Bundle) -> None:
    folder = loop.directory.training_bundle(bundle.run_id)
    states = (folder / WINDOW / "states.npy").stat()
    assert prepare_run(loop, bundle.run_id) == bundle

    slower = dataclasses.replace(loop.config.training, learning_rate=1e-3)
    loop = dataclasses.replace(loop, config=dataclasses.replace(loop.config, training=slower))
    other = prepare_run(loop, bundle.run_id)
    assert (other.settings.learning_rate, other.window) == (1e-3, bundle.window)
    assert other.identity != bundle.identity
    # The window is the same one; only what is to be done with it was written again.
    assert (folder / WINDOW / "states.npy").stat().st_ino == states.st_ino


def test_a_preparation_that_was_killed_leaves_no_bundle_and_is_finished_by_the_next(loop: Loop, bundle: Bundle) -> None:
    folder = loop.directory.training_bundle(bundle.run_id)
    folder.rename(folder.with_name(".bundle.new"))
    (folder.with_name(".bundle.new") / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"bundle\.json cannot be read"):
        read_bundle(folder)
    again = prepare_run(loop, bundle.run_id)
    assert structs.replace(again, created_at=0.0, start="") == structs.replace(bundle, created_at=0.0, start="")
    verify_bundle(folder, read_bundle(folder))


def test_a_bundle_carries_the_weights_to_start_from(loop: Loop, run_id: str, tmp_path: Path) -> None:
    net = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))
    record = ArchitectureRecord(net.architecture.name, 1, 8, net.architecture.is_hex)
    parent = byte_model(loop.directory.model("0" * 64).parent, weights_file(net), architecture=record)
    manifest = verify(loop.directory.model(parent)).as_json()
    with loop.ledger.begin() as conn:
        models.add(conn, parent, VARIANT, parent_digest=None, training_run=None, manifest=manifest, at=1.0)
    bundle = prepare_run(loop, run_id)
    assert bundle.parent == parent
    start = loop.directory.training_bundle(run_id) / START
    assert start.read_bytes() == (loop.directory.model(parent) / WEIGHTS).read_bytes()
    _trained(loop, bundle, tmp_path / "machine")
    assert adopt_run(loop, run_id, tmp_path / "machine" / "output").parent == parent


def test_a_bundle_that_is_damaged_or_of_another_version_is_refused(loop: Loop, bundle: Bundle, tmp_path: Path) -> None:
    folder = loop.directory.training_bundle(bundle.run_id)

    def refusal(change: Callable[[Path], None]) -> str:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        change(copy)
        with pytest.raises(DataError) as refused:
            run_bundle(copy, tmp_path / "output", CPU)
        shutil.rmtree(copy)
        return str(refused.value)

    def damage(copy: Path) -> None:
        with (copy / WINDOW / "choices.npy").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")

    assert "send the bundle again" in refusal(damage)
    assert "is missing or does not have the" in refusal(lambda copy: (copy / WINDOW / "owner.npy").unlink())
    assert "not a bundle of version 2 (v is 1)" in refusal(lambda copy: _edit(copy / MANIFEST, v=1))
    assert "is for engine 0" in refusal(lambda copy: _edit(copy / MANIFEST, engine_version="0"))
    assert "parent_encoding must be 1..2, got 3" in refusal(lambda copy: _edit(copy / MANIFEST, parent_encoding=3))
    assert "Object contains unknown field `command`" in refusal(lambda copy: _edit(copy / MANIFEST, command="x"))
    assert "missing, unknown or duplicate files" in refusal(lambda copy: _edit(copy / MANIFEST, files=[]))
    settings = {**json.loads((folder / MANIFEST).read_text())["settings"], "batch_size": 10**9}
    assert "training.batch_size" in refusal(lambda copy: _edit(copy / MANIFEST, settings=settings))
    more = {**settings, "batch_size": 16, "loss": {**settings["loss"], "entropy": 1.0}}
    assert "settings: loss: missing or unknown fields entropy" in refusal(
        lambda copy: _edit(copy / MANIFEST, settings=more)
    )
    del settings["batch_size"]
    assert "settings: missing or unknown fields batch_size" in refusal(
        lambda copy: _edit(copy / MANIFEST, settings=settings)
    )
    assert "to start from" in refusal(lambda copy: _edit(copy / MANIFEST, parent="../../etc"))
    assert not (tmp_path / "output").exists()


def test_only_one_training_works_in_an_output_folder(tmp_path: Path) -> None:
    with (
        output_folder(tmp_path / "output"),
        pytest.raises(NoCapacity, match="another training run"),
        output_folder(tmp_path / "output"),
    ):
        pass
    with output_folder(tmp_path / "output"):
        pass


def test_nothing_of_an_output_folder_is_believed(loop: Loop, bundle: Bundle, tmp_path: Path) -> None:
    digest = _trained(loop, bundle, tmp_path / "machine").model_digest
    good = tmp_path / "machine" / "output"
    fit = json.loads((good / REPORT).read_text())["fit"]

    def report(**changes: object) -> Callable[[Path], None]:
        return lambda output: _edit(output / REPORT, **changes)

    def weights(data: bytes) -> Callable[[Path], object]:
        return lambda output: (output / "model" / digest / WEIGHTS).write_bytes(data)

    def network(net: RingRiftNet) -> Callable[[Path], None]:
        return lambda output: _put_candidate(output, save(net.state_dict()))

    no_number = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))
    torch.nn.init.constant_(no_number.owner.bias, float("nan"))

    attacks: dict[str, Callable[[Path], object]] = {
        "cannot be read": lambda output: (output / REPORT).unlink(),
        "Expected `object`, got `array`": lambda output: (output / REPORT).write_text("[" * 50_000),
        "is not JSON": lambda output: (output / REPORT).write_text("{"),
        "is larger than": lambda output: (output / REPORT).write_text(" " * 70_000),
        "Expected `object`, got `int`": lambda output: (output / REPORT).write_text("7"),
        "report.json is a symbolic link": lambda output: _link(output / REPORT),
        "run_id is 'other'": report(run_id="other"),
        "variant is 'hex8_2p'": report(variant="hex8_2p"),
        "identity is ": report(identity="0" * 64),
        "parent is ": report(parent="0" * 64),
        "engine_version is '0'": report(engine_version="0"),
        "encoding_version is ": report(encoding_version=99),
        "architecture is 'b9c9'": report(architecture="b9c9"),
        "model_digest must be": report(model_digest="../../../models"),
        "No such file": report(model_digest="0" * 64),
        "best_step must be from 1": report(fit={**fit, "best_step": 0}),
        "fit.seconds must be from": report(fit={**fit, "seconds": -1.0}),
        "fit.samples must be from": report(fit={**fit, "samples": 1 << 40}),
        "fit.steps: Expected `int`, got `bool`": report(fit={**fit, "steps": True}),
        "fit.resumed must be from 0 to 100000": report(fit={**fit, "resumed": 10**400}),
        "fit: missing or unknown fields command": report(fit={**fit, "command": "x"}),
        "invalid character": report(fit={**fit, "train": {**fit["train"], "value": float("nan")}}),
        "validation.policy must be from": report(fit={**fit, "validation": {**fit["validation"], "policy": 1e9}}),
        "has sha256": weights(b"no weights"),
        "model.safetensors is larger than": weights(bytes(2_000_000)),
        "model.safetensors is a symbolic link": lambda output: _link(output / "model" / digest / WEIGHTS),
        "does not load": lambda output: _put_candidate(output, b"no weights"),
        "missing or unknown tensors blocks.1": network(RingRiftNet(architecture_for(VARIANT, blocks=2, channels=8))),
        "b1c8 has": network(RingRiftNet(architecture_for(VARIANT, blocks=1, channels=16))),
        "owner.bias holds numbers that are not finite": network(no_number),
    }
    for expected, attack in attacks.items():
        output = tmp_path / "output"
        shutil.copytree(good, output)
        attack(output)
        with pytest.raises(LoopError) as refused:
            adopt_run(loop, bundle.run_id, output)
        assert expected in str(refused.value), expected
        shutil.rmtree(output)
    with loop.ledger.read() as conn:
        assert models.all_models(conn) == []
        assert training.require(conn, bundle.run_id).state == "running"  # an output that arrives whole is still taken
        assert games.pending(conn, VARIANT) == 0
        assert leases.holder(conn, lease_name(VARIANT), at=loop.clock()) is None
    assert not loop.directory.model(digest).exists()
    # The same numbers in another file are the same model.
    state = load_file(good / "model" / digest / WEIGHTS)
    _put_candidate(good, save(state, metadata={"note": "in another order"}))
    assert adopt_run(loop, bundle.run_id, good).model_digest == digest


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _link(path: Path) -> None:
    """The file stands elsewhere, and a link to it in its place."""
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def _put_candidate(output: Path, weights: bytes) -> None:
    """Other weights, with the right digest wherever one stands."""
    digest = hashlib.sha256(weights).hexdigest()
    (output / "model" / digest).mkdir()
    (output / "model" / digest / WEIGHTS).write_bytes(weights)
    _edit(output / REPORT, model_digest=digest)


def test_a_graph_left_in_the_run_directory_that_is_not_of_the_weights_is_not_adopted(
    loop: Loop, bundle: Bundle, tmp_path: Path
) -> None:
    digest = _trained(loop, bundle, tmp_path / "machine").model_digest
    torch.manual_seed(5)
    other = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    graph = export_onnx(other)
    weights = (tmp_path / "machine" / "output" / "model" / digest / WEIGHTS).read_bytes()
    byte_model(loop.directory.model(digest).parent, weights, onnx=graph)
    with pytest.raises(ModelError, match=r"model\.onnx does not compute what the weights beside it do"):
        adopt_run(loop, bundle.run_id, tmp_path / "machine" / "output")
