"""Patroni's REST API (Patroni docs, REST API): what each member says of itself and of the cluster.

Every request has a deadline; a member that does not answer is ``None``, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import anyio
import httpcore
from httpcore import AsyncNetworkBackend
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import PatroniError
from cluster.patroni.config import REST_PORT

ANSWER_TIMEOUT_S = 1.0
"""A member that is well answers in milliseconds; Patroni itself allows 2 s to its peers."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Replication(_Answer):
    """A row of ``pg_stat_replication`` as ``GET /patroni`` shows it."""

    application_name: str
    state: str
    sync_state: str


class Xlog(_Answer):
    """WAL positions in bytes."""

    location: int | None = None
    received_location: int | None = None
    replayed_location: int | None = None
    paused: bool | None = None
    """The replay of a replica."""


class MemberAnswer(_Answer):
    """``GET /patroni``."""

    state: str
    role: str = ""
    timeline: int | None = None
    xlog: Xlog | None = None
    replication: tuple[Replication, ...] = ()
    replication_state: str | None = None
    sync_standby: bool = False
    quorum_standby: bool = False
    pending_restart: bool = False
    postmaster_start_time: str | None = None
    pause: bool = False
    """Maintenance mode, as this member has seen it."""
    dcs_last_seen: int = 0
    """When it last read the DCS, in whole seconds of wall time."""
    tags: Mapping[str, bool | int | str] = {}
    """Those that it has in force."""


class ClusterMember(_Answer):
    """A member as ``GET /cluster`` lists it."""

    name: str
    role: str
    state: str
    timeline: int | None = None
    lag: int | str | None = None


class ClusterAnswer(_Answer):
    """``GET /cluster``."""

    members: tuple[ClusterMember, ...]


class Configuration(_Answer):
    """``GET /config``: the dynamic configuration, what matters of it here."""

    ttl: int
    loop_wait: int
    retry_timeout: int
    synchronous_mode: bool | str = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a member said to a request that changes something."""

    status: int
    words: str

    @property
    def is_done(self) -> bool:
        """It was taken, or done."""
        return self.status in (200, 202)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A line of ``GET /history``: ``timeline`` ended at ``end_lsn`` (bytes)."""

    timeline: int
    end_lsn: int
    reason: str


_Model = TypeVar("_Model", bound=_Answer)


class PatroniRest:
    """The REST API of one member, reached over the substrate's console."""

    def __init__(self, node: str, console: AsyncNetworkBackend) -> None:
        self.node = node
        self._pool = httpcore.AsyncConnectionPool(network_backend=console, retries=0)

    async def member(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> MemberAnswer | None:
        """``GET /patroni``; None when there is no answer in time."""
        body = await self._get("/patroni", timeout_s)
        return None if body is None else self._parse(MemberAnswer, body)

    async def clock_s(self) -> float | None:
        """Its wall clock, in whole seconds since the epoch, as it dates its answers (RFC 9110,
        6.6.1); None when there is no answer in time."""
        answer = await self._request("GET", "/patroni", None, timeout_s=ANSWER_TIMEOUT_S)
        headers = {} if answer is None else {k.lower(): v for k, v in answer.headers}
        date = headers.get(b"date", b"").decode("ascii")
        return parsedate_to_datetime(date).timestamp() if date else None

    async def cluster(self) -> ClusterAnswer | None:
        """``GET /cluster``."""
        body = await self._get("/cluster")
        return None if body is None else self._parse(ClusterAnswer, body)

    async def configuration(self) -> Configuration | None:
        """``GET /config``."""
        body = await self._get("/config")
        return None if body is None else self._parse(Configuration, body)

    async def history(self) -> tuple[HistoryEntry, ...] | None:
        """``GET /history``: the timelines that have ended, oldest first."""
        body = await self._get("/history")
        if body is None:
            return None
        return tuple(
            HistoryEntry(timeline=line[0], end_lsn=line[1], reason=str(line[2]))
            for line in json.loads(body)
        )

    async def patch_configuration(self, changes: dict[str, object]) -> bool:
        """``PATCH /config``. It also has the member run its HA loop at once, even when nothing
        changes (patroni/api.py, ``do_PATCH_config``). True when it was taken."""
        answer = await self._request("PATCH", "/config", changes, timeout_s=ANSWER_TIMEOUT_S * 3)
        return answer is not None and answer.status == 200

    async def switchover(self, leader: str, candidate: str | None, *, timeout_s: float) -> str:
        """``POST /switchover``; returns what Patroni says once it is done.

        Raises:
            PatroniError: it was refused, or there was no answer in ``timeout_s``.
        """
        request: dict[str, object] = {"leader": leader}
        if candidate is not None:
            request["candidate"] = candidate
        answer = await self._request("POST", "/switchover", request, timeout_s=timeout_s)
        words = "no answer" if answer is None else answer.content.decode(errors="replace").strip()
        if answer is None or answer.status != 200:
            raise PatroniError(f"switchover from {leader} failed: {words}", node=self.node)
        return words

    async def ask(
        self, method: str, path: str, body: dict[str, object], *, timeout_s: float
    ) -> Said | None:
        """Ask for a change, as an operator does (Patroni docs, REST API); None: no answer in time.

        Args:
            method: of HTTP.
            path: ``/restart``, ``/reinitialize``, ``/failover``, ``/config``.
            body: goes as JSON.
            timeout_s: restarts and failovers answer once they are done.
        """
        answer = await self._request(method, path, body, timeout_s=timeout_s)
        if answer is None:
            return None
        words = answer.content.decode(errors="replace").strip()
        return Said(status=answer.status, words=words)

    async def settings(self) -> dict[str, Any] | None:
        """``GET /config``, all of it."""
        body = await self._get("/config")
        found = None if body is None else json.loads(body)
        return found if isinstance(found, dict) else None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _get(self, path: str, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes | None:
        answer = await self._request("GET", path, None, timeout_s=timeout_s)
        # 503 has a body too: a member that is up but not running PostgreSQL says so.
        return answer.content if answer is not None and answer.content[:1] in b"{[" else None

    async def _request(
        self, method: str, path: str, body: dict[str, object] | None, *, timeout_s: float
    ) -> httpcore.Response | None:
        content = None if body is None else json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        try:
            with anyio.fail_after(timeout_s):
                return await self._pool.request(
                    method,
                    f"http://{self.node}:{REST_PORT}{path}",
                    headers=headers,
                    content=content,
                )
        except (
            TimeoutError,
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
        ):
            return None

    def _parse(self, model: type[_Model], body: bytes) -> _Model:
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            words = f"{self.node} answered what no Patroni 4 says: {error}"
            raise PatroniError(words, node=self.node) from error
