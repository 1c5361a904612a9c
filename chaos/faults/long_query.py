"""A researcher's long query on a replica, which the replay of the WAL must not pass.

PostgreSQL holds the replay up for as long as a query needs rows that the primary has vacuumed
away, at most ``max_standby_streaming_delay`` (30 s by default; manual, 26.4.2). Everything that
comes after is received, so commits go on, and is not replayed; a replica that is promoted replays
it first. Patroni elects by what was received, so it elects such a replica.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import HOSTS, Victim
from chaos.wording import joined
from cluster.errors import ClusterError
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "long-query"
QUERY_S = 120.0
QUERY_S_MAX = 3600.0
STOP_TIMEOUT_S = 5.0

HoldUp = Callable[..., Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongQueryParams(FaultParams):
    """How long it would take if nothing ended it."""

    query_s: float = QUERY_S


def read(table: TomlTable) -> LongQueryParams:
    """``query_s``."""
    asked = table.number("query_s", minimum=1.0, maximum=QUERY_S_MAX, default=QUERY_S)
    return LongQueryParams(query_s=asked)


def unit_of(replica: str) -> str:
    """The process that asks, on a host of a client."""
    return f"long-query-{replica}"


def asker_of(stage: Stage, replica: str) -> str:
    """The host that asks: a client's, of the replica's own site if it has one."""
    topology = stage.cluster.substrate.topology
    near = [host for host in topology.site_of(replica).hosts if "client" in host.roles]
    return (near or topology.hosts_with("client"))[0].name


async def ask(stage: Stage, victim: Victim, params: LongQueryParams) -> str:
    """Start the query, vacuum what it reads, and wait until the replay stands."""
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    hold_up: HoldUp = resolve_name("chaos.load.long_query:hold_up")
    primary = await stage.cluster.primary()
    if primary == victim.name:
        raise ClusterError(f"{victim.name} is the primary, which replays nothing", node=primary)
    host = asker_of(stage, victim.name)
    return await hold_up(stage.cluster, victim.name, host, unit_of(victim.name), params.query_s)


async def end(stage: Stage, victim: Victim, params: LongQueryParams) -> str:
    """End the query; the replica replays what it has received."""
    unit = unit_of(victim.name)
    host = asker_of(stage, victim.name)
    try:
        await stage.cluster.substrate.stop_unit(host, unit, timeout_s=STOP_TIMEOUT_S)
    except ClusterError:  # it had struck only half
        return "no query was asked"
    return "the query was ended"


def has_no_replica(params: LongQueryParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Where no PostgreSQL runs nothing is replayed."""
    without = [host for host in hosts if host not in topology.nodes]
    if not without:
        return None
    return f"{KEY} needs a replica: in the topology {topology.name} {without[0]} has no PostgreSQL"


LONG_QUERY = FaultKind(
    key=KEY,
    words=FaultWords(
        title="long query",
        healed="query ended",
        noun=lambda hosts: f"the long query on {joined(hosts)}",
        clause=lambda hosts: f"a long query held up the replay on {joined(hosts)}",
    ),
    params=LongQueryParams,
    read=read,
    takes=tuple(one for one in HOSTS if one in {"replicas", "host"}),
    needs=(),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=ask,
    undo=end,
    # A host that is named may be the primary, which replays nothing.
    chances=Chances(targets=("replicas",)),
    draw=lambda random: LongQueryParams(query_s=random.uniform(10.0, QUERY_S)),
    impossible=has_no_replica,
)
