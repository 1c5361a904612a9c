"""What an operator does to a raised cluster through Patroni's REST API, each step to its effect.

Every function returns once what was asked for can be seen, and raises ``PatroniError`` where it
cannot within its time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio

from cluster.errors import PatroniError
from cluster.patroni.rest import MemberAnswer, PatroniRest
from cluster.raised import POLL_S, RaisedCluster

RESTART_TIMEOUT_S = 60.0
"""Shutdown checkpoint and start take a second; Patroni itself waits without limit."""
CHANGE_TIMEOUT_S = 5.0
LOOKS = 2
"""Patroni reads the DCS, then puts in force what it has read: after the second look the first one
is in force (patroni/daemon.py, ``run_cycle``)."""
NUDGE_S = 0.3
LOOK_SLACK_S = 10.0
"""Beyond the ``loop_wait`` of each look: a member that starts PostgreSQL looks late."""


async def wait_for(
    condition: Callable[[], Awaitable[bool]],
    otherwise: str,
    *,
    timeout_s: float,
    poll_s: float = POLL_S / 2,
) -> None:
    """Wait until a condition holds.

    Args:
        condition: asked again and again.
        otherwise: what is missing while it does not hold.
        timeout_s: how long.
        poll_s: between two questions.

    Raises:
        PatroniError: it does not in time.
    """
    with anyio.move_on_after(timeout_s):
        while not await condition():
            await anyio.sleep(poll_s)
        return
    raise PatroniError(f"{otherwise} after {timeout_s:g} s")


def rest_of(cluster: RaisedCluster, node: str) -> PatroniRest:
    """The REST API of a member.

    Raises:
        PatroniError: there is no such member.
    """
    if node not in cluster.rest:
        raise PatroniError(f"PostgreSQL does not run on {node}", node=node)
    return cluster.rest[node]


async def restart(cluster: RaisedCluster, node: str) -> float:
    """Restart PostgreSQL of a member through its Patroni; how many seconds it took.

    Raises:
        PatroniError: it was refused or failed, or the member does not run a new postmaster.
    """
    rest = rest_of(cluster, node)
    before = await rest.member()
    began_s = time.monotonic()
    said = await rest.ask("POST", "/restart", {}, timeout_s=RESTART_TIMEOUT_S)
    if said is None or not said.is_done:
        words = "no answer" if said is None else said.words
        raise PatroniError(f"restart of {node} failed: {words}", node=node)
    old = None if before is None else before.postmaster_start_time

    async def is_new() -> bool:
        member = await rest.member()
        started = None if member is None else member.postmaster_start_time
        return started is not None and started != old

    await wait_for(is_new, f"{node} has no new postmaster", timeout_s=RESTART_TIMEOUT_S)
    return time.monotonic() - began_s


async def switch_over(cluster: RaisedCluster, *, timeout_s: float) -> tuple[str, str]:
    """Hand the lead to the member that Patroni prefers; the old primary and the new one.

    Raises:
        PatroniError: it was refused, or there is no new primary in time.
    """
    old = await wait_primary(cluster, timeout_s=timeout_s)
    await cluster.switchover(old, timeout_s=timeout_s)
    return old, await wait_primary(cluster, timeout_s=timeout_s, other_than=old)


async def wait_primary(cluster: RaisedCluster, *, timeout_s: float, other_than: str = "") -> str:
    """Wait for a primary that is not ``other_than``; its node.

    Raises:
        PatroniError: there is none in time.
    """
    found: str | None = None

    async def is_there() -> bool:
        nonlocal found
        found = await cluster.primary()
        return found not in (None, other_than)

    await wait_for(is_there, "there is no primary", timeout_s=timeout_s)
    assert found is not None
    return found


async def wait_whole(cluster: RaisedCluster, after: str, *, timeout_s: float) -> None:
    """Wait until the cluster is whole after a step of maintenance.

    Raises:
        PatroniError: it is not in time; says what it lacks.
    """
    missing = await cluster.wait_whole(timeout_s=timeout_s)
    if missing is not None:
        raise PatroniError(f"the cluster is not whole {timeout_s:g} s after {after}: {missing}")


async def settings(cluster: RaisedCluster) -> dict[str, Any]:
    """The dynamic configuration of the cluster that leads, from the first member that answers.

    Raises:
        PatroniError: nobody answers.
    """
    for node in cluster.leading.nodes:
        found = await cluster.rest[node].settings()
        if found is not None:
            return found
    raise PatroniError("no member answers GET /config")


def parameter(found: Mapping[str, Any], name: str) -> object:
    """A parameter of PostgreSQL in a dynamic configuration; None: it is not there."""
    return ((found.get("postgresql") or {}).get("parameters") or {}).get(name)


async def change(cluster: RaisedCluster, changes: dict[str, object]) -> tuple[str, ...]:
    """``PATCH /config``, and wait until every member that answers has it in force; who they are.

    A standby cluster has a configuration of its own, and an operator keeps the two alike: it is
    changed there as well.

    Args:
        cluster: whose configuration.
        changes: what is merged into it; None removes a key.

    Raises:
        PatroniError: nobody took it, with what Patroni said; or a member did not look in time.
    """
    both = (cluster.leading, *([cluster.following] if cluster.following else []))
    for one in both:
        await _change_of(cluster, one.nodes, changes)
    return await _wait_looked(cluster)


async def _change_of(
    cluster: RaisedCluster, nodes: Sequence[str], changes: dict[str, object]
) -> None:
    """Change the configuration that these members share, through the first that takes it."""
    refusals = []
    for node in nodes:
        said = await cluster.rest[node].ask("PATCH", "/config", changes, timeout_s=CHANGE_TIMEOUT_S)
        if said is not None and said.is_done:
            return
        refusals.append(f"{node}: {'no answer' if said is None else said.words}")
    raise PatroniError(f"the configuration was not changed: {'; '.join(refusals)}")


def with_parameter(name: str, value: object) -> dict[str, object]:
    """The change of one parameter of PostgreSQL, for ``change``."""
    return {"postgresql": {"parameters": {name: value}}}


async def _wait_looked(cluster: RaisedCluster) -> tuple[str, ...]:
    """Wait until every member that answers has read the DCS ``LOOKS`` times from now on.

    Each look changes what a member says of its last one: a time by a clock that may be wrong, so
    that only the change counts.
    """
    loop_wait_s = cluster.substrate.topology.cluster.loop_wait_s
    seen = looks_of(await cluster.members())
    answering = tuple(seen)
    for _ in range(LOOKS):

        async def have_looked(before: Mapping[str, int] = seen) -> bool:
            found = await cluster.members()
            late = [node for node in answering if not _has_looked(found[node], before[node])]
            for node in late:
                # Changed or not, it makes the member look at once (``cluster.boot``).
                await cluster.rest[node].patch_configuration({"loop_wait": loop_wait_s})
            return not late

        await wait_for(
            have_looked,
            "not every member has read its configuration",
            timeout_s=loop_wait_s + LOOK_SLACK_S,
            poll_s=NUDGE_S,
        )
        seen |= looks_of(await cluster.members())
    return answering


def looks_of(members: Mapping[str, MemberAnswer | None]) -> dict[str, int]:
    """What each member that answers says of its last look at the DCS."""
    return {node: one.dcs_last_seen for node, one in members.items() if one is not None}


def _has_looked(member: MemberAnswer | None, before: int) -> bool:
    """It has read the DCS since; one that answers no more is not waited for."""
    return member is None or member.dcs_last_seen != before


async def pending(cluster: RaisedCluster) -> tuple[str, ...]:
    """The members that need a restart, the replicas first."""
    members = await cluster.members()
    primary = await cluster.primary()
    found = [node for node, one in members.items() if one is not None and one.pending_restart]
    return tuple(sorted(found, key=lambda node: node == primary))


async def restart_pending(
    cluster: RaisedCluster, *, primary_first: bool, timeout_s: float
) -> tuple[str, ...]:
    """Restart every member that needs it, one after another, each once the cluster is whole again.

    Args:
        cluster: whose members.
        primary_first: of a parameter that goes down: a standby with less than its primary does not
            start (PostgreSQL manual, hot standby, administrator's overview).
        timeout_s: for the cluster to be whole before the next one; then it is the next one's turn
            all the same: what it lacks may be what the restarts repair.

    Returns:
        Who was restarted, in that order.
    """
    nodes = await pending(cluster)
    done = tuple(reversed(nodes)) if primary_first else nodes
    for number, node in enumerate(done):
        if number:
            await cluster.wait_whole(timeout_s=timeout_s)
        await restart(cluster, node)
    return done
