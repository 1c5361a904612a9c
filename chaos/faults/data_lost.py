"""A cluster loses all its data at once: every PostgreSQL's, and etcd's. Healing restores a backup.

The one loss that no replica helps against: ransomware, a wrong command that reaches every site, a
controller that deletes what it should keep. What is left is a backup on one of the hosts
(``backup`` must have struck), and the point in time that the cluster is restored to: an entry of
the load that was ``back_s`` old when all was lost. What was acknowledged after it is given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from chaos.faults.base import FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import Victim
from cluster.substrates.base import DiskEditable, Haltable, Killable
from cluster.toml.reader import TomlTable
from cluster.topology.model import Topology

KEY = "data-lost"
BACK_S = 5.0
BACK_S_MAX = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLostParams(FaultParams):
    """To which point it is restored, and how."""

    back_s: float = BACK_S
    """How old the entry is that names the point, when all is lost."""
    withdraw_again: bool = True
    """Rights that were withdrawn since the point are withdrawn again before anybody is let in.
    False shows what happens where that is forgotten: the checker ``withdrawal`` must find it."""
    erase_again: bool = True
    """The same for what the load had erased for good, patients of the workload ``warehouse``:
    ``withdrawn-patient`` must find it."""


def read(table: TomlTable) -> DataLostParams:
    """``back_s``, ``withdraw_again`` and ``erase_again``."""
    return DataLostParams(
        back_s=table.number("back_s", minimum=0.0, maximum=BACK_S_MAX, default=BACK_S),
        withdraw_again=table.flag("withdraw_again", True),
        erase_again=table.flag("erase_again", True),
    )


async def lose(stage: Stage, victim: Victim, params: DataLostParams) -> str:
    """Cut the power of every host of the cluster, delete the data. Proof: the folders are gone."""
    # By its name, as a workload names its load: scenarios are read without a database's driver.
    act: Callable[..., Awaitable[str]] = resolve_name("chaos.load.rebuild:lose_everything")
    return await act(stage.cluster, stage.folder, params.back_s)


async def restore(stage: Stage, victim: Victim, params: DataLostParams) -> str:
    """Restore the backup to the point, and start the cluster from it."""
    act: Callable[..., Awaitable[str]] = resolve_name("chaos.load.rebuild:restore_everything")
    return await act(
        stage.cluster,
        stage.folder,
        withdraw_again=params.withdraw_again,
        erase_again=params.erase_again,
    )


def impossible(params: DataLostParams, topology: Topology, hosts: Sequence[str]) -> str | None:
    """The load must survive it; and witnesses are not started again."""
    clients = {host.name for host in topology.hosts_with("client")}
    both = sorted(
        host.name
        for role in ("postgres", "etcd")
        for host in topology.hosts_with(role)
        if host.name in clients
    )
    if both:
        return (
            f"{KEY} would end the load together with the cluster: in the topology {topology.name} "
            f"{', '.join(dict.fromkeys(both))} has the role client besides; give the client a host "
            "of its own"
        )
    if topology.cluster.witness:
        return f"{KEY} does not start witnesses again: use --no-witness, or witness = false"
    return None


DATA_LOST = FaultKind(
    key=KEY,
    words=FaultWords(
        title="all data lost",
        healed="backup restored",
        noun=lambda _: "the loss of all data",
        clause=lambda _: "all data were lost",
        broken=lambda _: "every data folder of the cluster is gone",
    ),
    params=DataLostParams,
    read=read,
    takes=("cluster",),
    needs=(Killable, DiskEditable, Haltable),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=lose,
    undo=restore,
    draw=None,
    impossible=impossible,
)
