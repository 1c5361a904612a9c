"""The DCS as a second opinion: etcd says at once when the leader key changes.

Patroni's members are asked in a rhythm; this only says *when* to ask. It is never believed by
itself: the holder of the leader key may not have been promoted yet, and etcd may be on the wrong
side of a cut. Without it everything works, a little later.

It uses etcd's JSON gateway (``etcd_gateway``), because that needs only HTTP: an application gets no
gRPC, and no second package named ``etcd`` (docs/decisions/0007-second-opinion.md). A watch that
fails is logged once, and tried again after growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable

import anyio
import anyio.to_thread
import httpcore

from replication.access.credentials import CredentialsError
from replication.access.tls import Tls
from replication.config.settings import Dcs
from replication.observability.events import Complaints
from replication.primary.etcd_gateway import (
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    EtcdRefused,
    Gateway,
)

_log = logging.getLogger("replication.primary.leader_watch")

PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 30.0
"""Before a watch that ended is begun again: doubling, with jitter. An etcd that was restarted is
watched again within a second; one that refuses us is asked twice a minute."""

STEADY_S = 5.0
"""A watch that has lasted this long is a good one: the trouble is over, and the pauses start over.
One that is refused ends within a round trip."""

_ALIVE = (
    # A watch is silent for hours. A peer that lost its power must be noticed all the same.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

LeaderChanged = Callable[[str | None], None]
"""Called with the holder of the leader key, None when the key is gone."""


class LeaderWatch:
    """Follows the leader key in every member of etcd.

    Args:
        dcs: where it is, and who asks.
    """

    def __init__(self, dcs: Dcs) -> None:
        self._dcs = dcs
        uses_tls = any(endpoint.startswith("https:") for endpoint in dcs.endpoints)
        self._ssl_context = (dcs.tls or Tls()).ssl_context() if uses_tls else None
        self._complaints = Complaints(_log, over="is watched again")

    async def follow(self, changed: LeaderChanged) -> None:
        """Watch every member of etcd until cancelled; a change may be told once by each."""
        async with anyio.create_task_group() as watches:
            for endpoint in self._dcs.endpoints:
                watches.start_soon(self._watch, endpoint, changed)

    async def _watch(self, endpoint: str, changed: LeaderChanged) -> None:
        pause_s = PAUSE_S_MIN
        while True:
            steady = _Steady(lambda: self._complaints.over(endpoint))
            words = "etcd ended the watch"
            try:
                async with httpcore.AsyncConnectionPool(
                    ssl_context=self._ssl_context, socket_options=_ALIVE
                ) as pool:
                    await self._watch_once(Gateway(pool, endpoint), steady, changed)
            except EtcdRefused as refused:
                words = f"{refused}{self._remedy(refused)}"
            except CredentialsError as error:
                words = str(error)
            except (OSError, httpcore.NetworkError, httpcore.ProtocolError) as error:
                words = f"it cannot be watched: {str(error) or type(error).__name__}"
                words += " (look at tls of [dcs])" if _is_of_tls(error) else ""
            except httpcore.TimeoutException:
                words = "it takes no connection"
            finally:
                steady.end()
            if steady.is_reached:  # the end of a good watch is not logged, unless no other follows
                pause_s = PAUSE_S_MIN
            else:
                self._complaints.about(endpoint, words)
            await anyio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _watch_once(self, gateway: Gateway, steady: _Steady, changed: LeaderChanged) -> None:
        """With a token of its own: tokens expire (``--auth-token-ttl``, 5 minutes), watches do
        not."""
        token: str | None = None
        if self._dcs.user is not None:
            # The source may be a file on a network, and is read each time.
            password = await anyio.to_thread.run_sync(self._dcs.resolve, abandon_on_cancel=True)
            token = await gateway.authenticate(self._dcs.user, password)
        await gateway.watch(leader_key(self._dcs), token, created=steady.begin, changed=changed)

    def _remedy(self, refused: EtcdRefused) -> str:
        """What the reader of the log can do about it."""
        user = self._dcs.user
        if refused.status == 404:
            return (
                " (is it an address for clients of an etcd from 3.4 on, whose --enable-grpc-gateway"
                " is not off?)"
            )
        if refused.code == PERMISSION_DENIED and user is not None:
            key = leader_key(self._dcs)
            return f" (user {user} needs it: etcdctl role grant-permission ROLE read {key})"
        if refused.code not in (INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED):
            return ""
        if user is None:
            return (
                " (does it want authentication? Give user, and password_file or password_env, in"
                " [dcs])"
            )
        return f" (are user {user} of [dcs] and its password right?)"


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether one side refused the other's certificate, or does not speak TLS."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


class _Steady:
    """Whether a watch has lasted for ``STEADY_S``.

    Args:
        reached: called when it has.
    """

    def __init__(self, reached: Callable[[], None]) -> None:
        self.is_reached = False
        self._reached = reached
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The watch is there."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STEADY_S, self._reach)

    def end(self) -> None:
        """The watch has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _reach(self) -> None:
        self.is_reached = True
        self._reached()


def leader_key(dcs: Dcs) -> str:
    """``/service/<scope>/leader`` (Patroni manual, "DCS")."""
    return f"/{dcs.namespace.strip('/')}/{dcs.scope}/leader"
