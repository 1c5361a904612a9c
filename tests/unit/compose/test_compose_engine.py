"""What is said of an engine that does not fit, and of one that refuses."""

from __future__ import annotations

import pytest

from cluster.compose.docker import explain
from cluster.compose.engine import explain_silence, explain_storage, version_numbers


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
