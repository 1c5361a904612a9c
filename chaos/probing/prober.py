"""Asks the probes of a scenario, withdraws rights, and looks at rights, doors and trails.

It only gathers evidence (``access.jsonl``). A round asks every node everything; between the rounds,
while faults last and heal, probes go on being asked, those of a withdrawn right more often.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg

from chaos.errors import PreflightError
from chaos.evidence.access import (
    AccessFile,
    Moment,
    NodePrint,
    NodeTrail,
    ProbeAnswer,
    Withdrawn,
)
from chaos.load.admin import DBNAME, superuser_session
from chaos.probing.asking import TIMEOUT_S, ask
from chaos.probing.fingerprint import read_doors, read_rights
from chaos.probing.trail import MARK, problem_of_settings, read_entries, read_settings, read_values
from chaos.scenarios.access import AccessSpec, ProbeSpec, WithdrawalSpec
from cluster.raised import RaisedCluster
from replication import Credentials, StorageError
from replication.schema.own import make_role
from replication.wire import Session

APPLICATION = "bascule-probe"
MEANWHILE_S = 1.0
"""Between two times that a node is asked everything while faults last."""
WITHDRAWN_S = 0.2
"""The same for what was withdrawn: as finely as the time until it is refused is told."""
CATCH_UP_S = 5.0
"""For a replica to replay what the primary had written when a round began; one that streams needs
milliseconds. One that does not is asked as it is."""
CATCH_UP_POLL_S = 0.05
PRIMARY_TIMEOUT_S = 10.0
"""For a primary to say that it is one: on a busy machine it misses the deadline of one question."""
WITHDRAW_PATIENCE_S = 20.0
"""For a withdrawal to be acknowledged: a switchover takes seconds."""
LOOK_TIMEOUT_S = 10.0
"""For the fingerprint of a node, and for a look through its logs."""

_FLUSHED: LiteralString = "SELECT pg_current_wal_flush_lsn()::text"
_REPLAYED: LiteralString = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() < %s::pg_lsn"


class AccessProber:
    """Of one drill.

    Args:
        cluster: whose nodes are asked.
        access: what is asked; it has probes.
        out: takes the evidence.
        say: words for the display.
    """

    def __init__(
        self,
        cluster: RaisedCluster,
        access: AccessSpec,
        out: AccessFile,
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._access = access
        self._out = out
        self._say = say
        self._passwords = {role: secrets.token_urlsafe(18) for role in access.roles}
        self._asked = 0
        self._withdrawn: list[str] = []
        self._watching = anyio.CancelScope()

    async def prepare(self) -> None:
        """Run the setup, and give everybody who asks a password.

        Raises:
            PreflightError: there is no primary, a statement or a role is no good, or the logs
                would have no trail.
        """
        primary = await self._cluster.primary()
        if primary is None:
            raise PreflightError("there is no primary")
        async with self._superuser(primary) as session:
            for index, statement in enumerate(self._access.setup):
                await _run_setup(session, statement, f"setup[{index}]")
            for role in self._access.roles:
                await self._let_log_in(session, role)
        if self._access.trail:
            await self._require_trails()

    async def round(self, moment: Moment) -> None:
        """Ask every node every probe once, and take its fingerprint."""
        self._say(f"probes: every node is asked ({moment})")
        primary = await self._primary()
        target = None if primary is None else await self._flushed(primary)
        async with anyio.create_task_group() as nodes:
            for node in self._cluster.rest:
                nodes.start_soon(self._round_of, node, moment, target, node == primary)

    async def watch(self) -> None:
        """While the faults last: withdraw what is to be, and go on asking, until ``stop``."""
        begin_s = time.monotonic()
        with self._watching:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._withdraw_all, begin_s)
                for node in self._cluster.rest:
                    tasks.start_soon(self._ask_on, node)
                    tasks.start_soon(self._ask_withdrawn, node)

    def stop(self) -> None:
        """End ``watch``."""
        self._watching.cancel()

    async def read_trails(self) -> None:
        """Look through the logs of every node."""
        if not self._access.trail:
            return
        self._say("probes: the logs of every node are looked through")
        async with anyio.create_task_group() as nodes:
            for node in self._cluster.rest:
                nodes.start_soon(self._read_trail, node)

    def close(self) -> None:
        """All was asked that was to be asked."""
        self._out.close(time.monotonic())

    async def _primary(self) -> str | None:
        """Who leads, as soon as it says so; None where nobody does in time."""
        with anyio.move_on_after(PRIMARY_TIMEOUT_S):
            while (primary := await self._cluster.primary()) is None:
                await anyio.sleep(CATCH_UP_POLL_S)
            return primary
        return None

    @asynccontextmanager
    async def _superuser(self, node: str) -> AsyncIterator[Session]:
        """A session of the superuser; what goes wrong in it is a ``PreflightError``."""
        try:
            async with superuser_session(self._cluster, node, application=APPLICATION) as session:
                yield session
        except (psycopg.Error, StorageError, ExceptionGroup) as error:
            words = f"access could not be prepared on {node}: {_words(error)}"
            raise PreflightError(words) from error

    async def _let_log_in(self, session: Session, role: str) -> None:
        found = await session.fetch("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        if not found:
            words = f"a probe asks as {role}, and there is no such role: make it in setup"
            raise PreflightError(words)
        await make_role(session, role, self._passwords[role])

    async def _require_trails(self) -> None:
        for node in self._cluster.rest:
            async with self._superuser(node) as session:
                collector, destination, _ = await read_settings(session)
            problem = problem_of_settings(collector, destination)
            if problem is not None:
                words = f"the logs of {node} are no trail that can be read: {problem}"
                raise PreflightError(f"{words} in [postgresql], or leave trail out")

    async def _flushed(self, primary: str) -> str | None:
        """Where the primary's WAL ends; None: it did not say."""
        with anyio.move_on_after(LOOK_TIMEOUT_S):
            try:
                async with superuser_session(
                    self._cluster, primary, application=APPLICATION
                ) as session:
                    return str((await session.fetch(_FLUSHED))[0][0])
            except (psycopg.Error, StorageError, ExceptionGroup):
                return None
        return None

    async def _round_of(
        self, node: str, moment: Moment, target: str | None, is_primary: bool
    ) -> None:
        await self._fingerprint(node, moment, target, is_primary=is_primary)
        for probe in self._access.probes:
            if not await self._ask(node, probe, moment):
                return  # it hangs: each further question would take as long

    async def _fingerprint(
        self, node: str, moment: Moment, target: str | None, *, is_primary: bool
    ) -> None:
        found: NodePrint | None = None
        why = f"no answer within {LOOK_TIMEOUT_S:g} s"
        with anyio.move_on_after(LOOK_TIMEOUT_S):
            try:
                async with superuser_session(
                    self._cluster, node, application=APPLICATION
                ) as session:
                    found = NodePrint(
                        node=node,
                        moment=moment,
                        t_s=time.monotonic(),
                        is_primary=is_primary,
                        caught_up=await _catches_up(session, target),
                        rights=await read_rights(session),
                        doors=await read_doors(session),
                    )
            except (psycopg.Error, StorageError, ExceptionGroup) as error:
                why = _words(error)
        if found is None:
            found = NodePrint(node=node, moment=moment, t_s=time.monotonic(), error=why)
        self._out.fingerprint(found)

    async def _ask(self, node: str, probe: ProbeSpec, moment: Moment) -> bool:
        """Ask once; False: the node took all the time there was."""
        self._asked += 1
        id_ = f"{node}-{self._asked}"
        login = Credentials(
            user=probe.role,
            password=self._passwords[probe.role],
            dbname=DBNAME,
            application_name=APPLICATION,
        )
        asked = await ask(self._cluster, node, login, probe.sql, mark=f"{MARK} {id_}")
        self._out.answer(
            ProbeAnswer(
                id=id_,
                probe=probe.name,
                role=probe.role,
                node=node,
                moment=moment,
                begin_s=asked.begin_s,
                end_s=asked.end_s,
                outcome=asked.outcome,
                rows=asked.rows,
                digest=asked.digest,
                sqlstate=asked.sqlstate,
                words=asked.words,
                logged_in=asked.logged_in,
            )
        )
        return asked.end_s - asked.begin_s < TIMEOUT_S

    async def _ask_on(self, node: str) -> None:
        while True:
            for probe in self._access.probes:
                if probe.name not in self._withdrawn:
                    await self._ask(node, probe, "meanwhile")
            await anyio.sleep(MEANWHILE_S)

    async def _ask_withdrawn(self, node: str) -> None:
        while True:
            for name in tuple(self._withdrawn):
                await self._ask(node, self._access.probe(name), "meanwhile")
            await anyio.sleep(WITHDRAWN_S)

    async def _withdraw_all(self, begin_s: float) -> None:
        withdrawals = sorted(self._access.withdrawals, key=lambda one: one.at_s)
        for one in withdrawals:
            await anyio.sleep(max(0.0, begin_s + one.at_s - time.monotonic()))
            await self._withdraw(one)
        primary = await self._primary() if withdrawals else None
        if primary is not None:
            await self._fingerprint(primary, "withdrawn", None, is_primary=True)

    async def _try_to_withdraw(self, one: WithdrawalSpec) -> tuple[str | None, str | None]:
        """The primary that was asked, and why it did not acknowledge; None: it did."""
        primary = await self._primary()
        if primary is None:
            return None, "there is no primary"
        try:
            async with superuser_session(
                self._cluster, primary, application=APPLICATION
            ) as session:
                await session.fetch(one.sql)
        except (psycopg.Error, StorageError, ExceptionGroup) as failed:
            return primary, _words(failed)
        return primary, None

    async def _withdraw(self, one: WithdrawalSpec) -> None:
        """Until it is acknowledged: in the middle of a failover a steward tries again, too."""
        begin_s = time.monotonic()
        primary, error = await self._try_to_withdraw(one)
        while error is not None and time.monotonic() < begin_s + WITHDRAW_PATIENCE_S:
            await anyio.sleep(WITHDRAWN_S)
            primary, error = await self._try_to_withdraw(one)
        end_s = time.monotonic()
        self._withdrawn.append(one.probe)
        self._say(f"withdrawn: {one.probe}" if error is None else f"NOT withdrawn: {error}")
        self._out.withdrawal(
            Withdrawn(
                probe=one.probe,
                sql=one.sql,
                begin_s=begin_s,
                end_s=end_s,
                node=primary,
                error=error,
            )
        )

    async def _read_trail(self, node: str) -> None:
        found = NodeTrail(node=node, error=f"no answer within {LOOK_TIMEOUT_S:g} s")
        with anyio.move_on_after(LOOK_TIMEOUT_S):
            try:
                async with superuser_session(
                    self._cluster, node, application=APPLICATION
                ) as session:
                    *_, directory = await read_settings(session)
                    entries = await read_entries(session)
                    values = await read_values(session, self._access.sealed_values)
                    found = NodeTrail(
                        node=node, directory=directory, entries=entries, values=values
                    )
            except (psycopg.Error, StorageError, ExceptionGroup) as error:
                found = NodeTrail(node=node, error=_words(error))
        self._out.trail(found)


@asynccontextmanager
async def probing(
    cluster: RaisedCluster, access: AccessSpec, folder: Path, say: Callable[[str], None]
) -> AsyncIterator[AccessProber | None]:
    """A prober that writes into a run folder while the context is open; None: nothing is asked."""
    if not access.probes:
        yield None
        return
    with AccessFile(folder) as out:
        yield AccessProber(cluster, access, out, say)


async def _run_setup(session: Session, statement: str, place: str) -> None:
    try:
        # From the scenario, which whoever starts a drill is answerable for.
        await session.fetch(statement)
    except psycopg.Error as error:
        raise PreflightError(f"{place} failed: {_words(error)}; the statement: {statement}") from (
            error
        )


async def _catches_up(session: Session, target: str | None) -> bool:
    """Whether the node has replayed up to there in time; a primary has. None: nobody knows."""
    if target is None:
        return not session.in_recovery
    with anyio.move_on_after(CATCH_UP_S):
        while (await session.fetch(_REPLAYED, (target,)))[0][0]:
            await anyio.sleep(CATCH_UP_POLL_S)
        return True
    return False


def _words(error: Exception) -> str:
    causes: Sequence[BaseException] = (
        error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    )
    return "; ".join(" ".join(str(one).split()) for one in causes)
