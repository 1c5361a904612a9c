"""Which kept clusters are forgotten: all, or those that are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.docker.fake_things import FakeThings

from chaos.cli import forget
from chaos.judge.exit_codes import COULD_NOT_RUN
from cluster.substrates.docker.labels import TESTING
from cluster.substrates.owner import this_process


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeThings:
    """Two kept clusters, and one of a process that runs."""
    fake = FakeThings(tmp_path / "bin")
    for cluster, process in (("k1", ""), ("k2", ""), ("c1", this_process())):
        fake.put("containers", f"{cluster}-db", cluster, process, TESTING)
        fake.put("networks", f"{cluster}-wan", cluster, process, TESTING)
    fake.client.use(monkeypatch)
    return fake


@pytest.mark.parametrize(
    ("arguments", "said", "there"),
    [
        ([], "removed k1\nremoved k2\n", ["c1-db", "c1-wan"]),
        (["k2"], "removed k2\n", ["c1-db", "c1-wan", "k1-db", "k1-wan"]),
        (["--list"], "k1\nk2\n", ["c1-db", "c1-wan", "k1-db", "k1-wan", "k2-db", "k2-wan"]),
    ],
)
def test_those_that_are_asked_for_go(
    engine: FakeThings,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
    there: list[str],
) -> None:
    assert forget.main(arguments) == 0
    assert capsys.readouterr().out == said
    assert engine.left == there


def test_one_that_is_not_kept_is_named_and_nothing_goes(
    engine: FakeThings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forget.main(["k1", "c1"]) == COULD_NOT_RUN
    assert capsys.readouterr().err == "no cluster c1 is kept; there are k1, k2\n"
    assert len(engine.left) == 6
