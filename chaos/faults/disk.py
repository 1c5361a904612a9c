"""What the faults of a disk share: whom they strike, how they are undone, their words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from chaos.faults.base import FaultParams, FaultWords, Stage
from chaos.faults.targets import Victim
from chaos.wording import joined, plural, possessive
from cluster.substrates.base import DiskBreakable
from cluster.substrates.disk import DISK_AREAS, DiskArea, DiskFault, DiskFaultName
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology


async def break_disk(stage: Stage, victim: Victim, fault: DiskFault) -> str:
    """Break the disk of a host; the proof that it is broken, in words."""
    return await stage.able(DiskBreakable).break_disk(victim.name, fault)


def mending(name: DiskFaultName) -> Callable[[Stage, Victim, FaultParams], Awaitable[str]]:
    """The ``undo`` of a fault of the disk; a host without power finds it in order later."""

    async def mend(stage: Stage, victim: Victim, params: FaultParams) -> str:
        return await stage.able(DiskBreakable).mend_disk(victim.name, name)

    return mend


def read_area(table: TomlTable) -> DiskArea | None:
    """``where``."""
    return table.choice("where", DISK_AREAS) if table.has("where") else None


def has_no_postgres(params: FaultParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """Only hosts with PostgreSQL get a disk that can be broken."""
    without = [host for host in hosts if host not in topology.nodes]
    if not without:
        return None
    return (
        "only the disk of a host with PostgreSQL can be broken: in the topology "
        f"{topology.name} {without[0]} has none"
    )


def disks_of(hosts: Sequence[str]) -> str:
    """``db-paris' disk``, ``db-paris' and db-orsay's disks``."""
    return f"{joined([possessive(host) for host in hosts])} {plural('disk', hosts)}"


def disk_words(title: str, healed: str, *, noun: str, state: str) -> FaultWords:
    """The words of a fault of the disk.

    Args:
        title: in a chart.
        healed: in a chart.
        noun: before "of": ``the failure``.
        state: what the disk is or does, after its name: ``was full``.
    """

    def clause(hosts: Sequence[str]) -> str:
        several = state.replace("was ", "were ", 1) if len(hosts) > 1 else state
        return f"{disks_of(hosts)} {several}"

    return FaultWords(
        title=title,
        healed=healed,
        noun=lambda hosts: f"the {noun} of {disks_of(hosts)}",
        clause=clause,
    )
