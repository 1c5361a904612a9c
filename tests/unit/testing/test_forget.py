"""Which kept clusters are forgotten: all, or those that are named."""

from __future__ import annotations

import pytest
from support.fake_docker import FakeEngine

from chaos.exit_codes import COULD_NOT_RUN
from chaos.testing import docker_engine, forget
from chaos.testing.docker_leftovers import this_process


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Two kept clusters, and one of a process that runs."""
    fake = FakeEngine()
    for cluster, process in (("k1", ""), ("k2", ""), ("c1", this_process())):
        fake.put("container", f"{cluster}-db", process)
        fake.put("network", f"{cluster}-wan", process)
    monkeypatch.setattr(docker_engine, "connect", lambda: fake)
    return fake


def left(engine: FakeEngine) -> list[str]:
    return [thing.name for thing in [*engine.containers_there, *engine.networks_there]]


@pytest.mark.parametrize(
    ("arguments", "said", "there"),
    [
        ([], "removed k1\nremoved k2\n", ["c1-db", "c1-wan"]),
        (["k2"], "removed k2\n", ["k1-db", "c1-db", "k1-wan", "c1-wan"]),
        (["--list"], "k1\nk2\n", ["k1-db", "k2-db", "c1-db", "k1-wan", "k2-wan", "c1-wan"]),
    ],
)
def test_those_that_are_asked_for_go(
    engine: FakeEngine,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
    there: list[str],
) -> None:
    assert forget.main(arguments) == 0
    assert capsys.readouterr().out == said
    assert left(engine) == there
    assert engine.closed == 1


def test_one_that_is_not_kept_is_named_and_nothing_goes(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forget.main(["k1", "c1"]) == COULD_NOT_RUN
    assert capsys.readouterr().err == "no cluster c1 is kept; there are k1, k2\n"
    assert len(left(engine)) == 6
