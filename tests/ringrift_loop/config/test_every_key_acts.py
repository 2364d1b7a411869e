"""Every key of the configuration is read by production code outside of `config/`, and something changes with it.

The cases are in `tests/config_cases.py`. While a case runs, the sections of the configuration note who reads them; a
key whose reader was removed, or whose value no longer reaches what the case looks at, fails here by name.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from config_cases import CASES, TRAINS, Bench, Case, Order, fill, small_training
from ringrift_loop.config import LoopConfig, load_config
from ringrift_loop.config.leaves import leaves, sections
from ringrift_loop.config.schema import Training
from ringrift_loop.engine.version import ENGINE_VERSION

PROJECT = Path(__file__).resolve().parents[3]
READERS = tuple(str(PROJECT / folder) for folder in ("include", "plugins", "dags"))
BY_THE_LOADER = {"preset"}
"""Read where the configuration is put together, before there is an object that could be asked."""


def test_every_key_has_a_case() -> None:
    missing, unknown = sorted(leaves().keys() - CASES.keys()), sorted(CASES.keys() - leaves().keys())
    assert not missing, (
        f"no case for {', '.join(missing)}: add an entry to CASES in tests/config_cases.py, with two values of the key "
        "and a function that hands the configuration to what reads it and returns what changes"
    )
    assert not unknown, f"cases for keys that the schema does not have: {', '.join(unknown)}"


@pytest.mark.parametrize("name", CASES)
def test_a_key_is_read_and_changes_what_is_done(name: str, bench: Callable[[str, int], Bench]) -> None:
    case = CASES[name]
    seen = []
    for number, (value, _) in enumerate((case.first, case.second)):
        made = bench(name, number)
        with noted() as read:
            seen.append(case.observe(made))
        made.close()
        assert name in read or name in BY_THE_LOADER, f"{name} = {value!r} was read by nothing outside of config/"
    check(name, case, seen[0], seen[1])


def check(name: str, case: Case, first: object, second: object) -> None:
    """What was seen is what the case says, and the two differ."""
    if isinstance(case.first[1], Order):
        assert isinstance(first, int | float) and isinstance(second, int | float)
        assert first < second, f"{name}: {first} with {case.first[0]}, {second} with {case.second[0]}"
        return
    assert first == case.first[1], name
    assert second == case.second[1], name
    assert case.first[1] != case.second[1], f"the case of {name} expects the same with both values"


@contextmanager
def noted() -> Iterator[set[str]]:
    """Gather the names of the keys that code of the project outside of `config/` reads from any configuration."""
    read: set[str] = set()
    kinds = {"": LoopConfig} | {name: section.kind for name, section in sections().items()}
    with pytest.MonkeyPatch.context() as patch:
        for section, kind in kinds.items():
            own = {field.name for field in dataclasses.fields(kind)}
            patch.setattr(kind, "__getattribute__", _noting(section, own, read))
        yield read


def _noting(section: str, own: set[str], read: set[str]) -> Callable[[object, str], object]:
    def value(self: object, name: str) -> object:
        if name in own:
            file = sys._getframe(1).f_code.co_filename
            if file.startswith(READERS) and Path(file).parent.name != "config":
                read.add(f"{section}.{name}".removeprefix("."))
        return object.__getattribute__(self, name)

    return value


def test_a_reading_is_noted_with_its_section_and_only_outside_of_the_configuration() -> None:
    from ringrift_loop.training.schedule import window_rows_wanted

    with noted() as read:
        window_rows_wanted(Training(), 1)
        Training().check()
        _ = LoopConfig().evaluation.simulations
    assert read == {
        "training.window_rows_min",
        "training.window_rows_max",
        "training.window_growth_exponent",
    }
    with noted() as read:
        pass
    window_rows_wanted(Training(), 1)
    assert read == set()


@pytest.mark.parametrize("seen", [(1, 1), (2, 1), ("a", "a")])
def test_a_case_whose_key_changes_nothing_fails(seen: tuple[object, object]) -> None:
    with pytest.raises(AssertionError):
        check("some.key", Case(lambda bench: 1, (1, Order(0)), (2, Order(1))), *seen)
    with pytest.raises(AssertionError):
        check("some.key", Case(lambda bench: 1, (1, "a"), (2, "b")), *seen)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path) -> Callable[[], Path]:
    @functools.cache
    def make() -> Path:
        folder = tmp_path_factory.mktemp("played") / "run"
        fill(folder, empty_ledger)
        return folder

    return make


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    @functools.cache
    def make() -> Path:
        import torch

        from ringrift_loop.network.export import architecture_for, save_model
        from ringrift_loop.network.model import RingRiftNet

        torch.manual_seed(1)
        folder = tmp_path_factory.mktemp("models")
        manifest = save_model(
            RingRiftNet(architecture_for("square8_2p", blocks=1, channels=8)),
            folder.joinpath,
            variant="square8_2p",
            engine_version=ENGINE_VERSION,
            parent=None,
            training_run=None,
            created_at=1.0,
        )
        return folder / manifest.digest

    return make


@pytest.fixture
def bench(
    tmp_path: Path,
    empty_ledger: Path,
    played: Callable[[], Path],
    model: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, int], Bench]:
    """The place where a case is tried with one of its values, which comes by the environment as a person's would."""

    def make(name: str, number: int) -> Bench:
        case = CASES[name]
        value = (case.first, case.second)[number][0]
        small = small_training(name) if name in TRAINS else {}
        for key, given in {**small, **case.beside, name: value}.items():
            monkeypatch.setenv("RINGRIFT__" + key.upper().replace(".", "__"), _text(given))
        folder = tmp_path / str(number)
        folder.mkdir()
        return Bench(load_config(), folder, empty_ledger, played, model, monkeypatch)

    return make


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {item!r}" for key, item in value.items()) + "}"
    return json.dumps(value)
