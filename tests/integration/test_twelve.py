"""How the package's champions are made, with next to no budget: cut off, resumed, reported from its games, shipped."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from ringrift_loop.champions.card import read_card
from ringrift_loop.champions.exchange import imported_card
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.experiments.in_process import InProcess, in_process
from ringrift_loop.experiments.match_file import read_matches, write_matches
from ringrift_loop.ledger import models
from ringrift_loop.network.export import load_network, weights_file
from ringrift_loop.network.nearest import nearest_variants
from tiny_loop import SETTINGS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "twelve.py"
VARIANT = "square8_2p"


@pytest.fixture(scope="module")
def twelve() -> ModuleType:
    spec = importlib.util.spec_from_file_location("twelve", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everybody_but_the_first_of_a_family_has_somebody_to_begin_with(twelve: ModuleType) -> None:
    assert sorted(twelve.ORDER) == sorted(VARIANT_NAMES)
    alone = [name for at, name in enumerate(twelve.ORDER) if not {*nearest_variants(name, {})} & {*twelve.ORDER[:at]}]
    assert alone == ["square8_2p", "hex8_2p"]


@pytest.mark.parametrize(
    ("wish", "fresh", "imported"),
    [
        ([], True, set(VARIANT_NAMES)),
        (["--from-shipped"], False, {VARIANT, "hexagonal_3p"}),
        (["--from-lenders"], False, set(VARIANT_NAMES) - {VARIANT, "hexagonal_3p"}),
    ],
)
def test_variants_begin_with_the_champions_they_are_to_have_and_no_others(
    twelve: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wish: list[str],
    fresh: bool,
    imported: set[str],
) -> None:
    begun: list[tuple[set[str], bool]] = []
    monkeypatch.setattr(twelve, "begin", lambda loop, *, fresh: begun.append((set(loop.config.variants), fresh)))
    monkeypatch.setattr(InProcess, "drive", lambda *_, **__: iter(()))
    own = ["--folder", str(tmp_path / "run"), "--variants", VARIANT, "hexagonal_3p", "--core-seconds", "1", *wish]
    twelve.main(own)
    assert begun == [(imported, fresh)] * 2
    # What was begun goes on with that, whoever forgets to say it again.
    (tmp_path / "run" / twelve.PROGRESS).write_text(json.dumps({"v": 1}))
    twelve.main([*own[: len(own) - len(wish)], "--resume"])
    assert len(begun) == 2
    if "--from-shipped" in wish:  # but more variants may join
        twelve.main([*own, "--resume", "--variants", "hex8_2p"])
        assert begun[2:] == [({"hex8_2p"}, False)]


@pytest.mark.timeout(300)
def test_a_killed_run_goes_on_and_its_table_can_be_computed_again_from_the_games(
    twelve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    own = [
        "--folder",
        str(folder),
        "--variants",
        VARIANT,
        "--games",
        "3",
        "--rival-games",
        "2",
        "--core-seconds",
        "0.5",
    ]
    own += [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    with monkeypatch.context() as patched:
        patched.setattr(InProcess, "_train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            twelve.main([*own, "--budget-of", f"{VARIANT}=60"])
    with pytest.raises(ConfigError, match="go on with --resume"):
        twelve.main(own)
    # What was spent counts: enough is left for one training, and its candidate is judged whatever that costs.
    with in_process(folder, tuple(twelve.ORDER), SETTINGS, seed="look") as driven:
        spent = driven.of(VARIANT).total
    assert spent > 0
    twelve.main([*own, "--resume", "--budget-of", f"{VARIANT}={spent + 0.1}"])

    (row,) = json.loads((folder / "report.json").read_bytes())
    assert (row["variant"], row["selfplay_games"], row["fair_share"]) == (VARIANT, 16, 0.5)
    facts = json.loads((folder / "facts.json").read_bytes())[VARIANT]
    assert list(facts["core_seconds"]) == ["gates", "selfplay", "training"]
    # A quick machine is through in less than the table's thousandth of an hour.
    assert sum(facts["core_seconds"].values()) > spent
    assert row["core_hours"] == pytest.approx(sum(facts["core_seconds"].values()) / 3600, abs=0.0005)
    assert row["random"]["games"] == row["heuristic"]["games"] == 4
    assert row["playouts"]["games"] == 2 and row["first"] is None  # the champion is the first
    assert row["random"]["low"] < row["random"]["share"] or row["random"]["share"] == 0.0
    assert "1 promoted, 0 rejected" in row["gate"]

    table = (folder / "README.md").read_text()
    for name in ("report.json", "README.md"):
        (folder / name).unlink()
    capsys.readouterr()
    twelve.main(["--folder", str(folder), "--report"])
    assert (folder / "README.md").read_text() == table
    assert table.endswith(capsys.readouterr().out.rstrip("\n") + "\n")

    package = tmp_path / "package"
    twelve.main([*own, "--ship", "--package", str(package)])
    card = read_card(package / VARIANT)
    net, _ = load_network(folder / "models" / row["champion"])  # which may play in eight bits, and travels without
    assert card.digest == hashlib.sha256(weights_file(net)).hexdigest()
    assert [step.games for step in card.lineage] == [16]
    assert {one.opponent.partition("@")[0]: one.games for one in card.measured} == {"random": 4, "heuristic": 4}
    with in_process(folder, tuple(twelve.ORDER), SETTINGS, seed="look") as driven, driven.loop.ledger.read() as conn:
        assert [imported_card(model) for model in models.all_models(conn)] == [None]

    # Where self-play has to cost so much, games that would be enough for a training are not.
    paced = SETTINGS | {"training.min_interval_core_seconds": "1000"}
    for settings, stages in ((paced, ["selfplay", None]), (SETTINGS, ["training"])):
        with in_process(folder, tuple(twelve.ORDER), settings, seed="paced") as driven:
            assert [driven.step(VARIANT, most_games=16 + 17) for _ in stages] == stages

    played = read_matches(folder / "matches" / f"{VARIANT}.jsonl.zst")
    played[0].places.reverse()
    write_matches(folder / "matches" / f"{VARIANT}.jsonl.zst", played)
    with pytest.raises(DataError, match="ended with the places"):
        twelve.main(["--folder", str(folder), "--report"])
