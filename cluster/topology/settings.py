"""The settings of the cluster on a topology, and Patroni's rules for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import Problem

SyncMode = Literal["quorum", "async"]
StandbyChoice = Literal["quorum", "on"]
"""Patroni's ``synchronous_mode``: any of the replicas, or named ones."""

TTL_S_MIN = 20
LOOP_WAIT_S_MIN = 1
RETRY_TIMEOUT_S_MIN = 3
PRIMARY_START_TIMEOUT_S_MIN = 0
"""Below these, Patroni raises the value by itself (patroni/config.py,
``_validate_and_adjust_timeouts``): what is asked would not be what is in force."""
SECONDS_MAX = 86_400
"""More than a day is a slip of the unit."""

MAXIMUM_LAG_ON_FAILOVER_BYTES = 1_048_576
SYNCHRONOUS_NODE_COUNT = 1
PRIMARY_START_TIMEOUT_S = 300
FAILSAFE_MODE = False
MAXIMUM_LAG_ON_SYNCNODE_BYTES = -1
MEMBER_SLOTS_TTL_S = 1800
"""Patroni's own defaults."""
USE_PG_REWIND = True
USE_SLOTS = True
"""Patroni's default is to rewind nothing, which its own examples change."""
SYNCHRONOUS_MODE_STRICT = True
"""Patroni's default is false, with which quorum holds only while there is a replica."""

ETCD_AUTH = False
"""etcd's own default: whoever reaches it may do everything."""
WITNESS = False
WITNESS_GATE = True
WITNESS_SITES_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Patroni's dynamic configuration (Patroni docs, dynamic configuration).

    Fields with a default have Patroni's own.
    """

    scope: str
    durability: SyncMode
    ttl_s: int
    """Lifetime of the leader key: what a failover waits for."""
    loop_wait_s: int
    """Between two looks of Patroni at its cluster."""
    retry_timeout_s: int
    """How long Patroni retries the DCS and PostgreSQL before it gives up the lead."""
    maximum_lag_on_failover_bytes: int = MAXIMUM_LAG_ON_FAILOVER_BYTES
    """A replica that is further behind may not be promoted (asynchronous replication only)."""
    synchronous_node_count: int = SYNCHRONOUS_NODE_COUNT
    """How many replicas must have a commit before it is acknowledged (``quorum`` only)."""
    primary_start_timeout_s: int = PRIMARY_START_TIMEOUT_S
    """How long a crashed primary may take to restart before Patroni fails over."""
    synchronous_mode: StandbyChoice = "quorum"
    """With durability quorum, which replicas a commit waits for. ``quorum``: any of them. ``on``:
    those that Patroni has named (as many as ``synchronous_node_count``), wherever they are; nobody
    else may then take over."""
    synchronous_mode_strict: bool = SYNCHRONOUS_MODE_STRICT
    """With durability quorum, what a primary does that no replica streams from: it acknowledges
    nothing. Else Patroni switches synchronous replication off until one is back."""
    failsafe_mode: bool = FAILSAFE_MODE
    """Without the DCS the primary goes on as long as every member answers it; else it steps down.
    """
    maximum_lag_on_syncnode_bytes: int = MAXIMUM_LAG_ON_SYNCNODE_BYTES
    """A synchronous standby further behind than this gives its place to another; not above 0:
    never."""
    use_pg_rewind: bool = USE_PG_REWIND
    """An old primary whose WAL has diverged is rewound; else it stays out until it is copied anew.
    """
    use_slots: bool = USE_SLOTS
    """A slot keeps the WAL that a replica lacks; else ``wal_keep_size`` alone does."""
    member_slots_ttl_s: int = MEMBER_SLOTS_TTL_S
    """How long the slot of a member that is gone keeps WAL; 0: it is dropped at once."""
    etcd_auth: bool = ETCD_AUTH
    """etcd has users: Patroni and everybody else log in with a name and a password (etcd docs,
    role-based access control)."""
    witness: bool = WITNESS
    """Beside every etcd stands a witness: together they replace a dead primary before its ttl
    (docs/operate/witness.md). No setting of Patroni's."""
    witness_gate: bool = WITNESS_GATE
    """With witnesses, a winner waits before its promotion until the old primary can acknowledge
    nothing more (Patroni's ``pre_promote``, docs/operate/witness-safety.md)."""
    postgresql: Mapping[str, str] = field(default_factory=dict)
    """Parameters of PostgreSQL (manual, 20) besides those that follow from the topology's size."""


def problems_of_settings(settings: ClusterSettings, *, node_count: int) -> Iterator[Problem]:
    """What is wrong with the settings of a cluster of ``node_count`` PostgreSQL members."""
    timing = [
        *_problem_of_seconds("ttl_s", settings.ttl_s, TTL_S_MIN),
        *_problem_of_seconds("loop_wait_s", settings.loop_wait_s, LOOP_WAIT_S_MIN),
        *_problem_of_seconds("retry_timeout_s", settings.retry_timeout_s, RETRY_TIMEOUT_S_MIN),
    ]
    yield from timing or _problems_of_timing(settings)
    yield from _problem_of_seconds(
        "primary_start_timeout_s", settings.primary_start_timeout_s, PRIMARY_START_TIMEOUT_S_MIN
    )
    yield from _problem_of_seconds("member_slots_ttl_s", settings.member_slots_ttl_s, 0)
    for key, found, minimum in (
        ("maximum_lag_on_failover_bytes", settings.maximum_lag_on_failover_bytes, 0),
        ("maximum_lag_on_syncnode_bytes", settings.maximum_lag_on_syncnode_bytes, -1),
        ("synchronous_node_count", settings.synchronous_node_count, 1),
    ):
        if found < minimum:
            words = f"expected a whole number from {minimum} on; found {found}"
            yield Problem(key=f"cluster.{key}", words=words)
    if settings.durability == "quorum":
        yield from _problems_of_quorum(settings, node_count)


def problems_of_witness(settings: ClusterSettings, *, sites: int) -> Iterator[Problem]:
    """What is wrong with witnesses in ``sites`` sites that have etcd."""
    if not settings.witness:
        return
    if sites < WITNESS_SITES_MIN:
        yield Problem(
            key="cluster.witness",
            words=f"witnesses need etcd in {WITNESS_SITES_MIN} sites or more, as a majority of the "
            f"sites must agree that a primary is dead; found {sites}",
        )
    if settings.witness_gate and settings.use_slots and settings.member_slots_ttl_s == 0:
        yield Problem(
            key="cluster.witness_gate",
            words="the gate waits until a replica streams from the winner, which has no slot for "
            "it before its promotion with member_slots_ttl_s = 0; expected another, or use_slots "
            "or witness_gate = false",
        )


def why_idle(settings: ClusterSettings) -> str | None:
    """Why witnesses do nothing with these settings; None: they act. What is acknowledged may be
    missing in a winner then, so they leave every primary alone (``not-strict``)."""
    if settings.durability != "quorum":
        return f"durability is {settings.durability}, not quorum"
    if settings.synchronous_mode != "quorum":
        return f"synchronous_mode is {settings.synchronous_mode}, not quorum"
    return None if settings.synchronous_mode_strict else "synchronous_mode is not strict"


def problems_of_idle_witness(settings: ClusterSettings) -> Iterator[Problem]:
    """Witnesses that were asked for, and would do nothing. Those of a topology may stay where a
    scenario or an option takes quorum from them."""
    if why_idle(settings) is not None:
        yield Problem(
            key="cluster.witness",
            words="witnesses act only in strict quorum mode; expected durability and "
            "synchronous_mode quorum and synchronous_mode_strict, or no witness",
        )


def _problem_of_seconds(key: str, found_s: int, minimum_s: int) -> Iterator[Problem]:
    if not minimum_s <= found_s <= SECONDS_MAX:
        yield Problem(
            key=f"cluster.{key}",
            words=f"expected {minimum_s} (Patroni's minimum) to {SECONDS_MAX} seconds; "
            f"found {found_s}",
        )


def _problems_of_timing(settings: ClusterSettings) -> Iterator[Problem]:
    """Patroni's rule: a primary must be able to give up before its key can expire."""
    needed_s = settings.loop_wait_s + 2 * settings.retry_timeout_s
    if needed_s <= settings.ttl_s:
        return
    remedies = [f"ttl_s = {needed_s}"]
    # The same order in which Patroni itself would adjust them.
    loop_wait_s = settings.ttl_s - 2 * settings.retry_timeout_s
    if loop_wait_s >= LOOP_WAIT_S_MIN:
        remedies.append(f"loop_wait_s = {loop_wait_s}")
    retry_timeout_s = (settings.ttl_s - settings.loop_wait_s) // 2
    if retry_timeout_s >= RETRY_TIMEOUT_S_MIN:
        remedies.append(f"retry_timeout_s = {retry_timeout_s}")
    yield Problem(
        key="cluster",
        words="expected loop_wait_s + 2 × retry_timeout_s to be at most ttl_s (Patroni); found "
        f"{settings.loop_wait_s} + 2 × {settings.retry_timeout_s} = {needed_s} > "
        f"{settings.ttl_s}; {' or '.join(remedies)} would do",
    )


def _problems_of_quorum(settings: ClusterSettings, node_count: int) -> Iterator[Problem]:
    if node_count < 2:
        yield Problem(
            key="cluster.durability",
            words="quorum needs at least 2 hosts with the role postgres, found "
            f"{node_count}: alone, a primary could never acknowledge a commit",
        )
    elif settings.synchronous_node_count >= node_count:
        yield Problem(
            key="cluster.synchronous_node_count",
            words=f"expected at most {node_count - 1} (the replicas of {node_count} hosts with "
            f"the role postgres); found {settings.synchronous_node_count}: no commit could ever "
            "be acknowledged",
        )
