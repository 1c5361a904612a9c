"""A replica's host is away for weeks: when it is back, nobody has the WAL any more that it lacks.

Patroni keeps the slot of a member that is gone for ``member_slots_ttl`` (30 minutes by default),
and the primary the WAL of the last ``wal_keep_size``. Here both go at once. The host comes back
with its old data, cannot stream, and is copied anew as an operator does (``patronictl reinit``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pkgutil import resolve_name

import anyio

from chaos.faults.base import NO_PARAMS, Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.host import cut_power, give_power_back, would_end_the_load
from chaos.faults.patroni_reinitialize import reinitialize
from chaos.faults.programs import nothing_there
from chaos.faults.targets import Victim
from chaos.wording import joined, possessive
from cluster.errors import ClusterError
from cluster.patroni.rest import PatroniRest
from cluster.raised import POLL_S, RaisedCluster
from cluster.substrates.base import Killable
from cluster.topology.model import Topology
from cluster.whole import RUNNING_STATES, STREAMING

KEY = "host-absent"
START_TIMEOUT_S = 30.0
"""Boot, Patroni, PostgreSQL: some seconds."""
CATCH_UP_S = 5.0
"""A replica that runs and finds its WAL streams in a moment; its receiver tries every second."""

LetGo = Callable[[RaisedCluster, str, str], Awaitable[str]]


async def go_away(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Cut the power; then let the primary forget the host. Both are done on return.

    Raises:
        ClusterError: it leads, or there is no primary, or the WAL that it lacks stays.
    """
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    let_go: LetGo = resolve_name("chaos.load.absence:let_go")
    primary = await stage.cluster.primary()
    if primary in (None, victim.name):
        words = "there is no primary" if primary is None else f"{victim.name} leads"
        raise ClusterError(f"{words}: only a replica can be forgotten", host=victim.name)
    done = await cut_power(stage, victim, params)
    return f"{done}; {await let_go(stage.cluster, primary, victim.name)}"


async def come_back(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Power on; copied anew, if it cannot stream from where it was."""
    if await stage.cluster.primary() == victim.name:  # the strike was refused
        return "it leads, and lacks nothing"
    if stage.able(Killable).has_power(victim.name):
        done = "the host had its power back already"
    else:
        done = await give_power_back(stage, victim, params)
    if await _streams(stage.cluster.rest[victim.name]):
        return f"{done}; it found its WAL, and streams"
    return f"{done}; it cannot stream: {await reinitialize(stage, victim, params)}"


async def _streams(rest: PatroniRest) -> bool:
    """Whether a replica streams, once it has run for a while."""
    runs_since_s: float | None = None
    with anyio.move_on_after(START_TIMEOUT_S):
        while runs_since_s is None or anyio.current_time() < runs_since_s + CATCH_UP_S:
            member = await rest.member()
            if member is not None and member.replication_state == STREAMING:
                return True
            if member is not None and member.state in RUNNING_STATES and runs_since_s is None:
                runs_since_s = anyio.current_time()
            await anyio.sleep(POLL_S)
    return False


def impossible(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """It needs a replica to forget, and must not end the load."""
    why = would_end_the_load(NO_PARAMS, topology, hosts)
    if why is not None:
        return why.replace("host-power-cut would", f"{KEY} would")
    return nothing_there(KEY, "postgres", topology, hosts)


HOST_ABSENT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="host away",
        healed="host back, copied",
        noun=lambda hosts: f"the long absence of {joined([possessive(h) for h in hosts])} host",
        clause=lambda hosts: f"{joined([possessive(h) for h in hosts])} host was away for weeks",
        broken=lambda host: f"host {host} is away, and its WAL is gone",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("replica", "replicas", "host"),
    needs=(Killable,),
    lasts=True,
    effect=lambda params: "power-off",
    strike=go_away,
    undo=come_back,
    # A host by its name may lead; without a primary nobody can forget it.
    chances=Chances(alone=True, targets=("replica",)),
    draw=lambda random: NO_PARAMS,
    impossible=impossible,
)
