"""A host loses its power, and comes back unfenced: its PostgreSQL is started without Patroni.

By a unit of the system that nobody has disabled, or by somebody who wants to help. The old primary
does not know that another leads: it serves its old data to whoever asks it by its address, and lets
in who was shut out since. Nobody who asks Patroni is led there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.host import cut_power, would_end_the_load
from chaos.faults.programs import nothing_there
from chaos.faults.targets import Victim
from chaos.wording import joined, possessive
from cluster.raised import RaisedCluster
from cluster.substrates.base import Haltable, Killable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "unfenced-return"
SERVES_S = 5.0
SERVES_S_MAX = 600.0

ServeByHand = Callable[[RaisedCluster, str, float], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfencedReturnParams(FaultParams):
    """How long nobody notices."""

    serves_s: float = SERVES_S
    """For so long the server serves before it is stopped, and Patroni started."""


def read(table: TomlTable) -> UnfencedReturnParams:
    """``serves_s``."""
    return UnfencedReturnParams(
        serves_s=table.number("serves_s", minimum=0.0, maximum=SERVES_S_MAX, default=SERVES_S)
    )


async def go(stage: Stage, victim: Victim, params: UnfencedReturnParams) -> str:
    """As ``host-power-cut``."""
    return await cut_power(stage, victim, params)


async def come_back(stage: Stage, victim: Victim, params: UnfencedReturnParams) -> str:
    """Power on, PostgreSQL by hand for a while; then as after ``host-power-cut``."""
    machine = stage.able(Killable)
    if machine.has_power(victim.name):
        return "the power was back already"
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    serve: ServeByHand = resolve_name("chaos.load.unfenced:serve_by_hand")
    await machine.start_host(victim.name)
    done = await serve(stage.cluster, victim.name, params.serves_s)
    started = await stage.cluster.start_services(victim.name)
    return f"power on; {done}; then started {', '.join(started)}"


def impossible(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """There must be a PostgreSQL, and the load must go on."""
    why = would_end_the_load(params, topology, hosts)
    if why is not None:
        return why.replace("host-power-cut would", f"{KEY} would")
    return nothing_there(KEY, "postgres", topology, hosts)


UNFENCED_RETURN = FaultKind(
    key=KEY,
    words=FaultWords(
        title="power cut, unfenced",
        healed="back without Patroni",
        noun=lambda hosts: f"the unfenced return of {joined([possessive(h) for h in hosts])} host",
        clause=lambda hosts: f"{joined([possessive(h) for h in hosts])} host was lost",
    ),
    params=UnfencedReturnParams,
    read=read,
    takes=("primary", "replica", "host"),
    needs=(Killable, Haltable),
    lasts=True,
    effect=lambda params: "power-off",
    strike=go,
    undo=come_back,
    draw=None,
    impossible=impossible,
)
