"""The tags of a member of Patroni, and who replicates from whom by them. Pure.

The words are Patroni's (documentation, YAML configuration, tags; patroni/tags.py of 4.1), and so
are the rules: who may lead, who is counted as a synchronous standby (patroni/postgresql/sync.py,
``_ReplicaList`` and ``current_state``), and whom a replica streams from (patroni/ha.py,
``_get_node_to_follow``). ``nostream`` is missing: a replica that does not stream lives on an
archive, which a topology has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Literal, get_args

from cluster.errors import Problem

FlagTag = Literal["nofailover", "nosync", "noloadbalance", "clonefrom", "reader"]
PriorityTag = Literal["failover_priority", "sync_priority"]

FLAG_TAGS: tuple[FlagTag, ...] = get_args(FlagTag)
PRIORITY_TAGS: tuple[PriorityTag, ...] = get_args(PriorityTag)

PRIORITY_MAX = 1000
"""Patroni has no limit; beyond this it is a slip."""

FLAG_OF: Mapping[PriorityTag, FlagTag] = {
    "failover_priority": "nofailover",
    "sync_priority": "nosync",
}
"""What 0 of a priority says as well: Patroni refuses both at once (patroni/validator.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The tags of one member; the empty value: none."""

    nofailover: bool = False
    """It never becomes the primary."""
    nosync: bool = False
    """No commit waits for it, unless nobody else streams from the primary: then Patroni's strict
    mode takes anybody (``synchronous_standby_names`` is ``*``). It has no vote then either."""
    noloadbalance: bool = False
    """Its ``GET /replica`` says no: load balancers send it no reads, nor does the storage layer."""
    clonefrom: bool = False
    """New members are copied from it rather than from the primary."""
    reader: bool = False
    """Not Patroni's, which only hands it on: large reads of the storage layer go there first."""
    failover_priority: int | None = None
    """Of two that have the same WAL, the higher one leads; 0: as ``nofailover``."""
    sync_priority: int | None = None
    """With ``synchronous_mode = "on"`` the highest ones are named; 0: as ``nosync``."""
    replicatefrom: str | None = None
    """The host that it streams from while that one is there; else, and from a primary anyway, the
    primary."""

    @property
    def may_lead(self) -> bool:
        """It may become the primary."""
        return not self.nofailover and self.failover_priority != 0

    @property
    def may_be_synchronous(self) -> bool:
        """A commit may wait for it, if it streams from the primary."""
        return not self.nosync and self.sync_priority != 0

    @property
    def given(self) -> dict[str, bool | int | str]:
        """Those that are set, by Patroni's names."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value not in (None, False)}


NO_TAGS = Tags()
TagsOf = Mapping[str, Tags]
"""By host; one that is missing has none."""
NOBODY: TagsOf = {}


def streams_from(tags: TagsOf, node: str, primary: str, reach: AbstractSet[str]) -> str:
    """Whom a replica streams from.

    A member that is out of reach for ``ttl`` is gone from the DCS; then the primary stands in.

    Args:
        tags: of every host.
        node: the replica.
        primary: who leads.
        reach: the nodes that the primary reaches.
    """
    upstream = tags.get(node, NO_TAGS).replicatefrom
    return upstream if upstream is not None and upstream in reach else primary


def streaming_from(tags: TagsOf, primary: str, reach: AbstractSet[str]) -> frozenset[str]:
    """The replicas in reach that stream from the primary itself."""
    replicas = reach - {primary}
    return frozenset(one for one in replicas if streams_from(tags, one, primary, reach) == primary)


def able_to_be_synchronous(tags: TagsOf, primary: str, reach: AbstractSet[str]) -> list[str]:
    """The replicas among whom the primary chooses those that a commit may wait for."""
    return [
        node
        for node in sorted(streaming_from(tags, primary, reach))
        if tags.get(node, NO_TAGS).may_be_synchronous
    ]


def synchronous(
    tags: TagsOf, primary: str, reach: AbstractSet[str], node_count: int
) -> frozenset[str]:
    """The replicas that a commit may wait for, which are the voters of an election.

    Those that may lead come first: one that may not is taken only where they are too few; which one
    of several is for Patroni to choose (``sync.py``, ``current_state``), here the first by name.

    Args:
        tags: of every host.
        primary: who leads.
        reach: the nodes that it reaches.
        node_count: ``synchronous_node_count``.
    """
    able = able_to_be_synchronous(tags, primary, reach)
    leading = [node for node in able if tags.get(node, NO_TAGS).may_lead]
    others = [node for node in able if node not in leading]
    return frozenset([*leading, *others[: max(0, node_count - len(leading))]])


def problems_of_tags(
    tags: TagsOf, nodes: AbstractSet[str], places: Mapping[str, str]
) -> Iterator[Problem]:
    """What is wrong with the tags of a topology.

    Args:
        tags: of the hosts that have some.
        nodes: the hosts with PostgreSQL.
        places: the key of every host in its file.
    """
    for host, own in tags.items():
        key = f"{places[host]}.tags"
        if host not in nodes:
            words = f"{host} has no PostgreSQL that could heed them; give it the role postgres"
            yield Problem(key=key, words=words)
        yield from _problems_of_values(own, key)
        upstream = own.replicatefrom
        if upstream == host or (upstream is not None and upstream not in nodes):
            others = ", ".join(sorted(nodes - {host})) or "there is none"
            words = f"expected another host with PostgreSQL ({others}); found {upstream}"
            yield Problem(key=f"{key}.replicatefrom", words=words)
    for circle in _circles(tags):
        words = f"{' from '.join((*circle, circle[0]))}: nobody in this circle has a source of WAL"
        yield Problem(key=f"{places[circle[0]]}.tags.replicatefrom", words=words)
    if nodes and not any(tags.get(node, NO_TAGS).may_lead for node in nodes):
        words = (
            "every PostgreSQL has nofailover: none could make the cluster, and nobody could lead"
        )
        yield Problem(key="site", words=words)


def _problems_of_values(own: Tags, key: str) -> Iterator[Problem]:
    for priority, flag in FLAG_OF.items():
        found = getattr(own, priority)
        if found is not None and not 0 <= found <= PRIORITY_MAX:
            words = f"expected a whole number from 0 to {PRIORITY_MAX}; found {found}"
            yield Problem(key=f"{key}.{priority}", words=words)
        if found is not None and getattr(own, flag):
            words = f"{flag} says the same as 0; Patroni refuses both at once: leave one out"
            yield Problem(key=f"{key}.{priority}", words=words)


def _circles(tags: TagsOf) -> Iterator[tuple[str, ...]]:
    """Hosts that would stream from one another in a circle, each circle once."""
    seen: set[str] = set()
    for host in tags:
        way: list[str] = []
        at: str | None = host
        while at is not None and at not in seen:
            seen.add(at)
            way.append(at)
            at = tags.get(at, NO_TAGS).replicatefrom
        if at in way and len(way) - way.index(at) > 1:
            yield tuple(way[way.index(at) :])
