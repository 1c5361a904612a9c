"""What is said of an engine that does not fit, and of one that refuses."""

from __future__ import annotations

import subprocess

import pytest

from cluster.substrates.docker import machine
from cluster.substrates.docker.client import explain
from cluster.substrates.docker.machine import ASK, is_answer, is_this_machine, uptime_s
from cluster.substrates.docker.prerequisites import (
    explain_bridge,
    explain_security,
    explain_silence,
    explain_storage,
    version_numbers,
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2.40.3", (2, 40, 3)),
        ("v2.40.3-desktop.1", (2, 40, 3)),
        ("2.20.0+ds1", (2, 20, 0)),
        ("1.41", (1, 41)),
    ],
)
def test_versions_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(text) == numbers


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "systemctl start"),
        ("permission denied while trying to connect to the socket", "usermod -aG docker"),
        ("client version 1.24 is too old. Minimum supported API version is 1.44", "update"),
    ],
)
def test_an_engine_that_does_not_answer(words: str, remedy: str) -> None:
    said = explain_silence(words)
    assert words in said
    assert remedy in said
    assert "--substrate lab" in said


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "docker system df"),
        ("could not find an available, non-overlapping IPv4 address pool", "docker network prune"),
    ],
)
def test_what_the_engine_says_is_told_with_its_remedy(words: str, remedy: str) -> None:
    said = explain(["compose", "create"], f"Error response from daemon: {words}\n")
    assert words in said
    assert f"remedy: {remedy}" in said
    assert "remedy" not in explain(["ps"], "Error response from daemon: something else")


def test_where_volumes_lie() -> None:
    status = [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]]
    assert explain_storage({"DriverStatus": status}) == "volumes on this machine's disk (extfs)"
    assert explain_storage({"DriverStatus": None}) == "volumes on this machine's disk"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["name=apparmor", "name=seccomp,profile=default", "name=rootless"], "rootless"),
        (["name=seccomp,profile=default", "name=userns"], "userns-remap"),
        (["name=apparmor", "name=seccomp,profile=default", "name=cgroupns"], ""),
        (None, ""),
    ],
)
def test_an_engine_that_maps_users(options: list[str] | None, words: str) -> None:
    said = explain_security({"SecurityOptions": options})
    assert words in said
    assert ("remedy" in said) is bool(words)


def test_an_engine_whose_bridge_is_no_interface_of_this_machine() -> None:
    assert "remedy" in explain_bridge(["172.17.0.1"], {"127.0.0.1", "192.0.2.7"})
    assert explain_bridge(["172.17.0.1"], {"127.0.0.1", "172.17.0.1"}) == ""
    assert explain_bridge(["172.17.0.1", "fd00::1"], {"fd00::1"}) == ""
    assert explain_bridge([], {"127.0.0.1"}) == ""  # it was told to have none


def test_a_container_says_whether_it_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    since_s = uptime_s()
    done = subprocess.run(["sh", "-c", ASK], capture_output=True, text=True, check=True)
    line = done.stdout.strip()
    assert is_answer(line)
    assert not is_answer("etcd etcd Version: 3.5.21")
    assert is_this_machine(line, since_s)
    monkeypatch.setattr(machine, "boot_id", lambda: "another")
    assert not is_this_machine(line, since_s)


def test_where_the_boot_id_is_hidden_the_clock_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "boot_id", lambda: "of the system container")
    monkeypatch.setattr(machine, "has_own_boot_id", lambda: True)
    since_s = uptime_s()
    assert is_this_machine(f"path kernels {uptime_s():.2f} 77.5", since_s)
    assert not is_this_machine(f"path kernels {since_s - 1:.2f} 77.5", since_s)
    assert not is_this_machine(f"path kernels {since_s + 100:.2f} 77.5", since_s)
