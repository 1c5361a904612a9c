"""What an operator does with a cluster of etcd: who leads, members out and in, a snapshot.

Everything goes over the gRPC gateway of the members (etcd docs, gRPC gateway), so that no program
of etcd is needed for it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from cluster.errors import ClusterError
from cluster.etcd.member import EtcdRest

CHANGE_TIMEOUT_S = 60.0
"""For a change of the members, which etcd refuses at first where a connection is new: for 5 s, on a
busy machine longer."""
SNAPSHOT_TIMEOUT_S = 20.0
STATUS_TIMEOUT_S = 1.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What one member says of itself."""

    host: str
    leads: bool
    """It believes that it leads."""
    term: int
    """The raft term: of two that believe it, the one with the higher term is right."""
    revision: int
    """How many changes its data has seen."""


async def status(etcd: EtcdRest, host: str) -> Status | None:
    """What the member on ``host`` says of itself; None when it does not answer."""
    answer = await etcd.call(host, "/v3/maintenance/status", {}, timeout_s=STATUS_TIMEOUT_S)
    if answer is None:
        return None
    header = answer["header"]
    return Status(
        host=host,
        leads=answer.get("leader", "0") == header["member_id"],
        term=int(header.get("raft_term", 0)),
        revision=int(header.get("revision", 0)),
    )


async def statuses(etcd: EtcdRest, hosts: Sequence[str]) -> tuple[Status, ...]:
    """What the members say that answer, asked at once."""
    found: list[Status] = []

    async def ask(host: str) -> None:
        answer = await status(etcd, host)
        if answer is not None:
            found.append(answer)

    async with anyio.create_task_group() as questions:
        for host in hosts:
            questions.start_soon(ask, host)
    return tuple(found)


async def leader(etcd: EtcdRest, hosts: Sequence[str]) -> str | None:
    """The host whose member leads; None while nobody does."""
    leading = [one for one in await statuses(etcd, hosts) if one.leads]
    return max(leading, key=lambda one: one.term).host if leading else None


async def remove_member(etcd: EtcdRest, via: Sequence[str], host: str) -> bool:
    """Take the member of that name out of the cluster; whether it was one of it.

    Args:
        etcd: how to ask.
        via: the hosts whose members can be asked.
        host: whose member goes.

    Raises:
        ClusterError: it is still there after ``CHANGE_TIMEOUT_S``: there is no majority, say.
    """
    was_there = False
    with anyio.move_on_after(CHANGE_TIMEOUT_S):
        while True:
            listed = await _members(etcd, via)
            number = next((one["ID"] for one in listed if one.get("name") == host), None)
            if number is None:
                return was_there
            was_there = True
            await _ask(etcd, via, "remove", {"ID": number})
    raise ClusterError(f"etcd did not remove the member on {host}: asked {', '.join(via)}")


async def add_member(etcd: EtcdRest, via: Sequence[str], peer_url: str) -> None:
    """Let a member that has no data yet join the cluster, unless it is awaited already.

    etcd refuses this until the others have been connected to one another for 5 s (etcd docs,
    ``strict-reconfig-check``).

    Args:
        etcd: how to ask.
        via: the hosts whose members can be asked.
        peer_url: where the new one will be.

    Raises:
        ClusterError: it was not added after ``CHANGE_TIMEOUT_S``.
    """
    with anyio.move_on_after(CHANGE_TIMEOUT_S):
        while not any(peer_url in one["peerURLs"] for one in await _members(etcd, via)):
            await _ask(etcd, via, "add", {"peerURLs": [peer_url]})
            await anyio.sleep(POLL_S)
        return
    raise ClusterError(f"etcd did not add the member {peer_url}: asked {', '.join(via)}")


async def members_now(etcd: EtcdRest, via: Sequence[str]) -> tuple[str, ...]:
    """The hosts whose members belong to the cluster, by name; one that was added and has not been
    started yet has no name.

    Raises:
        ClusterError: nobody says so within ``CHANGE_TIMEOUT_S``.
    """
    with anyio.move_on_after(CHANGE_TIMEOUT_S):
        return tuple(str(one.get("name", "")) for one in await _members(etcd, via))
    raise ClusterError(f"etcd did not say who belongs to it: asked {', '.join(via)}")


async def _members(etcd: EtcdRest, via: Sequence[str]) -> list[dict[str, Any]]:
    """Who belongs to the cluster; waits until somebody says so."""
    while (answer := await _ask(etcd, via, "list", {})) is None:
        await anyio.sleep(POLL_S)
    members: list[dict[str, Any]] = answer["members"]
    return members


async def _ask(
    etcd: EtcdRest, via: Sequence[str], what: str, body: dict[str, object]
) -> dict[str, Any] | None:
    """The answer of the first member that gives a good one."""
    for host in via:
        answer = await etcd.call(host, f"/v3/cluster/member/{what}", body)
        if answer is not None:
            return answer
    return None


async def delete_keys(etcd: EtcdRest, via: Sequence[str], prefix: str) -> int:
    """Delete every key that begins with ``prefix``, once etcd has a majority; how many there were.

    Args:
        etcd: how to ask.
        via: the hosts whose members can be asked.
        prefix: with a last character that has a next one.

    Raises:
        ClusterError: nobody did it in ``CHANGE_TIMEOUT_S``.
    """
    return await _delete(etcd, via, prefix, {"range_end": _coded(_next_of(prefix))})


async def delete_key(etcd: EtcdRest, via: Sequence[str], key: str) -> bool:
    """Delete a key; whether it was there.

    Raises:
        ClusterError: nobody did it in ``CHANGE_TIMEOUT_S``.
    """
    return await _delete(etcd, via, key, {}) > 0


async def _delete(etcd: EtcdRest, via: Sequence[str], key: str, more: Mapping[str, object]) -> int:
    body: dict[str, object] = {"key": _coded(key), **more}
    with anyio.move_on_after(CHANGE_TIMEOUT_S):
        while True:
            for host in via:
                answer = await etcd.call(host, "/v3/kv/deleterange", body)
                if answer is not None:
                    return int(answer.get("deleted", 0))
            await anyio.sleep(POLL_S)
    raise ClusterError(f"etcd did not delete {key}: asked {', '.join(via)}")


def _next_of(prefix: str) -> str:
    """The first key after all that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def snapshot(etcd: EtcdRest, host: str) -> bytes:
    """A snapshot of the data of the member on ``host``, as ``etcdctl snapshot save`` writes it.

    Raises:
        ClusterError: it did not answer.
    """
    parts = await etcd.stream(host, "/v3/maintenance/snapshot", timeout_s=SNAPSHOT_TIMEOUT_S)
    if parts is None:
        raise ClusterError(f"etcd on {host} gave no snapshot", host=host)
    return b"".join(b64decode(part.get("blob", "")) for part in parts)


async def wait_serves(etcd: EtcdRest, hosts: Sequence[str], *, timeout_s: float) -> None:
    """Wait until the member on each of ``hosts`` is healthy.

    Raises:
        ClusterError: one is not in time.
    """
    for host in hosts:
        with anyio.move_on_after(timeout_s):
            while not await etcd.is_healthy(host):
                await anyio.sleep(POLL_S)
            continue
        raise ClusterError(f"etcd on {host} is not healthy after {timeout_s:g} s", host=host)
