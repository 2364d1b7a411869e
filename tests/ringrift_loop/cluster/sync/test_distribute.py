"""Champions reach every host, whole, and the workers' heartbeats say who plays them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.sync.distribute import ReloadStatus, distribute, reload_status
from ringrift_loop.errors import HostError, HostUnreachable, LedgerError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import hosts, models, promotions, workers
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.network.artifact import verify as verify_model
from ringrift_loop.selfplay.pointer import read_pointer
from ringrift_loop.status.verify import verify
from samples import byte_model

OTHER = "0" * 64
Folder = Callable[[str], HostDirectory]


@pytest.fixture
def champion(loop: Loop) -> Callable[[bytes], str]:
    """Make a model of some bytes the champion of square8_2p; returns its digest."""

    def make(weights: bytes) -> str:
        digest = byte_model(loop.directory.root / "models", weights)
        with loop.ledger.begin() as conn:
            models.add(conn, digest, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, "square8_2p", digest, reason="test", elo_gain=None, games=0, at=loop.clock())
        return digest

    return make


def plays(folder: HostDirectory) -> str | None:
    """The digest that a worker on the host would load, after checking it as a worker does."""
    pointer = read_pointer(folder, "square8_2p")
    if pointer is None:
        return None
    verify_model(folder.model(pointer.digest), pointer.digest)
    return pointer.digest


def test_a_champion_is_on_every_host_with_the_pointer_that_workers_read(
    loop: Loop, champion: Callable[[bytes], str], host_dir: Folder
) -> None:
    first = champion(b"one")
    assert distribute(loop, first).reached == ("a", "b")
    second = champion(b"two")
    report = distribute(loop, second)
    assert (report.reached, report.failed) == (("a", "b"), {})
    assert [plays(host_dir(name)) for name in "ab"] == [second, second]
    pointer = read_pointer(host_dir("a"), "square8_2p")
    assert pointer is not None
    assert pointer.generation == 2


def test_a_host_that_was_away_gets_the_champion_with_the_next_sync(
    loop: Loop, champion: Callable[[bytes], str], host_dir: Folder
) -> None:
    digest = champion(b"one")
    assert {host.host: host.models_sent for host in sync_once(loop).hosts} == {
        "a": ("square8_2p",),
        "b": ("square8_2p",),
    }
    assert plays(host_dir("b")) == digest
    assert not any(host.models_sent for host in sync_once(loop).hosts)


def test_hosts_play_with_the_candidate_that_generates_until_there_is_another_champion(
    loop: Loop, champion: Callable[[bytes], str], host_dir: Folder
) -> None:
    first = champion(b"one")
    candidate = byte_model(loop.directory.root / "models", b"candidate")
    with loop.ledger.begin() as conn:
        models.add(conn, candidate, "square8_2p", parent_digest=first, training_run=None, manifest={}, at=2.0)
        promotions.choose_generator(conn, "square8_2p", candidate, at=2.0)
        hosts.ensure(conn, ["a"])
        workers.assign(conn, "a", 0, at=1.0)
        workers.report(conn, "a", 0, {"variants": {"square8_2p": {"model": candidate}}}, at=loop.clock())
    sync_once(loop)
    assert [plays(host_dir(name)) for name in "ab"] == [candidate, candidate]
    # Who confirms a promotion waits for nobody who plays what came after it.
    assert reload_status(loop, first).loaded == ("a/0",)
    assert not any(host.models_sent for host in sync_once(loop).hosts)
    second = champion(b"two")
    sync_once(loop)
    assert [plays(host_dir(name)) for name in "ab"] == [second, second]


def test_a_push_that_breaks_off_changes_nothing_for_the_workers(
    loop: Loop, champion: Callable[[bytes], str], host_dir: Folder, fleet: Any, clock: Any
) -> None:
    old = champion(b"one")
    distribute(loop, old)
    new = champion(b"two")
    for fault in ("push_model", "point"):
        fleet.faults["a"] = {fault: HostUnreachable("cut")}
        report = sync_once(loop, transports=fleet)
        assert [host.host for host in report.failed] == ["a"]
        assert plays(host_dir("a")) == old
        clock.now += 600
    fleet.faults.clear()
    sync_once(loop, transports=fleet)
    assert plays(host_dir("a")) == new


def test_a_damaged_copy_on_the_host_is_replaced(loop: Loop, champion: Callable[[bytes], str], host_dir: Folder) -> None:
    old, new = champion(b"one"), champion(b"two")
    distribute(loop, new)
    whole = (host_dir("a").model(new) / "model.onnx").read_bytes()
    for pointer in ({"digest": old, "generation": 1}, None):  # the second time it names the damaged one
        (host_dir("a").model(new) / "model.onnx").write_bytes(b"torn")
        if pointer is not None:
            host_dir("a").current_model("square8_2p").write_text(json.dumps(pointer))
        distribute(loop, new)
        assert plays(host_dir("a")) == new
        assert (host_dir("a").model(new) / "model.onnx").read_bytes() == whole


def test_our_own_damaged_model_is_our_problem_and_not_the_hosts(
    loop: Loop, champion: Callable[[bytes], str], host_dir: Folder
) -> None:
    digest = champion(b"one")
    (loop.directory.model(digest) / "model.safetensors").write_bytes(b"torn")
    report = sync_once(loop)
    assert report.failed == []
    assert len(report.problems) == 2
    assert plays(host_dir("a")) is None
    with pytest.raises(ModelError, match="its manifest says"):
        distribute(loop, digest)
    assert [finding.check for finding in verify(loop)] == ["model"]


def test_a_model_that_no_host_took_is_an_error(loop: Loop, champion: Callable[[bytes], str], fleet: Any) -> None:
    digest = champion(b"one")
    fleet.faults["a"] = {"push_model": HostUnreachable("cut")}
    assert distribute(loop, digest, transports=fleet).failed == {"a": "cut"}
    fleet.faults["b"] = {"push_model": HostUnreachable("gone")}
    with pytest.raises(HostError, match="a: cut; b: gone"):
        distribute(loop, digest, transports=fleet)


def test_a_host_whose_answer_nobody_foresaw_keeps_no_other_from_its_model(
    loop: Loop, champion: Callable[[bytes], str], fleet: Any
) -> None:
    fleet.faults["a"] = {"push_model": OverflowError("int too large")}
    report = distribute(loop, champion(b"one"), transports=fleet)
    assert report.reached == ("b",)
    assert report.failed["a"].startswith("unexpected OverflowError: int too large")


def test_only_champions_are_distributed(loop: Loop, champion: Callable[[bytes], str]) -> None:
    former = champion(b"one")
    champion(b"two")
    for digest in (former, "f" * 64):
        with pytest.raises(LedgerError, match="is not a champion"):
            distribute(loop, digest)


def test_reload_status_counts_fresh_heartbeats_of_the_variant(loop: Loop, champion: Callable[[bytes], str]) -> None:
    digest, now = champion(b"one"), loop.clock()
    torn = {"last_error": "ModelError: torn"}
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        for slot, (variant, play, age_s) in enumerate(
            [
                ("square8_2p", {"model": digest}, 5),
                ("square8_2p", torn, 5),
                ("square8_2p", {"model": digest}, 500),
                ("hex8_2p", {"model": OTHER}, 5),
            ]
        ):
            workers.assign(conn, "a", slot, at=1.0)
            beat = {"variant": "hex8_2p", "variants": {"hex8_2p": {}, variant: play}}
            workers.report(conn, "a", slot, beat, at=now - age_s)
    status = reload_status(loop, digest)
    assert status == ReloadStatus("square8_2p", digest, ("a/0",), {"a/1": "ModelError: torn"}, ("a/2",))
    assert not status.done
    assert "1 of 2 workers" in status.describe()
    with loop.ledger.begin() as conn:
        beat = {"variants": {"square8_2p": {"model": OTHER}}, "hot_reload": False}
        workers.report(conn, "a", 1, beat, at=now)
    status = reload_status(loop, digest)
    assert (status.done, status.keeping) == (True, ("a/1",))  # it will not change, so nobody waits for it
    assert "kept from reloading: a/1" in status.describe()


def test_rare_looks_at_the_hosts_make_no_worker_silent(loop: Loop, champion: Callable[[bytes], str]) -> None:
    digest, now = champion(b"one"), loop.clock()
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a"])
        workers.assign(conn, "a", 0, at=1.0)
        workers.report(conn, "a", 0, {"variants": {"square8_2p": {"model": OTHER}}}, at=now - 150)
    assert reload_status(loop, digest).silent == ("a/0",)
    ingestion = replace(loop.config.data_ingestion, poll_interval_seconds=300)
    rare = replace(loop, config=replace(loop.config, data_ingestion=ingestion))
    assert not reload_status(rare, digest).done


def test_the_time_from_a_promotion_to_a_workers_first_heartbeat_with_the_model_is_measured_once(
    loop: Loop, champion: Callable[[bytes], str], write_heartbeat: Callable[..., None]
) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
        for host in ("a", "b"):
            workers.assign(conn, host, 0, at=1.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(5)
        told = replace(loop, metrics=Metrics(*collector.getsockname(), strict=True))

        def measured(later_s: float, **beats: dict[str, object]) -> list[bytes]:
            clock = loop.clock
            clock.now += later_s  # type: ignore[attr-defined]
            for host, beat in beats.items():
                write_heartbeat(host, **beat)
            sync_once(told)
            told.metrics.gauge("ringrift_hosts_failed", 0)  # the end of this cycle's packets
            packets = iter(lambda: collector.recv(512), b"ringrift_hosts_failed:0|g")
            return [packet for packet in packets if packet.startswith(b"ringrift_promotion_to_worker_seconds")]

        # Another variant is at play all the time: what counts is what the worker holds ready for this one.
        first = {"variant": "hex8_2p", "variants": {"hex8_2p": {}, "square8_2p": {}}}
        assert measured(0.0, a=first, b=first) == []
        digest = champion(b"one")
        loaded = first | {"variants": {"hex8_2p": {}, "square8_2p": {"model": digest}}}
        # The same process plays on with the new model; the other one was started again and has it from the start.
        beats = {"a": loaded, "b": loaded | {"pid": 4_000_001}}
        assert measured(42.0, **beats) == [b"ringrift_promotion_to_worker_seconds,config=square8_2p:42000.000000|ms"]
        assert measured(30.0) == []
