"""Wakes Patroni's loops: a member whose watch of etcd hangs would look again only ``loop_wait``
later.

``PATCH /config`` wakes the loop of the member that answers it, changed or not
(``patroni/api.py``, ``do_PATCH_config``); taking away a setting that is not there changes nothing
(``patroni/utils.py``, ``patch_config``).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import anyio
import httpcore

from replication.access.credentials import CredentialsError
from replication.patroni.client import UNANSWERED
from replication.witness.config import RestLogin

Headers = dict[bytes | str, bytes | str]

NOTHING = b'{"bascule_witness": null}'
NUDGE_DEADLINE_S = 0.5
NUDGE_AFTER_S = 0.25
"""After the act: by then the members whose watch works have raced, and are not disturbed."""
NUDGE_AGAIN_AFTER_S = 1.0
"""For those that did not answer the first time."""


class Nudger:
    """Wakes members.

    Args:
        login: for Patroni's REST API, where it wants one.
        ssl_context: for addresses with https.
    """

    def __init__(self, login: RestLogin | None, ssl_context: ssl.SSLContext | None) -> None:
        self._login = login
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=0, ssl_context=ssl_context
        )

    async def wake(self, urls: Mapping[str, str]) -> dict[str, str]:
        """Wake the members at ``urls``; by name, what each answered in words.

        Args:
            urls: the addresses of their Patroni.
        """
        said: dict[str, str] = {}
        headers: Headers = {"Content-Type": "application/json"}
        if self._login is not None:
            try:
                headers["Authorization"] = await self._login.authorization()
            except CredentialsError as error:
                return dict.fromkeys(urls, str(error))

        async def one(name: str, url: str) -> None:
            said[name] = await self._patch(url, headers)

        async with anyio.create_task_group() as nudges:
            for name, url in urls.items():
                nudges.start_soon(one, name, url)
        return said

    async def _patch(self, url: str, headers: Headers) -> str:
        try:
            with anyio.fail_after(NUDGE_DEADLINE_S):
                answer = await self._pool.request(
                    "PATCH", f"{url}/config", headers=headers, content=NOTHING
                )
        except UNANSWERED:
            return "silent"
        return "woken" if answer.status == 200 else f"status {answer.status}"

    async def aclose(self) -> None:
        """Close what is open."""
        await self._pool.aclose()
