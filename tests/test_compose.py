"""`docker-compose.yaml` and the files it mounts; no container engine is needed."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringrift_loop.config import LoopConfig
from ringrift_loop.config.loader import load_config
from ringrift_loop.hosts.inventory import SSH, load_inventory
from ringrift_loop.monitoring.alerts import JOB
from ringrift_loop.monitoring.grafana import INFINITY

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")


def test_the_file_follows_the_compose_specification() -> None:
    compose_spec = pytest.importorskip(
        "compose_spec", reason="pip install compose-spec: checks the Compose specification"
    )

    # PyYAML resolves anchors and merges, as Compose does before it looks at the keys.
    parsed = compose_spec.PyCompose.from_yaml(yaml.safe_dump(COMPOSE))

    assert sorted(parsed.service_names()) == sorted(SERVICES)


def test_all_parts_are_there() -> None:
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "airflow-init",
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "airflow-worker",
        "statsd-exporter",
        "prometheus",
        "alertmanager",
        "grafana",
        "host-a",
        "host-b",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned_by_a_full_version(service: str) -> None:
    name, _, tag = SERVICES[service]["image"].rpartition(":")

    assert name
    assert re.match(r"v?\d+\.\d+", tag), SERVICES[service]["image"]


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.host"])
def test_base_images_are_pinned_by_a_full_version(file: str) -> None:
    text = (PROJECT / "config" / "docker" / file).read_text(encoding="utf-8")

    bases = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)


def test_every_variable_must_be_set_by_a_person_and_is_listed_in_the_example() -> None:
    example = (PROJECT / "config" / "docker" / "env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(\w+)=$", example, flags=re.MULTILINE))
    from_environment = {secret["environment"] for secret in COMPOSE["secrets"].values()}

    choices = {name for name, rest in VARIABLE.findall(TEXT) if rest == ":-"}
    assert choices == {"FRESH"}, "what a person may leave out"
    demanded = {name: rest for name, rest in VARIABLE.findall(TEXT) if name not in choices}
    assert {rest[:2] for rest in demanded.values()} == {":?"}, "no other variable has a default"
    assert demanded.keys() | from_environment == listed
    assert "# FRESH=1 " in example


@pytest.mark.parametrize(("fresh", "option"), [("", ""), ("0", ""), ("no", ""), ("1", "--fresh")])
def test_what_a_new_run_begins_with_is_chosen_as_for_make_run(fresh: str, option: str) -> None:
    assert SERVICES["airflow-init"]["environment"]["FRESH"] == "${FRESH:-}"
    script = SERVICES["airflow-init"]["command"][-1].replace("$$", "$")
    choice = 'as_airflow() { echo "$@"; }\n' + script.partition("as_airflow ringrift-loop ledger migrate\n")[2]
    run = subprocess.run(
        ["bash", "-ec", choice], env={"FRESH": fresh}, capture_output=True, text=True, check=True
    ).stdout
    make = subprocess.run(
        ["make", "--dry-run", "run", f"FRESH={fresh}"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout

    assert run.split() == ["ringrift-loop", "models", "begin", *([option] if option else [])]
    assert ("ringrift-loop up --fresh" in make) is bool(option)


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD$|SECRET|FERNET|PRIVATE|URL$|BACKEND|CONN$", key) and "://airflow-" not in str(
                value
            ):
                harmless = str(value).startswith("http://") and "@" not in str(value)
                assert harmless or VARIABLE.search(str(value)), f"{name}: {key}"


def test_dependencies_exist_and_their_conditions_can_come_true() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no", f"{name} waits for the end of {other}"


def test_the_database_counts_as_healthy_only_once_it_listens() -> None:
    """While the image fills an empty volume, its server answers on its socket, and nobody else can reach it."""
    check = SERVICES["postgres"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "pg_isready"]
    assert check[check.index("--host") + 1] == "127.0.0.1"


def test_any_celery_worker_can_have_any_task() -> None:
    """A host of transport `local` would be another machine in each of them, with the same worker slots."""
    inventory = load_inventory(PROJECT / "config" / "docker" / "remote_hosts.yaml", {})
    assert SERVICES["airflow-worker"]["deploy"]["replicas"] == 2
    assert {host.transport for host in inventory.hosts.values()} == {SSH}


def test_what_a_killed_worker_had_taken_is_queued_again_soon_and_nothing_waits_for_a_place_meanwhile() -> None:
    environment = SERVICES["airflow-scheduler"]["environment"]
    assert float(environment["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) <= 60
    assert float(environment["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL"]) <= 15
    settings = configparser.ConfigParser()
    settings.read(PROJECT / "config" / "airflow.cfg")
    places = SERVICES["airflow-worker"]["deploy"]["replicas"] * int(environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert places >= settings.getint("core", "parallelism")


def test_queued_tasks_outlive_redis() -> None:
    redis = SERVICES["redis"]
    assert "appendonly yes" in redis["command"][-1]
    assert "redis-data:/data" in redis["volumes"]


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (PROJECT / source).exists(), f"{name}: {source}"
                assert mount.endswith(":ro"), f"{name} may not write into the project: {mount}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_published_ports_are_on_the_loopback_only() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_the_loops_settings_of_the_containers_are_valid() -> None:
    environment = SERVICES["airflow-worker"]["environment"]
    config = load_config(PROJECT / "config" / "unified_loop.yaml", environment)

    assert (config.statsd_host, config.statsd_port) == ("statsd-exporter", 9125)
    assert environment["AIRFLOW__METRICS__STATSD_PORT"] == str(config.statsd_port)


def test_the_ssh_hosts_of_the_inventory_are_services_and_somebody_plays() -> None:
    inventory = load_inventory(PROJECT / "config" / "docker" / "remote_hosts.yaml", {})

    reached_by_ssh = {str(host.ssh_host) for host in inventory.hosts.values() if host.transport == SSH}
    assert reached_by_ssh == {"host-a", "host-b"}
    assert {SERVICES[name]["hostname"] for name in reached_by_ssh} == reached_by_ssh
    assert {host.name for host in inventory.enabled if host.slots > 0} == reached_by_ssh


def test_prometheus_scrapes_and_calls_services_that_exist() -> None:
    document = yaml.safe_load((PROJECT / "config" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))

    groups = [config for job in document["scrape_configs"] for config in job["static_configs"]]
    groups += [config for manager in document["alerting"]["alertmanagers"] for config in manager["static_configs"]]
    targets = {target.split(":")[0] for group in groups for target in group["targets"]}
    assert targets - {"localhost"} == {"statsd-exporter", "alertmanager"}


def test_grafanas_data_sources_are_services_and_those_that_the_dashboards_name() -> None:
    file = PROJECT / "config" / "grafana" / "provisioning" / "datasources" / "ringrift.yaml"
    sources = {source["uid"]: source for source in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]}

    assert sources["prometheus"]["url"] == "http://prometheus:9090"
    assert sources["infinity"]["url"].removeprefix("http://").partition(":")[0] in SERVICES
    assert sources["infinity"]["type"] == INFINITY
    assert SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"].partition("@")[0] == INFINITY


def test_grafana_finds_the_dashboards() -> None:
    file = PROJECT / "config" / "grafana" / "provisioning" / "dashboards" / "ringrift.yaml"
    (provider,) = yaml.safe_load(file.read_text(encoding="utf-8"))["providers"]

    assert f"./config/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_prometheus_finds_the_rules() -> None:
    document = yaml.safe_load((PROJECT / "config" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))

    (pattern,) = document["rule_files"]
    assert f"./config/prometheus/rules:{pattern.removesuffix('/*.yml')}:ro" in SERVICES["prometheus"]["volumes"]
    assert {job["job_name"] for job in document["scrape_configs"]} >= {JOB}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("promtool") is None, reason="the Debian package prometheus is missing")
def test_a_prometheus_on_the_loops_machine_finds_rules_and_bridge() -> None:
    file = PROJECT / "config" / "prometheus" / "native.yml"
    command = ["promtool", "check", "config", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    document = yaml.safe_load(file.read_text(encoding="utf-8"))

    assert found.returncode == 0 and "1 rule files found" in found.stdout, found.stdout + found.stderr
    (job,) = document["scrape_configs"]
    assert job["job_name"] == JOB
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{LoopConfig().metrics_port}"]}]


def test_shell_scripts_parse() -> None:
    for script in (PROJECT / "config" / "docker").glob("*.sh"):
        subprocess.run(["sh", "-n", str(script)], check=True)
