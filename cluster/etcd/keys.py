"""What the DCS says: Patroni's keys in etcd, followed from the first revision on.

The only module that uses the etcd client (``etcd3aio``). It watches every member of etcd at once
and reports each change once, by its revision: the watch survives a lost member, even a lost site.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
from httpcore import AsyncNetworkBackend

from cluster.etcd.member import CLIENT_PORT, LOGIN_TIMEOUT_S, EtcdLogin
from cluster.patroni.config import NAMESPACE
from cluster.substrates.relay import relay

# gRPC reads these when it is first imported: we start processes from threads of our own, and no
# proxy leads to a loopback.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("no_grpc_proxy", "127.0.0.1")

# python-etcd, which Patroni needs, and the code that etcd3aio generated both claim the top-level
# name ``etcd``. Let the one package hold both (docs/decisions/0006-etcd-client.md).
import etcd

_SPEC = importlib.util.find_spec("etcd3aio")
assert _SPEC is not None
assert _SPEC.origin is not None
etcd.__path__.append(str(Path(_SPEC.origin).parent / "proto" / "etcd"))

from etcd3aio.client import Etcd3Client  # noqa: E402
from etcd3aio.errors import EtcdError  # noqa: E402
from etcd3aio.kv import prefix_range_end  # noqa: E402
from grpc.aio import AioRpcError  # noqa: E402

RECONNECT_S = 0.25
LEFT_OF_A_CALL = (
    "_consume_request_iterator",
    "asynchronous generator is already running",
)
"""What asyncio says of the sending half of a gRPC call that nobody awaits any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderKey:
    """The leader key changed: ``holder`` is a node, or None when the key is gone."""

    t_s: float
    holder: str | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncKey:
    """The sync key changed: who may be promoted in synchronous mode."""

    t_s: float
    leader: str | None
    members: tuple[str, ...]
    quorum: int
    revision: int


DcsChange = LeaderKey | SyncKey


def read_change(
    key: str, value: bytes | None, *, scope: str, t_s: float, revision: int
) -> DcsChange | None:
    """One change of a key as what it means; None for keys that do not matter here.

    Args:
        key: the whole key, ``/service/<scope>/...``.
        value: the new value, None when the key was deleted.
        scope: the cluster's name.
        t_s: when it was seen.
        revision: etcd's revision of the change.
    """
    match key.removeprefix(f"{NAMESPACE}{scope}/"):
        case "leader":
            holder = value.decode() if value else None
            return LeaderKey(t_s=t_s, holder=holder, revision=revision)
        case "sync":
            content = json.loads(value) if value else {}
            members = content.get("sync_standby") or ""
            return SyncKey(
                t_s=t_s,
                leader=content.get("leader"),
                members=tuple(name for name in members.split(",") if name),
                quorum=content.get("quorum") or 0,
                revision=revision,
            )
    return None


async def follow(
    console: AsyncNetworkBackend,
    hosts: Sequence[str],
    scope: str,
    report: Callable[[DcsChange], None],
    login: EtcdLogin | None = None,
) -> None:
    """Report every change of the leader and sync keys, from the first on, until cancelled.

    Args:
        console: reaches etcd's client port on each of ``hosts``.
        hosts: etcd's members.
        scope: the cluster's name.
        report: called once a change, in the order of the revisions as they are seen.
        login: who asks, where etcd has users.
    """

    def changed(key: str, value: bytes | None, revision: int) -> None:
        change = read_change(key, value, scope=scope, t_s=time.monotonic(), revision=revision)
        if change is not None:
            report(change)

    await follow_prefix(console, hosts, f"{NAMESPACE}{scope}/", changed, login)


async def follow_prefix(
    console: AsyncNetworkBackend,
    hosts: Sequence[str],
    prefix: str,
    changed: Callable[[str, bytes | None, int], None],
    login: EtcdLogin | None = None,
) -> None:
    """Report every change of the keys that begin with ``prefix``, from the first revision on, until
    cancelled.

    Args:
        console: reaches etcd's client port on each of ``hosts``.
        hosts: etcd's members.
        prefix: of the keys.
        changed: called once a change with key, value (None: deleted) and revision.
        login: who asks, where etcd has users: each watch logs in when it begins, and outlives its
            token.
    """
    # A watch that is cut logs its retries; here cuts are intended.
    logging.getLogger("etcd3aio").setLevel(logging.ERROR)
    asyncio_log = logging.getLogger("asyncio")
    if _is_news not in asyncio_log.filters:
        asyncio_log.addFilter(_is_news)
    # A cluster that was restored from a snapshot counts its revisions from there once more.
    seen: set[tuple[str, int, bytes | None]] = set()

    def once(key: str, value: bytes | None, revision: int) -> None:
        if (key, revision, value) in seen:
            return
        seen.add((key, revision, value))
        changed(key, value, revision)

    async with AsyncExitStack() as relays:
        ports = [
            await relays.enter_async_context(relay(console, host, CLIENT_PORT)) for host in hosts
        ]
        async with anyio.create_task_group() as watchers:
            for port in ports:
                watchers.start_soon(_watch, port, prefix, once, login)


def _is_news(record: logging.LogRecord) -> bool:
    """It is not what is left of a call whose etcd was killed.

    etcd3aio begins another call then, and does not cancel the old one's sending half: asyncio
    complains when that is collected.
    """
    words = record.getMessage()
    return not any(left in words for left in LEFT_OF_A_CALL)


async def _watch(
    port: int,
    prefix: str,
    once: Callable[[str, bytes | None, int], None],
    login: EtcdLogin | None,
) -> None:
    """One member's watch, begun anew whenever it ends."""
    revision = 1
    while True:
        try:
            async for key, value, revision in _changes(port, prefix, revision, login):  # noqa: B020
                once(key, value, revision)
        except (EtcdError, AioRpcError):
            pass
        await anyio.sleep(RECONNECT_S)


async def _changes(
    port: int, prefix: str, revision: int, login: EtcdLogin | None
) -> AsyncIterator[tuple[str, bytes | None, int]]:
    async with Etcd3Client([f"127.0.0.1:{port}"]) as client:
        assert client.watch is not None
        assert client.auth is not None
        if login is not None:
            said = await client.auth.authenticate(
                login.user, login.password, timeout=LOGIN_TIMEOUT_S
            )
            client.set_token(said.token)
        start = prefix.encode()
        responses = client.watch.watch(start, prefix_range_end(start), start_revision=revision)
        async for response in responses:
            if response.canceled and login is not None:
                raise EtcdError(f"etcd ended the watch: {response.cancel_reason}")
            for event in response.events:
                deleted = event.type == event.DELETE
                value = None if deleted else event.kv.value
                yield event.kv.key.decode(), value, event.kv.mod_revision
