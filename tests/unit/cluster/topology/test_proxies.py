"""Proxies in a topology: read, written back, and refused where they cannot work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import TopologyError
from cluster.substrates.docker.project import problems_of_containers
from cluster.topology.load import load_builtin, load_topology, to_toml, topology_source
from cluster.topology.proxies import ProxyRole, ProxySettings, proxy_delay_s

NAME = "three-sites-proxies"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_what_is_asked_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    asked = ProxySettings(
        check_interval_s=1,
        check_fall=2,
        check_rise=1,
        shutdown_sessions=False,
        pool_mode="session",
        login_retry_s=1,
    )
    topology = replace(load_builtin(NAME), proxies=asked)
    assert load_topology(written(tmp_path, to_toml(topology))) == topology


def test_the_shipped_one_says_the_defaults() -> None:
    topology = load_builtin(NAME)
    assert topology.proxies == ProxySettings()
    assert [host.name for host in topology.hosts_with("haproxy")] == [
        "lb-paris",
        "lb-orsay",
        "lb-saint-cloud",
    ]
    assert topology.hosts_with("haproxy") == topology.hosts_with("pgbouncer")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"haproxy", "pgbouncer"', '"pgbouncer"', "none has haproxy: PgBouncer does not ask"),
        (
            "check_interval_s = 3",
            "check_interval_s = 0",
            "proxies.check_interval_s: expected a num",
        ),
        ("check_fall = 3", "check_fall = 11", "proxies.check_fall: expected a number from 1 to 10"),
        ("check_rise = 2", "check_rise = -1", "proxies.check_rise"),
        ('pool_mode = "transaction"', 'pool_mode = "statement"', "expected transaction or session"),
        ("check_rise = 2", "check_rises = 2", "did you mean check_rise"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = topology_source(NAME)
    assert old in text
    with pytest.raises(TopologyError, match=words):
        load_topology(written(tmp_path, text.replace(old, new)))


@pytest.mark.parametrize(("through", "delay_s"), [("haproxy", 6), ("pgbouncer", 21)])
def test_pgbouncer_waits_after_a_login_that_failed(through: ProxyRole, delay_s: float) -> None:
    assert proxy_delay_s(ProxySettings(), through) == delay_s
    assert proxy_delay_s(ProxySettings(shutdown_sessions=False), through) is None


def test_settings_without_a_proxy_are_refused(tmp_path: Path) -> None:
    text = f"{topology_source('three-sites')}\n[proxies]\ncheck_fall = 2\n"
    with pytest.raises(TopologyError, match="there is nothing to configure"):
        load_topology(written(tmp_path, text))


def test_containers_refuse_them_and_say_why() -> None:
    words = [problem.words for problem in problems_of_containers(load_builtin(NAME))]
    refused = [one for one in words if "lb-paris has the role haproxy" in one]
    assert refused
    assert "use --substrate lab" in refused[0]
