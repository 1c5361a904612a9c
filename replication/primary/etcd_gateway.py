"""etcd's JSON gateway: a token for a user, and a watch of one key.

(etcd manual, "gRPC gateway" and "Role-based access control".) A refusal by etcd is an
``EtcdRefused``, whether it says so by the status of the answer, by an error in the stream, or, as
it does for a watch, with 200 and a line that the watch was created and cancelled, after which the
stream stays open and silent.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import httpcore

from replication.access.credentials import Secret

CONNECT_DEADLINE_S = 2.0

ANSWER_DEADLINE_S = 5.0
"""For a token, and for the word that a watch was created. etcd hashes passwords with bcrypt, on
purpose slowly: some 0.1 s; a member that is cut off waits for its own leader."""

LINE_BYTES_MAX = 2**20
"""A line tells of one change of one key, whose value is a member's name."""

SHOWN_CHARACTERS_MAX = 200
_BODY_BYTES_MAX = 4096

INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED = 3, 7, 9, 16
"""gRPC's status codes, as far as they matter here. FAILED_PRECONDITION answers the question
for a token of an etcd without authentication; INVALID_ARGUMENT a wrong password, or no user."""

_CODES = {"InvalidArgument": 3, "PermissionDenied": 7, "Unauthenticated": 16}
_STATUS = re.compile(r"code = (\w+) desc = (.*)", re.DOTALL)
"""How gRPC for Go writes a status as text, in the reason of a cancelled watch."""


class EtcdRefused(Exception):
    """etcd, or what answers in its place, does not do what was asked.

    Args:
        words: what it said.
        status: of HTTP.
        code: of gRPC, where it is known.
    """

    def __init__(self, words: str, *, status: int = 200, code: int | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one line of a watch tells: that it was created, and each change of the key as its new
    value, None where it was deleted."""

    is_created: bool = False
    values: tuple[str | None, ...] = ()


class Gateway:
    """One member of etcd.

    Args:
        pool: its connections.
        endpoint: the address for clients.
    """

    def __init__(self, pool: httpcore.AsyncConnectionPool, endpoint: str) -> None:
        self._pool = pool
        self._base = endpoint.rstrip("/")

    async def authenticate(self, user: str, password: Secret) -> str | None:
        """A token for ``user``; None where etcd needs none.

        Raises:
            EtcdRefused: without the words of the answer: they might have the question in them.
            OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: it
                cannot be reached.
        """
        content = json.dumps({"name": user, "password": password.reveal()}).encode()
        with anyio.move_on_after(ANSWER_DEADLINE_S):
            async with self._post("/v3/auth/authenticate", content, None) as response:
                body = await _body(response)
            token = body.get("token")
            if response.status == 200 and isinstance(token, str) and token:
                return token
            code = body.get("code")
            if code == FAILED_PRECONDITION:
                return None
            raise EtcdRefused(
                f"the question for a token was answered with {response.status}",
                status=response.status,
                code=code if isinstance(code, int) else None,
            )
        raise EtcdRefused("the question for a token is not answered")

    async def watch(
        self,
        key: str,
        token: str | None,
        *,
        created: Callable[[], None],
        changed: Callable[[str | None], None],
    ) -> None:
        """Tell every change of ``key``, until etcd ends the watch.

        Args:
            created: called once the watch is there.
            changed: called with each new value; None: the key was deleted.

        Raises:
            EtcdRefused: there is no watch, or it was cancelled.
            OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: the
                connection cannot be made, or is lost.
        """
        content = json.dumps({"create_request": {"key": _encoded(key)}}).encode()
        with anyio.CancelScope(deadline=anyio.current_time() + ANSWER_DEADLINE_S) as patience:
            async with self._post("/v3/watch", content, token) as response:
                if response.status != 200:
                    raise _refusal(response.status, await _body(response))
                pending = b""
                async for chunk in response.aiter_stream():
                    *lines, pending = (pending + chunk).split(b"\n")
                    if len(pending) > LINE_BYTES_MAX:
                        raise EtcdRefused("its answer is no watch of etcd: a line does not end")
                    for line in lines:
                        told = read_line(line)
                        if told.is_created:
                            patience.deadline = math.inf  # from now on it may be silent for hours
                            created()
                        for value in told.values:
                            changed(value)
                read_line(pending)  # an error may come without a line break
        if patience.cancelled_caught:
            raise EtcdRefused("the question for a watch is not answered")

    def _post(self, path: str, content: bytes, token: str | None) -> Any:  # noqa: ANN401
        return self._pool.stream(
            "POST",
            f"{self._base}{path}",
            headers=None if token is None else {"Authorization": token},
            content=content,
            extensions={"timeout": {"connect": CONNECT_DEADLINE_S}},
        )


def read_line(line: bytes) -> Told:
    """What one line of a watch tells; nothing, if it is not JSON of etcd.

    Raises:
        EtcdRefused: that there is no watch (any more), and why.
    """
    try:
        said = json.loads(line)
    except ValueError:
        return Told()
    if not isinstance(said, dict):
        return Told()
    error, result = said.get("error"), said.get("result")
    if isinstance(error, dict):  # of a stream that had begun
        raise _refusal(200, error)
    if not isinstance(result, dict):
        return Told()
    if result.get("canceled"):
        raise _cancelled(result)
    events = result.get("events")
    values: list[str | None] = []
    for event in events if isinstance(events, list) else []:
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            values.append(_value(event))
    return Told(is_created=bool(result.get("created")), values=tuple(values))


def _cancelled(result: dict[str, Any]) -> EtcdRefused:
    reason = str(result.get("cancel_reason", ""))
    if not reason and "compact_revision" in result:
        reason = f"what is before revision {result['compact_revision']} was compacted"
    status = _STATUS.search(reason)
    words = _shown(reason if status is None else status[2])
    return EtcdRefused(
        f"the watch was cancelled: {words or 'no reason was given'}",
        code=None if status is None else _CODES.get(status[1]),
    )


def _refusal(status: int, body: dict[str, Any]) -> EtcdRefused:
    """``body`` is an error as the gateway writes it, one way in 3.4, another in a stream."""
    words = _shown(str(body.get("message") or body.get("error") or body.get("text") or ""))
    code = body.get("code", body.get("grpc_code"))
    return EtcdRefused(
        f"the question for a watch was answered with {status}{words and ': '}{words}",
        status=status,
        code=code if isinstance(code, int) else None,
    )


async def _body(response: httpcore.Response) -> dict[str, Any]:
    """The JSON object of an answer; anything else as its ``text``."""
    content = b""
    async for chunk in response.aiter_stream():
        content += chunk
        if len(content) > _BODY_BYTES_MAX:
            break
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"text": content.decode(errors="replace")}


def _shown(text: str) -> str:
    """On one line, cut to ``SHOWN_CHARACTERS_MAX``."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    shown = line[:SHOWN_CHARACTERS_MAX]
    return shown if len(line) <= SHOWN_CHARACTERS_MAX else f"{shown}…"


def _value(event: dict[str, Any]) -> str | None:
    """``type`` is absent for a PUT: it is the enumeration's zero."""
    kv = event["kv"]
    if event.get("type", "PUT") == "DELETE" or not isinstance(kv, dict):
        return None
    return base64.b64decode(str(kv.get("value", "")), validate=True).decode()


def _encoded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()
