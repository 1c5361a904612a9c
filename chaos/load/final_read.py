"""The final read: ``python -m chaos.load.final_read``, its config on stdin.

Reads what the workload left on **every** node, in one snapshot, into ``final-<node>.jsonl``. First
all of the primary; then each replica, once it has replayed the WAL up to where the primary was
*after* its own read: what is missing there is then missing, not late. A node that cannot be read,
or does not catch up before the deadline, gets one line that says so. Without a primary the replicas
are read as they are.

Exit 0: every node has its file. Exit 2: the config was invalid.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import anyio
import psycopg

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.evidence.final_reads import FinalReadFile
from chaos.load.entry import run_process
from chaos.scenarios.model import WorkloadSpec
from chaos.workloads.base import load_workload
from replication.access.credentials import Credentials
from replication.wire import Address, Session, connect
from replication.wire.wal import parse_lsn

READ_SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO", "default_transaction_read_only": "on"}
"""Two nodes render a row alike only under the same settings."""

RETRY_INTERVAL_S = 0.2
"""Between two attempts to connect to a node that is just coming back."""

POLL_INTERVAL_S = 0.05
"""Between two looks at a replica's replay position."""

# The end of the last record, not where the next one would begin: at a page boundary that is
# further on by the page's header, and an idle replica would never "reach" it.
_PRIMARY_LSN = "SELECT pg_current_wal_flush_lsn()::text"

_REPLICA_LSN = "SELECT pg_last_wal_replay_lsn()::text"

# A checkpoint record may be older than the timeline that the receiver follows, and only a role
# that may read statistics sees the receiver: the higher one is the better knowledge.
_REPLICA_TIMELINE = (
    "SELECT greatest((SELECT received_tli FROM pg_stat_wal_receiver),"
    " (SELECT timeline_id FROM pg_control_checkpoint()))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReadConfig:
    """What the drill sends as one line of JSON; ``password`` is in no repr.

    ``deadline_s`` is for everything together.
    """

    nodes: tuple[Address, ...]
    user: str
    password: str = field(repr=False)
    dbname: str
    out_dir: str
    deadline_s: float
    workload: WorkloadSpec = field(default_factory=WorkloadSpec)

    def to_line(self) -> str:
        """The line of JSON that the process reads."""
        return f"{json.dumps(encode(self))}\n"

    @classmethod
    def from_line(cls, text: str) -> Self:
        """The inverse of ``to_line``.

        Raises:
            ValueError: not JSON, or a key too many or too few.
        """
        try:
            return decode(cls, json.loads(text))
        except FormatError as error:
            raise ValueError(f"the final read's config is not as it should be: {error}") from error


class FinalReader:
    """Reads all nodes of one config."""

    def __init__(self, config: FinalReadConfig) -> None:
        self._config = config
        self._credentials = Credentials(
            user=config.user,
            password=config.password,
            dbname=config.dbname,
            application_name="bascule-final-read",
        )
        self._sessions: dict[str, Session] = {}
        self._errors: dict[str, str] = {}

    async def run(self) -> None:
        """Leave one file a node."""
        async with AsyncExitStack() as stack:
            await self._connect_all(stack)
            primary = max(
                (session for session in self._sessions.values() if not session.in_recovery),
                key=lambda session: session.timeline,
                default=None,
            )
            target_lsn: int | None = None
            if primary is not None:
                target_lsn = await self._read_primary(primary)
            async with anyio.create_task_group() as group:
                for session in self._sessions.values():
                    if session is not primary:
                        group.start_soon(self._read_other, session, target_lsn)
        for node, error in self._errors.items():
            with FinalReadFile(Path(self._config.out_dir), node) as out:
                out.fail(error)

    async def _connect_all(self, stack: AsyncExitStack) -> None:
        # A third of the time for those that do not answer leaves the rest for those that do.
        limit_s = self._config.deadline_s / 3

        async def try_connecting(address: Address) -> None:
            self._errors[address.node] = f"not reached within {limit_s:.1f} s"
            with anyio.move_on_after(limit_s):
                while address.node not in self._sessions:
                    try:
                        self._sessions[address.node] = await connect(
                            address, self._credentials, settings=READ_SETTINGS
                        )
                    except psycopg.Error as error:
                        self._errors[address.node] = _in_one_line(error)
                        await anyio.sleep(RETRY_INTERVAL_S)

        async with anyio.create_task_group() as group:
            for address in self._config.nodes:
                group.start_soon(try_connecting, address)
        for node, session in self._sessions.items():
            stack.push_async_callback(session.close)
            del self._errors[node]

    async def _read_primary(self, session: Session) -> int | None:
        """Where the primary's WAL ends after the read; None if it could not be read."""
        try:
            with anyio.fail_after(self._config.deadline_s / 3):
                await self._read(session)
                return parse_lsn((await session.fetch(_PRIMARY_LSN))[0][0])
        except (psycopg.Error, TimeoutError) as error:
            self._errors[session.node] = f"not read to its end: {_in_one_line(error)}"
            return None

    async def _read_other(self, session: Session, target_lsn: int | None) -> None:
        try:
            with anyio.fail_after(self._config.deadline_s / 3):
                if session.in_recovery and target_lsn is not None:
                    await wait_replayed(session, target_lsn)
                await self._read(session)
        except (psycopg.Error, TimeoutError) as error:
            what = "not caught up with the primary and read"
            self._errors[session.node] = f"{what} in time: {_in_one_line(error)}"

    async def _read(self, session: Session) -> None:
        if session.in_recovery:
            lsn = (await session.fetch(_REPLICA_LSN))[0][0]
            timeline = (await session.fetch(_REPLICA_TIMELINE))[0][0]
        else:
            lsn = (await session.fetch(_PRIMARY_LSN))[0][0]
            timeline = session.timeline
        with FinalReadFile(Path(self._config.out_dir), session.node) as out:
            out.begin(
                t_s=time.monotonic(),
                timeline=timeline,
                lsn=lsn,
                is_primary=not session.in_recovery,
            )
            query = load_workload(self._config.workload).final_read
            async for kind, id_, content in session.copy_rows(query):
                out.row(kind, id_, content)
            out.end()


async def wait_replayed(session: Session, target_lsn: int) -> None:
    """Wait until a replica has replayed up to ``target_lsn`` (bytes); no limit but the caller's."""
    while True:
        lsn = (await session.fetch(_REPLICA_LSN))[0][0]
        if lsn is not None and parse_lsn(lsn) >= target_lsn:
            return
        await anyio.sleep(POLL_INTERVAL_S)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or "the deadline passed"


def run_final_read(config: FinalReadConfig) -> None:
    """Read all nodes."""
    anyio.run(FinalReader(config).run)


if __name__ == "__main__":
    sys.exit(run_process(FinalReadConfig.from_line, run_final_read))
