from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from clocks import Clock
from ringrift_loop.launcher.components import Addresses, Component, ComponentSpec, component_specs
from ringrift_loop.machine.processes import group_members


def a_component(tmp_path: Path, clock: Clock, code: str = "pass") -> Component:
    spec = ComponentSpec("part", (sys.executable, "-c", code))
    return Component(spec=spec, env=dict(os.environ), log_file=tmp_path / "part.log", clock=clock, cwd=tmp_path)


def let_it_die(component: Component) -> str:
    component.start()
    assert component.process is not None
    component.process.wait()
    return component.note_death()


def test_output_goes_to_the_components_own_log(tmp_path: Path) -> None:
    let_it_die(a_component(tmp_path, Clock(100.0), "print('hello')"))
    assert (tmp_path / "part.log").read_text() == "hello\n"


def test_each_death_doubles_the_wait_before_the_next_start(tmp_path: Path) -> None:
    clock = Clock(100.0)
    component = a_component(tmp_path, clock, "raise SystemExit(3)")
    assert "ended with status 3; starting it again in 1 s" in let_it_die(component)
    assert not component.is_due
    clock.now += 1.0
    assert component.is_due
    assert "again in 2 s" in let_it_die(component)


def test_after_five_deaths_in_ten_minutes_it_is_given_up(tmp_path: Path) -> None:
    clock = Clock(100.0)
    component = a_component(tmp_path, clock)
    for _ in range(5):
        let_it_die(component)
        assert not component.is_given_up
        clock.now += 20.0
    assert "6th time in ten minutes" in let_it_die(component)
    assert component.is_given_up
    assert not component.is_due


def test_deaths_that_are_long_ago_are_forgiven(tmp_path: Path) -> None:
    clock = Clock(100.0)
    component = a_component(tmp_path, clock)
    for _ in range(12):
        assert "again in 1 s" in let_it_die(component)
        clock.now += 601.0


def test_a_signal_is_named(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    assert "was ended by signal 9" in let_it_die(a_component(tmp_path, Clock(100.0), code))


def test_children_of_a_component_that_was_killed_do_not_live_on(tmp_path: Path) -> None:
    child = "import time; print('ready', flush=True); time.sleep(60)"
    code = (
        f"import os, subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)"
    )
    component = a_component(tmp_path, Clock(100.0), f"{code}; p.stdout.readline(); os.kill(os.getpid(), 9)")
    component.start()
    assert component.process is not None
    component.process.wait()
    assert len(group_members(component.process.pid)) == 1
    leader = component.process.pid
    component.note_death()
    assert group_members(leader) == []


def test_a_long_log_is_moved_aside_while_the_process_goes_on_writing(tmp_path: Path) -> None:
    component = a_component(tmp_path, Clock(100.0))
    with component.log_file.open("ab", buffering=0) as held_open:
        held_open.write(b"x" * 100)
        component.trim_log(max_bytes=50)
        held_open.write(b"after")
    assert component.log_file.read_bytes() == b"after"
    assert (tmp_path / "part.log.1").read_bytes() == b"x" * 100


def test_no_bridge_is_started_for_packets_that_go_elsewhere() -> None:
    here, away = (Addresses(1, 2, "127.0.0.1", 3, has_bridge=has_bridge) for has_bridge in (True, False))
    assert [spec.name for spec in component_specs(here)][:2] == ["statsd-bridge", "api-server"]
    assert "--own-loop" in component_specs(here)[0].command  # what another loop sends here by mistake does not count
    assert component_specs(away) == component_specs(here)[1:]


@pytest.mark.parametrize("name", ["scheduler", "triggerer"])
def test_log_servers_which_bind_every_interface_are_left_out(name: str) -> None:
    specs = {spec.name: spec for spec in component_specs(Addresses(1, 2, "127.0.0.1", 3))}
    assert "--skip-serve-logs" in specs[name].command
