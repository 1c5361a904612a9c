"""A backup of the cluster: a copy on another host, and from then on its WAL.

No fault: what an operator does. It lasts, since the WAL is archived until it is undone; what is
broken meanwhile by others is what a ``restore-test`` must get over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.programs import nothing_there
from chaos.faults.targets import Selector, Victim
from chaos.wording import joined
from cluster.substrates.base import DiskEditable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "backup"
TAKES: tuple[Selector, ...] = ("replica", "replicas", "host")
"""A backup on the primary's host is lost with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupParams(FaultParams):
    """What is taken."""

    incrementals: int = 0
    """How many incremental backups follow on the full one, each on the one before. PostgreSQL 17 or
    later, with ``summarize_wal`` on."""


def read(table: TomlTable) -> BackupParams:
    """``incrementals``."""
    return BackupParams(incrementals=table.integer("incrementals", 0, minimum=0))


async def back_up(stage: Stage, victim: Victim, params: BackupParams) -> str:
    """Archive the WAL, copy the primary. Proof: ``pg_verifybackup``."""
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    act: Callable[..., Awaitable[str]] = resolve_name("chaos.load.backups:back_up")
    return await act(stage.cluster, victim.name, params.incrementals)


async def end(stage: Stage, victim: Victim, params: BackupParams) -> str:
    """End the archive, and remove the backup."""
    act: Callable[..., Awaitable[str]] = resolve_name("chaos.load.backups:end_archive")
    return await act(stage.cluster, victim.name)


def impossible(params: BackupParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """The host needs PostgreSQL's programs and a disk."""
    return nothing_there(KEY, "postgres", topology, hosts)


BACKUP = FaultKind(
    key=KEY,
    words=FaultWords(
        title="backup",
        healed="backup removed",
        noun=lambda hosts: f"the backup on {joined(hosts)}",
        clause=lambda hosts: f"a backup on {joined(hosts)}",
        broken=lambda host: f"the WAL is archived on {host}",
    ),
    params=BackupParams,
    read=read,
    takes=TAKES,
    needs=(DiskEditable,),
    lasts=True,
    effect=lambda params: "none",
    strike=back_up,
    undo=end,
    draw=None,
    impossible=impossible,
)
