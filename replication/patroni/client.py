"""Asks Patroni's REST API, and any other server that answers a GET: each question has a deadline.

Patroni answers from memory in a few milliseconds; only for ``GET /cluster`` it reads the DCS first,
and while that is lost it closes the connection without an answer.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
import httpcore

from replication.access.problems import without_user_info
from replication.patroni.answers import (
    Named,
    NoMembers,
    RestAnswer,
    read_answer,
    read_cluster,
    read_history,
)
from replication.patroni.members import Member

ASK_DEADLINE_S = 1.0
"""A member that has not answered by then counts as silent: generous on any link within a
country."""

QUESTION_DEADLINE_S = 3.0
"""For one answer to ``GET /cluster``, for which the DCS is read."""

UNANSWERED = (
    # UnicodeError: a name that Patroni announced may not be fit for a lookup.
    *(TimeoutError, OSError, UnicodeError),
    *(httpcore.NetworkError, httpcore.ProtocolError),
)
"""What ``Http.get`` raises: there was no answer in time, or it broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """Whatever a server answered to a GET."""

    status: int
    body: bytes


class Http:
    """GET with a deadline.

    Args:
        ssl_context: for https; httpcore's own authorities if None.
        network: how connections are made; None: as this machine makes them.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        # No connection is kept: questions are rare, and one kept to a host that lost its power
        # would cost the next question its whole deadline. And no limit, or ten silent members would
        # use up the connections, and the others would wait until they count as silent too.
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None,
            max_keepalive_connections=0,
            ssl_context=ssl_context,
            network_backend=network,
        )

    async def get(self, url: str, *, deadline_s: float) -> HttpAnswer:
        """The answer, whatever its status.

        Raises:
            UNANSWERED: there was none within ``deadline_s`` (``TimeoutError``), or it broke off.
        """
        with anyio.fail_after(deadline_s):
            response = await self._pool.request("GET", url)
        return HttpAnswer(status=response.status, body=response.content)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()


class RestClient:
    """Asks one member at a time. No question raises, or takes longer than its deadline.

    Args:
        deadline_s: for one answer of a member.
        ssl_context: for members whose ``rest_url`` is https; the system's authorities if None.
        network: how connections are made; None: as this machine makes them.
        clock: monotonic seconds, for ``RestAnswer.asked_s``.
    """

    def __init__(
        self,
        *,
        deadline_s: float = ASK_DEADLINE_S,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline_s = deadline_s
        self._clock = clock
        self.http = Http(ssl_context, network)
        """What the questions are asked with."""

    async def ask(self, member: Member) -> RestAnswer:
        """One ``GET /primary``."""
        asked_s = self._clock()
        try:
            answer = await self.http.get(f"{member.rest_url}/primary", deadline_s=self._deadline_s)
        except UNANSWERED:
            return RestAnswer(asked_s=asked_s, elapsed_s=self._clock() - asked_s)
        said = read_answer(answer.status, answer.body)
        return replace(said, asked_s=asked_s, elapsed_s=self._clock() - asked_s)

    async def history(self, member: Member) -> tuple[tuple[int, int], ...] | None:
        """``GET /history``: (timeline, the LSN in bytes at which it ended), oldest first.

        None when the member does not answer, or with something else: a line that is missing would
        be taken for a timeline that has not ended.
        """
        try:
            answer = await self.http.get(f"{member.rest_url}/history", deadline_s=self._deadline_s)
        except UNANSWERED:
            return None
        lines = read_history(answer.body)
        if lines is None:
            return None
        ends = tuple(line for line in lines if line is not None)
        return ends if len(ends) == len(lines) else None

    async def cluster(self, endpoint: str) -> tuple[Named | None, str]:
        """The members that ``endpoint`` names, None if it names none; in words what was said."""
        try:
            answer = await self.http.get(f"{endpoint}/cluster", deadline_s=QUESTION_DEADLINE_S)
        except TimeoutError:
            return None, f"was silent for {QUESTION_DEADLINE_S:g} s"
        except httpcore.ConnectError as error:
            return None, f"took no connection ({error})"
        except UNANSWERED as error:
            return None, f"broke off ({without_user_info(str(error)) or type(error).__name__})"
        if answer.status != 200:
            return None, f"answered with status {answer.status}"
        try:
            return read_cluster(answer.body), "answered"
        except NoMembers as error:
            return None, str(error)

    async def aclose(self) -> None:
        """Close what is open."""
        await self.http.aclose()
