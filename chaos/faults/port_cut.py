"""One service of a host is cut off while everything else goes on: the half-partitions.

They fool a failover, which looks at one service and concludes on another: who can write to etcd may
lead, and whether anybody can reach PostgreSQL there is not asked (patroni issue 1347).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaos.errors import FormatError
from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.packets import NEEDS, Cut, both_ways, drop, lift
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.etcd.member import CLIENT_PORT, PEER_PORT
from cluster.patroni.config import POSTGRES_PORT, REST_PORT
from cluster.toml.reader import TomlTable

KEY = "port-cut"
SERVICES: Mapping[str, tuple[int, ...]] = {
    "etcd": (CLIENT_PORT, PEER_PORT),
    "postgres": (POSTGRES_PORT,),
    "patroni": (REST_PORT,),
}
"""The ports of the services that have a name."""
PORT_MAX = 65535
DEFAULT = "postgres"
FORMS = (*SERVICES, "a port")


@dataclass(frozen=True, slots=True, kw_only=True)
class PortCutParams(FaultParams):
    """Which service."""

    port: str | int = DEFAULT
    """``etcd`` (its clients' port and its members'), ``postgres``, ``patroni`` (its REST API), or a
    number."""

    def __post_init__(self) -> None:
        if ports_of(str(self.port)) is None:
            raise FormatError("port", f"expected {', '.join(SERVICES)} or a number to {PORT_MAX}")


def ports_of(text: str) -> tuple[int, ...] | None:
    """The ports of a service, or of a number; None if it is neither."""
    if text in SERVICES:
        return SERVICES[text]
    number = int(text) if text.isascii() and text.isdigit() else 0
    return (number,) if 1 <= number <= PORT_MAX else None


def read(table: TomlTable) -> PortCutParams:
    """``port``."""
    if not table.has("port"):
        return PortCutParams()
    return table.parsed("port", _parsed, FORMS, PortCutParams())


def _parsed(text: str) -> PortCutParams | None:
    if ports_of(text) is None:
        return None
    return PortCutParams(port=text if text in SERVICES else int(text))


def cut_of(victim: Victim, params: PortCutParams) -> Cut:
    """Everything from and to these ports; other ports are spared."""
    ports = ports_of(str(params.port)) or ()
    of = params.port if params.port in SERVICES else f"port {params.port}"
    return Cut(
        name=f"{KEY} of {of} on {victim.name}",
        ways=both_ways(victim, ports=ports),
        spared=tuple(way.rule for way in both_ways(victim)),
    )


async def strike(stage: Stage, victim: Victim, params: PortCutParams) -> str:
    """The host reaches nobody's service, and nobody reaches its own."""
    return f"{params.port}: {await drop(stage, cut_of(victim, params))}"


async def undo(stage: Stage, victim: Victim, params: PortCutParams) -> str:
    """The service is in reach again."""
    return f"{params.port}: {await lift(stage, cut_of(victim, params))}"


PORT_CUT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="one service cut",
        healed="service in reach",
        noun=lambda hosts: f"the cut of one service of {joined(hosts)}",
        clause=lambda hosts: f"one service of {joined(hosts)} was cut off",
        broken=lambda host: f"one service of {host} is cut off",
    ),
    params=PortCutParams,
    read=read,
    takes=HOSTS,
    needs=NEEDS,
    lasts=True,
    # Who leads depends on one service, and who is served on another.
    effect=lambda params: "unpredicted",
    strike=strike,
    undo=undo,
    chances=Chances(family="links"),
    draw=lambda random: PortCutParams(port=random.choice(list(SERVICES))),
)
