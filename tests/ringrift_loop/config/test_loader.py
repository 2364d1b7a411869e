from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.config import config_hash, load_config, load_effective
from ringrift_loop.errors import ConfigError


def _file(folder: Path, text: str) -> Path:
    path = folder / "unified_loop.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _complaints(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment or {})
    return str(caught.value).splitlines()


def test_an_empty_file_gives_the_guides_overview_figures(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, ""), {})

    assert config.data_ingestion.poll_interval_seconds == 30
    assert config.training.trigger_threshold_games == 300
    assert config.evaluation.shadow_interval_seconds == 300
    assert config.promotion.elo_threshold == 20.0
    assert config.promotion.cooldown_seconds == 900


def test_the_conservative_preset_gives_the_guides_example_figures(tmp_path: Path) -> None:
    effective = load_effective(_file(tmp_path, "preset: conservative\n"), {})

    assert effective.config.data_ingestion.poll_interval_seconds == 60
    assert effective.config.training.trigger_threshold_games == 500
    assert effective.config.evaluation.shadow_interval_seconds == 900
    assert effective.config.promotion.elo_threshold == 25.0
    assert effective.origins["training.trigger_threshold_games"] == "preset conservative"
    assert effective.origins["training.batch_size"] == "default"


def test_the_file_wins_over_the_preset_and_the_environment_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "preset: conservative\ntraining:\n  trigger_threshold_games: 80\n  batch_size: 64\n")

    effective = load_effective(path, {"RINGRIFT__TRAINING__BATCH_SIZE": "32"})

    assert effective.config.training.trigger_threshold_games == 80
    assert effective.origins["training.trigger_threshold_games"] == f"{path}:3"
    assert effective.config.training.batch_size == 32
    assert effective.origins["training.batch_size"] == "environment RINGRIFT__TRAINING__BATCH_SIZE"


def test_the_environment_can_choose_the_preset(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, "preset: optimized\n"), {"RINGRIFT__PRESET": "conservative"})

    assert config.training.trigger_threshold_games == 500


def test_an_unknown_key_is_named_with_file_line_and_a_suggestion(tmp_path: Path) -> None:
    path = _file(tmp_path, "training:\n  batch_size: 64\n  triger_threshold_games: 80\n")

    assert _complaints(path) == [
        f"unknown key training.triger_threshold_games, did you mean training.trigger_threshold_games? ({path}:3)"
    ]


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(tmp_path: Path) -> None:
    path = _file(tmp_path, "training:\n  cooldown_seconds: 80\n")

    assert "did you mean promotion.cooldown_seconds?" in _complaints(path)[0]


def test_an_unknown_variable_of_the_environment_is_refused(tmp_path: Path) -> None:
    complaints = _complaints(_file(tmp_path, ""), {"RINGRIFT__TRAINING__BATCHSIZE": "3"})

    assert complaints == [
        "unknown key training.batchsize, did you mean training.batch_size? (environment RINGRIFT__TRAINING__BATCHSIZE)"
    ]


def test_variables_of_other_meaning_are_left_alone(tmp_path: Path) -> None:
    load_config(_file(tmp_path, ""), {"RINGRIFT_HOME": "/somewhere", "RINGRIFT_LEDGER_URL": "sqlite:////l.db"})


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "preset: optimised\ntraining:\n  batch_size: 0\n  threads: two\nevaluation: 4\npromotion:\n  auto_promote: 1\n",
    )

    assert _complaints(path) == [
        f"evaluation must be a section with keys of its own, got '4' ({path}:5)",
        f"preset must be one of optimized, conservative, got 'optimised' ({path}:1)",
        f"training.batch_size must be at least 1, got 0 ({path}:3)",
        f"training.threads must be a whole number, got 'two' ({path}:4)",
        f"promotion.auto_promote must be true or false, got 1 ({path}:7)",
    ]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "training:\n  threads: 1\n  threads: 2\n")

    assert _complaints(path) == [f"training.threads appears twice, first at {path}:2 ({path}:3)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training:\n  window_rows_min: 400000\n", "training.window_rows_min must not exceed"),
        ("selfplay:\n  simulations_fast: 99\n", "selfplay.simulations_fast must not exceed"),
        ("promotion:\n  looks: [200, 100]\n", "promotion.looks must be a rising list, got [200, 100]"),
        ("promotion:\n  looks: []\n", "promotion.looks must be a rising list, got []"),
        ("promotion:\n  min_games: 5000\n", "promotion.looks must reach promotion.min_games"),
        ("regression:\n  min_win_rate_random: {2: 0.9}\n", "needs a floor for 2, 3 and 4 players, got [2]"),
        ("resource_targets:\n  cpu_min: 75\n", "must rise in this order, got 75, 70, 80, 90"),
        ("variants: []\n", "variants must name at least one variant"),
        ("variants: [hex8_2p, hex8_2p]\n", "variants must not repeat a name"),
        ("variants: [hex9_2p]\n", "variants must be one of square8_2p"),
        ("variants: hex8_2p\n", "variants must be a list of names"),
        ("training:\n  loss:\n    value: 0\n", "training.loss.value must be above 0, got 1 and 0"),
        ("data_ingestion:\n  poll_interval_seconds: 9\n", "must be at least 10, got 9"),
        ("data_ingestion:\n  poll_interval_seconds: 700\n", "retry_max_backoff_seconds must be at least"),
        ("curriculum:\n  ema_alpha: .nan\n", "curriculum.ema_alpha must be a finite number, got nan"),
        ("training:\n  validation_fraction: 1\n", "training.validation_fraction must be below 1, got 1"),
        ("selfplay:\n  lenders: {square8_9p: []}\n", "names variants such as square8_3p, got 'square8_9p'"),
        ("selfplay:\n  lenders: {hex8_2p: [hex9_2p]}\n", "selfplay.lenders must be one of square8_2p"),
        ("selfplay:\n  lenders: {hex8_2p: hex8_3p}\n", "selfplay.lenders must be a list of names"),
        ("selfplay:\n  lenders: [hex8_2p]\n", "must give a list of names by name, such as {square8_3p: [square8_2p]}"),
        (
            "selfplay:\n  lenders: {hex8_2p: [hex8_2p]}\n",
            "selfplay.lenders.hex8_2p must be other variants on hex boards",
        ),
        ("selfplay:\n  lenders: {hex8_2p: [square8_2p]}\n", "on hex boards, each once, got ['square8_2p']"),
        ("selfplay:\n  lenders: {hex8_2p: [hex8_3p, hex8_3p]}\n", "each once, got ['hex8_3p', 'hex8_3p']"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(_complaints(_file(tmp_path, text)))


def test_a_contradiction_between_file_and_default_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "training:\n  window_rows_min: 400000\n")

    assert _complaints(path)[0].endswith(f"got 400000 and 300000 ({path}:2)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: [1\n", "this is not valid YAML"),
        ("- 1\n", "the file must be a mapping of sections"),
        ("training:\n  batch_size: 2020-13-45\n", "training.batch_size"),
        ("? [a]\n: 1\n", "a key must be a word"),
        ("training:\n  batch_size: {a: 1, a: 2}\n", "the key a appears twice"),
    ],
)
def test_broken_yaml_is_told_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, text)

    complaint = "\n".join(_complaints(path))
    assert message in complaint
    assert str(path) in complaint


def test_a_float_without_a_point_is_the_number_that_people_mean(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, "training:\n  learning_rate: 1e-3\n  gradient_clip: 2\n"), {})

    assert config.training.learning_rate == 1e-3
    assert config.training.gradient_clip == 2.0


def test_a_quoted_number_is_text_and_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, 'training:\n  learning_rate: "1e-3"\n')

    assert _complaints(path) == [f"training.learning_rate must be a number, got '1e-3' ({path}:2)"]


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "missing.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(None, {"RINGRIFT_CONFIG": str(tmp_path / "missing.yaml")})


def test_without_any_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    effective = load_effective(None, {})

    assert effective.path is None
    assert set(effective.origins.values()) == {"default"}


def test_the_hash_follows_the_values_and_not_their_origin(tmp_path: Path) -> None:
    said = load_config(_file(tmp_path, "training:\n  batch_size: 256\n"), {})
    silent = load_config(_file(tmp_path, ""), {})
    other = load_config(_file(tmp_path, "training:\n  batch_size: 255\n"), {})

    assert config_hash(said) == config_hash(silent)
    assert config_hash(said) != config_hash(other)
