"""What ``heal`` does about what somebody else has broken."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from chaos.gameday.errors import FaultError
from chaos.gameday.operator import Caretaker
from chaos.gameday.requests import Done, Request
from cluster.errors import HostError
from cluster.substrates.base import ProcessExit
from cluster.topology.load import find_topology

ELSE = "somebody else had killed it"


class Substrate:
    """Its links can be cut, and plugged in but for the stuck ones."""

    topology = find_topology("three-sites")

    def __init__(self) -> None:
        self.stuck: set[str] = set()

    async def cut_link(self, host: str) -> None:
        pass

    async def heal_link(self, host: str) -> None:
        if host in self.stuck:
            raise HostError(f"the plug of {host} is stuck", host=host)


class Cluster:
    """Notes what is started."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.substrate = Substrate()

    async def start_services(self, host: str, only: str) -> tuple[str, ...]:
        self.started.append((host, only))
        return (only,)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def do(caretaker: Caretaker, request: Request) -> str:
    done = anyio.run(caretaker.do, request)
    assert isinstance(done, Done)
    return done.detail


def heal(caretaker: Caretaker) -> str:
    return do(caretaker, Request(op="heal"))


def killed(host: str, unit: str) -> ProcessExit:
    return ProcessExit(host=host, unit=unit, status=-9, expected=False, t_s=0.0)


def test_what_somebody_else_has_killed_is_started_and_told(cluster: Cluster) -> None:
    async def ended() -> Mapping[tuple[str, str], str]:
        return dict.fromkeys([("db-orsay", "patroni"), ("dcs-paris", "etcd")], ELSE)

    caretaker = Caretaker(cluster, ended=ended)  # type: ignore[arg-type]
    caretaker.unit_exited(killed("dcs-paris", "etcd"))
    # What we killed ourselves needs no words.
    assert heal(caretaker) == (f"started patroni on db-orsay: {ELSE}; started etcd on dcs-paris")
    assert cluster.started == [("db-orsay", "postgres"), ("dcs-paris", "etcd")]


def test_where_all_runs_nothing_was_broken(cluster: Cluster) -> None:
    async def ended() -> Mapping[tuple[str, str], str]:
        return {}

    assert heal(Caretaker(cluster, ended=ended)) == "nothing was broken"  # type: ignore[arg-type]
    assert heal(Caretaker(cluster)) == "nothing was broken"  # type: ignore[arg-type]


def test_what_cannot_be_healed_holds_up_nothing_else(cluster: Cluster) -> None:
    caretaker = Caretaker(cluster)  # type: ignore[arg-type]
    for host in ("db-paris", "db-orsay", "db-saint-cloud"):
        do(caretaker, Request(op="strike", fault="link-cut", target=host))
    caretaker.unit_exited(killed("dcs-paris", "etcd"))
    cluster.substrate.stuck = {"db-paris", "db-saint-cloud"}
    with pytest.raises(FaultError) as caught:
        heal(caretaker)
    assert str(caught.value).splitlines() == [
        f"link-cut on {host} could not be undone: the plug of {host} is stuck"
        for host in ("db-saint-cloud", "db-paris")
    ]
    assert cluster.started == [("dcs-paris", "etcd")]
    cluster.substrate.stuck = {"db-paris"}
    with pytest.raises(FaultError, match="link-cut on db-paris could not"):
        heal(caretaker)


def test_a_plug_starts_no_process(cluster: Cluster) -> None:
    caretaker = Caretaker(cluster)  # type: ignore[arg-type]
    do(caretaker, Request(op="strike", fault="link-cut", target="db-orsay"))
    caretaker.unit_exited(killed("db-orsay", "patroni"))
    assert heal(caretaker).endswith("; started patroni on db-orsay")


def test_a_host_is_started_as_far_as_it_does_not_run(cluster: Cluster) -> None:
    async def ended() -> Mapping[tuple[str, str], str]:
        return {} if cluster.started else {("db-orsay", "patroni"): ELSE}

    caretaker = Caretaker(cluster, ended=ended)  # type: ignore[arg-type]
    assert do(caretaker, Request(op="start", host="db-paris")) == "db-paris runs already"
    assert do(caretaker, Request(op="start", host="db-orsay")) == (
        f"started patroni on db-orsay: {ELSE}"
    )
    assert do(caretaker, Request(op="start", host="db-orsay")) == "db-orsay runs already"


def test_the_same_seed_strikes_the_same_host() -> None:
    def struck(seed: int) -> str:
        caretaker = Caretaker(Cluster())  # type: ignore[arg-type]
        request = Request(op="strike", fault="link-cut", target="any", seed=seed)
        done = anyio.run(caretaker.do, request)
        assert isinstance(done, Done)
        assert done.hosts == done.victims
        return done.victims[0]

    found = [struck(seed) for seed in range(20)]
    assert found == [struck(seed) for seed in range(20)]
    assert len(set(found)) == 3


def test_what_a_fault_cannot_be_asked_is_refused(cluster: Cluster) -> None:
    caretaker = Caretaker(cluster)  # type: ignore[arg-type]
    for request, words in (
        (Request(op="strike", fault="flood"), "no fault flood; there are host-power-cut, "),
        (
            Request(op="strike", fault="link-cut", target="any", params={"process": "etcd"}),
            "link-cut has no process",
        ),
        (
            Request(op="strike", fault="process-kill", target="any", params={"process": 5}),
            "process-kill: process: expected ",
        ),
        (
            Request(op="strike", fault="link-cut", target="site:paris"),
            'a link-cut needs "primary" or ',
        ),
        (Request(op="strike", fault="link-cut", target="db-lyon"), "there is no host db-lyon"),
    ):
        with pytest.raises(FaultError, match=words):
            do(caretaker, request)
