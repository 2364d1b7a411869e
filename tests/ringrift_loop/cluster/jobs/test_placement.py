"""Which GPUs a job may get, by what hosts report."""

from __future__ import annotations

import pytest

from ringrift_loop.cluster.agent.gpus import Gpu
from ringrift_loop.cluster.jobs.placement import JobRequest, Offer, choose
from ringrift_loop.config.schema import ResourceTargets
from ringrift_loop.errors import NoCapacity
from ringrift_loop.hosts.inventory import parse_inventory

HOSTS = parse_inventory(
    "standard_hosts:\n"
    "  a: {transport: local, role: training, has_gpu: true, gpu_count: 4, gpu_memory_gb: 24}\n"
    "  b: {transport: local, role: training, has_gpu: true, gpu_count: 4, gpu_memory_gb: 24}\n",
    "hosts.yaml",
).hosts
TOTAL = 24_000


def offer(host: str, *used_percent: float) -> Offer:
    gpus = [Gpu(index, TOTAL, round(TOTAL * (1 - used / 100))) for index, used in enumerate(used_percent)]
    return Offer(HOSTS[host], tuple(gpus))


def request(memory_gb: float = 0.0, gpus: int = 1) -> JobRequest:
    return JobRequest("ab12", ("true",), "training", 60.0, gpus=gpus, gpu_memory_gb=memory_gb)


def chosen(wanted: JobRequest, *offers: Offer) -> tuple[str, list[int]]:
    host, gpus = choose(offers, wanted, [])
    return host.name, gpus


def test_a_gpu_above_critical_gets_no_job_however_little_it_needs() -> None:
    with pytest.raises(
        NoCapacity, match=r"memory of GPU 0, 1 is used to 90 % or more \(resource_targets\.gpu_memory_critical\)"
    ):
        chosen(request(0.1), offer("a", 90.0, 95.0))
    assert chosen(request(0.1), offer("a", 90.0, 89.9)) == ("a", [1])


def test_a_gpu_above_warning_takes_only_a_job_that_says_what_it_needs() -> None:
    with pytest.raises(NoCapacity, match=r"used to 80 % or more \(resource_targets\.gpu_memory_warning\)"):
        chosen(request(), offer("a", 80.0))
    assert chosen(request(), offer("a", 79.9)) == ("a", [0])
    assert chosen(request(2.0), offer("a", 85.0)) == ("a", [0])
    with pytest.raises(NoCapacity, match="0 of 1 GPUs fit with 4 GiB each"):
        chosen(request(4.0), offer("a", 85.0))


def test_another_host_with_room_is_chosen_instead() -> None:
    assert chosen(request(), offer("a", 99.0, 85.0), offer("b", 50.0)) == ("b", [0])


def test_the_limits_are_those_of_the_configuration() -> None:
    lax = ResourceTargets(gpu_memory_warning=96.0, gpu_memory_critical=97.0)
    assert choose([offer("a", 95.0)], request(), [], None, lax)[1] == [0]


def test_a_job_without_gpus_does_not_care() -> None:
    assert chosen(request(gpus=0), offer("a", 99.0)) == ("a", [])


def test_a_driver_that_does_not_tell_the_memory_offers_the_gpu_to_who_names_no_need() -> None:
    unknown = Offer(HOSTS["a"], (Gpu(0, None, None),))
    assert chosen(request(), unknown) == ("a", [0])
    with pytest.raises(NoCapacity):
        chosen(request(1.0), unknown)
