"""A backup of etcd: a snapshot on the disk of every member, for a ``dcs-restored`` later.

No fault: what an operator does every night. What comes between it and the restore is what the
restore takes back.
"""

from __future__ import annotations

from base64 import b64encode

import anyio

from chaos.faults.base import (
    NO_PARAMS,
    Chances,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.targets import Victim
from cluster.errors import ClusterError
from cluster.etcd import admin, member
from cluster.substrates.base import DiskEditable

KEY = "dcs-snapshot"
SAVE = 'umask 077; base64 -d >"$1.new" && test -s "$1.new" && mv "$1.new" "$1"'


def snapshot_file(stage: Stage, host: str) -> str:
    """Where the backup is, beside the data of the member on ``host``."""
    return f"{member.data_dir(stage.cluster.substrate, host)}.snapshot"


async def back_up(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Take a snapshot from etcd's leader and put it on every host of etcd. Proof: the files."""
    cluster = stage.cluster
    leader = await cluster.dcs_leader()
    if leader is None:
        raise ClusterError("etcd has no leader: there is nothing to take a snapshot of")
    taken = await admin.snapshot(cluster.etcd, leader)
    text = b64encode(taken).decode()

    async def put(host: str) -> None:
        argv = ("sh", "-c", SAVE, "sh", snapshot_file(stage, host))
        await stage.able(DiskEditable).edit_disk(host, argv, stdin=text)

    async with anyio.create_task_group() as copies:
        for host in cluster.dcs_hosts:
            copies.start_soon(put, host)
    return f"a snapshot of {leader} is on {', '.join(cluster.dcs_hosts)}"


DCS_SNAPSHOT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="etcd backed up",
        healed="etcd backed up",
        noun=lambda _: "the backup of etcd",
        clause=lambda _: "a backup of etcd",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("dcs",),
    needs=(DiskEditable,),
    lasts=False,
    effect=lambda params: "none",
    strike=back_up,
    undo=nothing_to_undo,
    chances=Chances(weight=0.2),  # a backup alone breaks nothing
    draw=lambda random: NO_PARAMS,
)
