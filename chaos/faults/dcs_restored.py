"""The whole of etcd is restored from a snapshot: it knows only what was true then.

The snapshot is the one that ``dcs-snapshot`` has left, or one that is taken now and waited with, so
that there are newer writes. Then every member is killed, its data replaced, and started as a new
cluster (etcd docs, disaster recovery). Patroni finds the keys of the past: the leader key of then,
whose lease counts its ttl anew, an older sync key, and revisions that are counted a second time. It
must neither follow a leader of the past nor lose the one it has.

A restored etcd counts its raft terms anew, too. A Patroni that has seen a later term takes such an
etcd for a stale one and refuses it for good ("Connected to Etcd node with term 2. Old known term
6", ``StaleEtcdNode`` in patroni/dcs/etcd3.py): it must be started anew, and that is how this heals.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from chaos.faults import dcs_snapshot
from chaos.faults.base import NO_PARAMS, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster import maintenance
from cluster.errors import ClusterError
from cluster.etcd import admin, member
from cluster.patroni import config as patroni
from cluster.substrates.base import DcsRestorable, DiskEditable, Haltable
from cluster.toml.reader import TomlTable

KEY = "dcs-restored"
AGE_S = 10.0
AGE_S_MAX = 600.0
START_TIMEOUT_S = 20.0
LOOK_SLACK_S = 3.0
POLL_S = 0.2
RESTORE = """
set -e
umask 077
rm -rf "$3"
"$1" snapshot restore "$2" --name "$4" --data-dir "$3" --initial-cluster "$5" \\
    --initial-cluster-token "$6" --initial-advertise-peer-urls "$7"
test -d "$3/member/snap"
"""
"""Replaces a member's data (etcd docs, disaster recovery, "restoring a cluster")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcsRestoredParams(FaultParams):
    """Which snapshot."""

    age_s: float | None = None
    """One that is taken now, so many seconds before the end of etcd; None: the one that
    ``dcs-snapshot`` has left, else one that is ``AGE_S`` old."""


def read(table: TomlTable) -> DcsRestoredParams:
    """``age_s``."""
    if not table.has("age_s"):
        return DcsRestoredParams()
    return DcsRestoredParams(age_s=table.number("age_s", minimum=0.0, maximum=AGE_S_MAX))


async def restore(stage: Stage, victim: Victim, params: DcsRestoredParams) -> str:
    """Kill, replace, start. Proof: etcd is healthy at an older revision than before."""
    cluster = stage.cluster
    if params.age_s is not None or not await _has_backup(stage):
        await dcs_snapshot.back_up(stage, victim, NO_PARAMS)
        await anyio.sleep(AGE_S if params.age_s is None else params.age_s)
    before = await _revision(stage)
    async with anyio.create_task_group() as ends:
        for host in cluster.dcs_hosts:
            ends.start_soon(stage.able(Haltable).halt_unit, host, member.UNIT)
    async with anyio.create_task_group() as edits:
        for host in cluster.dcs_hosts:
            edits.start_soon(_replace, stage, host)
    await _start(stage)
    after = await _revision(stage)
    if after >= before:
        raise ClusterError(
            f"etcd is at revision {after}, and was at {before} before it was restored: nothing had "
            "been written since the snapshot, or the snapshot is not in force"
        )
    return f"etcd restored from a snapshot: it was at revision {before}, and is at {after}"


async def _has_backup(stage: Stage) -> bool:
    """Every member has one."""
    for host in stage.cluster.dcs_hosts:
        argv = ("test", "-s", dcs_snapshot.snapshot_file(stage, host))
        try:
            await stage.able(DiskEditable).edit_disk(host, argv)
        except ClusterError:
            return False
    return True


async def start_all(stage: Stage, victim: Victim, params: DcsRestoredParams) -> str:
    """The past cannot be undone; members that a half-done restore left down are started, and each
    Patroni that refuses the restored etcd is started anew."""
    started = await _start(stage)
    words = [f"started etcd on {joined(started)}" if started else "etcd stays as restored"]
    cluster = stage.cluster
    refusing = await _refusing(stage)
    for node in refusing:
        await stage.able(Haltable).halt_unit(node, patroni.UNIT)
        await cluster.start_services(node, only="postgres")
    if refusing:
        words.append(f"Patroni on {joined(refusing)} refused it, and was started anew")
    return "; ".join(words)


async def _refusing(stage: Stage) -> list[str]:
    """The members whose Patroni runs and has not spoken to etcd in two of its loops from now on."""
    cluster = stage.cluster
    before = maintenance.looks_of(await cluster.members())
    runs = stage.able(Haltable).runs_unit
    left = [node for node in cluster.rest if runs(node, patroni.UNIT)]
    loops_s = 2 * cluster.substrate.topology.cluster.loop_wait_s
    with anyio.move_on_after(loops_s + LOOK_SLACK_S):
        while left:
            answers = await cluster.members()
            # One that retries may be too busy to answer; its first answer says nothing of a look.
            now = maintenance.looks_of(answers)
            seen = {n for n in left if n in now and now[n] != before.setdefault(n, now[n])}
            left = [node for node in left if node not in seen]
            await anyio.sleep(POLL_S)
    return left


async def _revision(stage: Stage) -> int:
    found = await admin.statuses(stage.cluster.etcd, stage.cluster.dcs_hosts)
    return max((one.revision for one in found), default=0)


async def _replace(stage: Stage, host: str) -> None:
    substrate = stage.cluster.substrate
    arguments = (
        stage.able(DcsRestorable).etcd_restore_tool(),
        dcs_snapshot.snapshot_file(stage, host),
        str(member.data_dir(substrate, host)),
        host,
        member.initial_cluster(substrate, member.members_with(substrate, host)),
        substrate.topology.cluster.scope,
        member.peer_url(substrate, host),
    )
    argv = ("sh", "-c", RESTORE, "sh", *arguments)
    await stage.able(DiskEditable).edit_disk(host, argv)


async def _start(stage: Stage) -> tuple[str, ...]:
    """Start what does not run, all at once: none is healthy before a majority is there."""
    cluster, runs = stage.cluster, stage.able(Haltable).runs_unit
    down = tuple(host for host in cluster.dcs_hosts if not runs(host, member.UNIT))
    for host in down:
        await cluster.start_services(host, only="etcd")
    await admin.wait_serves(cluster.etcd, down, timeout_s=START_TIMEOUT_S)
    return down


DCS_RESTORED = FaultKind(
    key=KEY,
    words=FaultWords(
        title="etcd restored",
        healed="etcd started",
        noun=lambda _: "the restore of etcd from a snapshot",
        clause=lambda _: "etcd was restored from a snapshot",
        broken=lambda _: "etcd was restored from a snapshot",
    ),
    params=DcsRestoredParams,
    read=read,
    takes=("dcs",),
    needs=(Haltable, DiskEditable, DcsRestorable),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=restore,
    undo=start_all,
    draw=lambda random: DcsRestoredParams(age_s=round(random.uniform(1.0, 15.0), 1)),
)
