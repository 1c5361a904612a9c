"""The etcd of a witness: questions over its JSON gateway, each with a deadline.

What may be done twice goes to the first member, and after a moment to the others as well: the first
answer wins, so that a dead or frozen member costs only that moment. What is better done once goes
to one member after the other. A member that failed lately is asked last (etcd manual, "gRPC
gateway").
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import httpcore

from replication.access.credentials import CredentialsError
from replication.access.tls import Tls
from replication.config.settings import Dcs
from replication.patroni.client import UNANSWERED
from replication.primary.etcd_gateway import UNAUTHENTICATED, EtcdRefused, Gateway

STAGGER_S = 0.05
"""After so long without an answer the other members are asked too: some ten round trips within a
country, and a small part of a witness's patience."""

ANSWER_DEADLINE_S = 0.5
"""For a question that is asked of all. As long as a view of the keys may be old (``decide``)."""

HURRIED_DEADLINE_S = 0.25
"""For a question that is asked of all while a primary is suspect: an etcd that elects drops what it
was asked before, so it is asked again often; ten round trips within a country."""

TURN_DEADLINE_S = 0.3
"""For one member of those that are asked one after the other."""

FAILED_LATELY_S = 5.0
SHOWN_CHARACTERS_MAX = 200

Json = Mapping[str, Any]
"""A message of etcd's gateway: numbers of 64 bits are texts, keys and values are base64."""


class EtcdUnanswered(Exception):
    """No member of etcd answered as it should; the text says what each did."""


def ssl_context_of(dcs: Dcs) -> ssl.SSLContext | None:
    """For an etcd that speaks https; reads the files now.

    Raises:
        ConfigError: one cannot be used.
    """
    uses_tls = any(endpoint.startswith("https:") for endpoint in dcs.endpoints)
    return (dcs.tls or Tls()).ssl_context() if uses_tls else None


class EtcdClient:
    """Asks the members of one etcd.

    Args:
        dcs: where it is, and who asks; its first endpoint should be that of the own site.
        clock: monotonic seconds.
    """

    def __init__(self, dcs: Dcs, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._dcs = dcs
        self._clock = clock
        context = ssl_context_of(dcs)
        self._members = {
            endpoint: _EtcdEndpoint(dcs, endpoint, context) for endpoint in dcs.endpoints
        }
        self._failed_s: dict[str, float] = {}

    async def ask_all(
        self,
        path: str,
        body: Json,
        *,
        stagger_s: float = STAGGER_S,
        deadline_s: float = ANSWER_DEADLINE_S,
    ) -> dict[str, Any]:
        """The first good answer; only for what may be done twice.

        Args:
            path: below ``/v3``, as ``/kv/range``.
            body: the request.
            stagger_s: how long the first member is asked alone; 0: all are asked at once.
            deadline_s: for an answer of any of them.

        Raises:
            EtcdUnanswered: none came within ``deadline_s``.
        """
        answers: dict[str, dict[str, Any]] = {}
        errors: dict[str, str] = {}
        first, *others = self._order()
        first_failed = anyio.Event()
        with anyio.move_on_after(deadline_s):
            async with anyio.create_task_group() as questions:

                async def ask(endpoint: str) -> None:
                    try:
                        answers[endpoint] = await self._ask(endpoint, path, body)
                        questions.cancel_scope.cancel()
                    except EtcdUnanswered as error:
                        errors[endpoint] = str(error)
                        first_failed.set()

                questions.start_soon(ask, first)
                with anyio.move_on_after(stagger_s):
                    await first_failed.wait()
                for endpoint in others:
                    questions.start_soon(ask, endpoint)
        for answer in answers.values():
            if first not in answers:
                self._failed_s[first] = self._clock()
            return answer
        for endpoint in self._members:
            self._failed_s.setdefault(endpoint, self._clock())
            errors.setdefault(endpoint, f"silent for {deadline_s:g} s")
        raise EtcdUnanswered("; ".join(f"{one}: {words}" for one, words in errors.items()))

    async def ask_in_turn(self, path: str, body: Json) -> tuple[dict[str, Any], bool]:
        """The answer of the first member that gives one, asked one after the other; and whether
        none before it was asked in vain, which may have done it without a word.

        Raises:
            EtcdUnanswered: none did. What was asked may have been done all the same.
        """
        errors: list[str] = []
        for endpoint in self._order():
            try:
                with anyio.fail_after(TURN_DEADLINE_S):
                    return await self._ask(endpoint, path, body), not errors
            except TimeoutError:
                self._failed_s[endpoint] = self._clock()
                errors.append(f"{endpoint}: silent for {TURN_DEADLINE_S:g} s")
            except EtcdUnanswered as error:
                errors.append(f"{endpoint}: {error}")
        raise EtcdUnanswered("; ".join(errors))

    async def aclose(self) -> None:
        """Close the connections."""
        for member in self._members.values():
            await member.aclose()

    def _order(self) -> list[str]:
        """As they are written, those that failed lately at the end."""
        now_s = self._clock()

        def failed_lately(endpoint: str) -> bool:
            return now_s - self._failed_s.get(endpoint, -FAILED_LATELY_S) < FAILED_LATELY_S

        return sorted(self._members, key=failed_lately)

    async def _ask(self, endpoint: str, path: str, body: Json) -> dict[str, Any]:
        try:
            answer = await self._members[endpoint].ask(path, body)
        except EtcdUnanswered:
            self._failed_s[endpoint] = self._clock()
            raise
        self._failed_s.pop(endpoint, None)
        return answer


class _EtcdEndpoint:
    """One member of etcd; its connections are kept."""

    def __init__(self, dcs: Dcs, endpoint: str, context: ssl.SSLContext | None) -> None:
        self._dcs = dcs
        self._base = endpoint.rstrip("/")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=None, keepalive_expiry=30.0
        )
        self._gateway = Gateway(self._pool, endpoint)
        self._token: str | None = None
        self._login: asyncio.Task[None] | None = None

    async def ask(self, path: str, body: Json) -> dict[str, Any]:
        """The answer; a token that is missing or has expired is asked for first."""
        try:
            if self._dcs.user is not None and self._token is None:
                await self._log_in(self._dcs.user)
            token = self._token
            status, answer = await self._post(path, body)
            if _wants_new_token(answer) and self._dcs.user is not None:
                if self._token == token:  # else another question has brought a new one
                    await self._log_in(self._dcs.user)
                status, answer = await self._post(path, body)
        except (*UNANSWERED, httpcore.TimeoutException, EtcdRefused, CredentialsError) as error:
            raise EtcdUnanswered(str(error) or type(error).__name__) from error
        if status != 200 or "error" in answer:
            words = str(answer.get("message") or answer.get("error") or "")
            raise EtcdUnanswered(f"answered with {status}: {words[:SHOWN_CHARACTERS_MAX]}")
        return answer

    async def _log_in(self, user: str) -> None:
        """Wait for a token. One that was asked for comes also when the question that wanted it has
        given up: etcd hashes passwords with bcrypt, which on a busy machine takes longer than the
        patience for an answer, and the next question needs the token all the same."""
        if self._login is None or self._login.done():
            self._login = asyncio.create_task(self._authenticate(user))
            self._login.add_done_callback(_take_note)
        await asyncio.shield(self._login)

    async def _authenticate(self, user: str) -> None:
        password = await anyio.to_thread.run_sync(self._dcs.resolve, abandon_on_cancel=True)
        self._token = await self._gateway.authenticate(user, password)

    async def _post(self, path: str, body: Json) -> tuple[int, dict[str, Any]]:
        headers: dict[bytes | str, bytes | str] = {}
        if self._token is not None:
            headers["Authorization"] = self._token
        response = await self._pool.request(
            "POST", f"{self._base}/v3{path}", headers=headers, content=json.dumps(body).encode()
        )
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        return response.status, answer if isinstance(answer, dict) else {"error": "not JSON"}

    async def aclose(self) -> None:
        if self._login is not None:
            self._login.cancel()
            await asyncio.wait([self._login])
        await self._pool.aclose()


def _take_note(login: asyncio.Task[None]) -> None:
    """A login that failed when nobody waited for it any more is no news: the next one is asked."""
    if not login.cancelled():
        login.exception()


def _wants_new_token(answer: Mapping[str, Any]) -> bool:
    """It has none, or an old one: with JWT every change of a user or a role makes it so (etcd's
    ``ErrGRPCAuthOldRevision``)."""
    words = str(answer.get("message") or answer.get("error") or "")
    return answer.get("code") == UNAUTHENTICATED or "revision of auth store is old" in words
