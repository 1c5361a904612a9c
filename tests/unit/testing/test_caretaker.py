"""What ``heal`` does about what somebody else has broken."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from chaos.testing.caretaker import Caretaker
from chaos.testing.model import Done, Request
from cluster.substrate import UnitExit


class Cluster:
    """Notes what is started."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []

    async def start_services(self, host: str, only: str) -> tuple[str, ...]:
        self.started.append((host, only))
        return (only,)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def heal(caretaker: Caretaker) -> str:
    done = anyio.run(caretaker.do, Request(op="heal"))
    assert isinstance(done, Done)
    return done.detail


def test_what_somebody_else_has_killed_is_started_and_told(cluster: Cluster) -> None:
    async def ended() -> Mapping[tuple[str, str], str]:
        # What we killed ourselves was started before this is asked.
        assert cluster.started == [("dcs-paris", "etcd")]
        return {("db-orsay", "patroni"): "somebody else had killed it"}

    caretaker = Caretaker(cluster, ended=ended)  # type: ignore[arg-type]
    caretaker.unit_exited(
        UnitExit(host="dcs-paris", unit="etcd", status=-9, expected=False, t_s=0.0)
    )
    words = heal(caretaker)
    assert "started etcd on dcs-paris; started patroni on db-orsay: somebody else" in words
    assert cluster.started == [("dcs-paris", "etcd"), ("db-orsay", "postgres")]


def test_where_all_runs_nothing_was_broken(cluster: Cluster) -> None:
    async def ended() -> Mapping[tuple[str, str], str]:
        return {}

    assert heal(Caretaker(cluster, ended=ended)) == "nothing was broken"  # type: ignore[arg-type]
    assert heal(Caretaker(cluster)) == "nothing was broken"  # type: ignore[arg-type]
