from __future__ import annotations

import pytest

from ringrift_loop.cli.entry import main
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.engine.rules import VARIANTS


@pytest.mark.parametrize(
    "line",
    [
        "shadow --config hex9_2p",
        "ratings --config hex9_2p",
        "regression-gate --model champion --config hex9_2p",
        "champion-gate --model champion --config hex9_2p",
        "promote --model champion --config hex9_2p",
        "rollback --config hex9_2p --reason test",
        "distribute --variant hex9_2p",
        "selfplay --root x --variant hex9_2p",
        "ugi --variant hex9_2p",
    ],
)
def test_an_unknown_variant_is_wrong_usage_and_the_twelve_are_named(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "hex9_2p" in said
    assert all(name in said for name in VARIANT_NAMES)


def test_the_configuration_and_the_engine_know_the_same_variants() -> None:
    assert tuple(VARIANTS) == VARIANT_NAMES
