from __future__ import annotations

import jsonschema


def test_airflow_registers_the_plugin_once_and_nothing_from_the_folder() -> None:
    from airflow.plugins_manager import get_import_errors, get_plugin_info

    names = [plugin["name"] for plugin in get_plugin_info()]
    assert names.count("ringrift") == 1
    assert not get_import_errors()


def test_airflow_knows_the_timetable() -> None:
    from airflow.plugins_manager import get_timetables_plugins

    assert "ringrift_airflow.timetables.OffsetTimetable" in get_timetables_plugins()


def test_airflow_knows_the_reference_of_the_deadline() -> None:
    from airflow.plugins_manager import get_deadline_references_plugins

    assert "ringrift_airflow.deadlines.RunMade" in get_deadline_references_plugins()


def test_provider_record_fits_airflows_schema() -> None:
    import json
    from importlib.resources import files

    from ringrift_airflow.provider_info import get_provider_info

    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_options_of_the_section_are_those_that_are_read() -> None:
    from ringrift_airflow import settings
    from ringrift_airflow.provider_info import get_provider_info

    described = set(get_provider_info()["config"][settings.SECTION]["options"])
    assert described == {"home", "ledger_url", "config_file", "hosts_file"}
    for option in described:
        assert settings._option(option) is None  # the default: left to the environment
