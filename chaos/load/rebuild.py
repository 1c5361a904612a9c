"""The loss of all data of a cluster, and its restore in place from a backup to a point in time.

**Lost** are the data folder of every PostgreSQL and of every etcd, all hosts at once and without
power. What stays is the backup, and the logs, which are outside of the data folders.

**Restored** is what an operator would restore, in this order. Nobody is let in before step 3 is
done: until then the server listens on the loopback of its host, on a port that no client knows.

1. the backup is verified and copied; PostgreSQL recovers it from the archive up to the transaction
   that wrote the entry which names the point (``recovery_target_xid``), and begins a new timeline;
2. rights that were withdrawn since the point are withdrawn again, and patients who were erased or
   objected are erased again: they came back with the data. Which, says what is kept elsewhere;
3. the server is stopped, and its data become the data folder of the member on that host;
4. etcd begins empty; Patroni starts on that host, and takes over the data that it finds (Patroni
   docs, "Convert a Standalone to a Patroni Cluster"), on one more timeline;
5. Patroni starts on the others, without data, and clones the primary.

The others must not start earlier: without data and with an empty etcd the first of them would make
a new, empty cluster. What is known goes into the run folder at each step
(``chaos/evidence/rebuilds.py``); the checker ``restored`` judges it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import LiteralString

import anyio
import psycopg
from psycopg import sql

from chaos.evidence.access import Withdrawn, read_access_evidence
from chaos.evidence.events import EVENTS, FaultStruck, read_events
from chaos.evidence.folder import read_run, read_run_json
from chaos.evidence.rebuilds import Rebuild, read_rebuilds, write_rebuild
from chaos.load.admin import superuser_session
from chaos.load.backups import (
    APPLICATION,
    FLUSHED,
    LABEL,
    RESTORED_UNIT,
    STOP_TIMEOUT_S,
    backed_up_hosts,
    backup_folder,
    bindir_of,
    edit,
    make_ready,
    primary_session,
    restored_server,
    restored_session,
    wait_archived,
)
from chaos.wording import counted, joined
from chaos.workloads.kind import WorkloadKind
from chaos.workloads.registry import WORKLOADS, kind_of
from cluster.errors import ClusterError
from cluster.etcd import admin, member
from cluster.maintenance import wait_for
from cluster.raised import RaisedCluster
from cluster.substrates.base import Killable
from replication import StorageError
from replication.wire import Session

ETCD_TIMEOUT_S = 60.0
LEAD_TIMEOUT_S = 120.0
"""Patroni takes a data folder over in two of its loops: 20 s with its default of 10 s."""
WITHDRAWN_SLACK_S = 1.0
"""A right that was withdrawn about when the entry was written is withdrawn again as well: once more
does no harm, once too little does."""

NAMED: LiteralString = """
SELECT id, xmin::text, extract(epoch FROM clock_timestamp() - written_at)::float8
FROM {} WHERE written_at <= clock_timestamp() - make_interval(secs => %s)
ORDER BY written_at DESC LIMIT 1
"""
"""The newest entry of at least that age."""
POINT_TIMEOUT_S = 60.0
"""For an entry that is younger than the backup: of 600,000 patients a copy takes a minute, and a
read of a cohort, which makes an entry, half of one."""
BACKUP = "backup"
"""The fault that takes one (``chaos/faults/backup.py``)."""
POLL_S = 0.5
ERASE = 'for one; do rm -rf "$one" && test ! -e "$one" || exit 1; done'
TAKE_OVER = """
set -e
test -f "$1/PG_VERSION"
test ! -e "$2"
mv "$1" "$2"
"""


async def lose_everything(cluster: RaisedCluster, evidence: Path | None, back_s: float) -> str:
    """Name the point in time, and destroy the cluster; in words. Proof: the folders are gone.

    Args:
        cluster: it has a backup.
        evidence: the run folder.
        back_s: how old the entry is that names the point.

    Raises:
        ClusterError: there is no backup, no run folder or no entry of that age: nothing was
            destroyed then.
    """
    if evidence is None:
        raise ClusterError("the point in time is written into a run folder, and there is none")
    hosts = backed_up_hosts(cluster)
    workload = kind_of(read_run_json(evidence).scenario.workload.options)
    async with primary_session(cluster) as session:
        found = await _name(session, workload, back_s, younger_than_s=_backed_up_s(evidence))
        [(lsn,)] = await session.fetch(FLUSHED)
        for host in hosts:
            await wait_archived(session, host, lsn)
        found = replace(found, bindir=await bindir_of(session))
        # That of the old primary may be what an operator no longer has: any other one first.
        host = min(hosts, key=lambda one: one == session.node)
    number = len(read_rebuilds(evidence, [])) + 1
    write_rebuild(evidence, number, replace(found, host=host))
    machine = cluster.substrate
    assert isinstance(machine, Killable)  # the fault needs it
    homes = _homes(cluster)
    async with anyio.create_task_group() as cuts:
        for one in homes:
            cuts.start_soon(machine.kill_host, one)
    write_rebuild(evidence, number, replace(found, host=host, dead_s=time.monotonic()))
    # New machines, and the backup: there is no other way to the disk of a host without power.
    async with anyio.create_task_group() as boots:
        for one in homes:
            boots.start_soon(machine.start_host, one)
    async with anyio.create_task_group() as edits:
        for one, folders in homes.items():
            edits.start_soon(edit, cluster, one, ERASE, *map(str, folders))
    return (
        f"every process of {joined(list(homes))} dead at once; their data folders are deleted, and "
        f"the backup on {host} is left, to be restored to the entry {found.entry}, which was "
        f"{found.age_s:.1f} s old"
    )


async def restore_everything(
    cluster: RaisedCluster, evidence: Path | None, *, withdraw_again: bool, erase_again: bool
) -> str:
    """Restore what was destroyed last, and start the cluster from it; in words.

    A restore that fails is a finding, not a drill that could not run: it is written down.

    Args:
        cluster: was destroyed; nothing of it runs.
        evidence: the run folder.
        withdraw_again: rights that were withdrawn since the point are withdrawn again.
        erase_again: what the load had erased since the point is erased again.
    """
    rebuilds = [] if evidence is None else read_rebuilds(evidence, [])
    if evidence is None or not rebuilds or rebuilds[-1].host is None:
        return "nothing was destroyed"
    number, found = len(rebuilds), rebuilds[-1]
    if found.primary_s is not None or found.error is not None:
        return "it was restored already"
    begin_s = time.monotonic()
    found = replace(found, begin_s=begin_s)
    again = DoneAgain(
        rights=withdrawn_since(evidence, found) if withdraw_again else (),
        erased_in=evidence if erase_again else None,
    )
    try:
        found = await _recover(cluster, found, again)
        write_rebuild(evidence, number, found)
        await _start(cluster, found)
        timeline = await _timeline(cluster, str(found.host))
        found = replace(found, primary_s=time.monotonic(), timeline=timeline)
    except (ClusterError, ExceptionGroup) as error:
        write_rebuild(evidence, number, replace(found, error=_words(error)))
        return f"the restore FAILED ({_words(error)})"
    write_rebuild(evidence, number, found)
    await _start_others(cluster, str(found.host))
    assert found.recovered_s is not None
    assert found.primary_s is not None
    done = counted(len(found.withdrawn_again), "withdrawal")
    if found.erased_again:
        done += f" and {counted(len(found.erased_again), 'erasure')}"
    return (
        f"the backup on {found.host} was recovered to {found.entry} after "
        f"{found.recovered_s - begin_s:.1f} s, {done} applied again, a primary on timeline "
        f"{found.timeline} after {found.primary_s - begin_s:.1f} s; the others clone it"
    )


def _backed_up_s(evidence: Path) -> float:
    """When the last backup was taken and verified: nobody can go back to a moment before that,
    since a copy that is taken meanwhile is consistent at its end only (manual, 26.3.3)."""
    strikes = [one for one in read_events(evidence / EVENTS, []) if isinstance(one, FaultStruck)]
    return max(
        (one.t_s + (one.took_s or 0.0) for one in strikes if one.fault == BACKUP), default=0.0
    )


async def _name(
    session: Session, workload: WorkloadKind, back_s: float, *, younger_than_s: float
) -> Rebuild:
    """The entry that names the point; it is waited for.

    Raises:
        ClusterError: there is none of that age in time, or the workload writes none.
    """
    if not workload.points:
        able = " or ".join(kind.key for kind in WORKLOADS.values() if kind.points)
        words = "the point in time of a restore is named by an entry of the load, and the workload"
        raise ClusterError(f"{words} {workload.key} writes none that could: use {able}")
    table = sql.Identifier(*workload.points.split("."))
    given_up_s = time.monotonic() + POINT_TIMEOUT_S
    while True:
        rows = []
        with suppress(psycopg.errors.UndefinedTable):
            rows = await session.fetch(sql.SQL(NAMED).format(table), (back_s,))
        for id_, xid, age_s in rows:
            now_s = time.monotonic()
            if now_s - float(age_s) > younger_than_s:
                return Rebuild(
                    entry=id_,
                    xid=xid,
                    age_s=float(age_s),
                    named_s=now_s,
                    named_timeline=session.timeline,
                )
        if time.monotonic() > given_up_s or not rows:
            raise ClusterError(
                f"the point in time of a restore is named by an entry in {workload.points}, and "
                f"there is none that is {back_s:g} s old and younger than the backup: let the load "
                "run for as long"
            )
        await anyio.sleep(POLL_S)


def _homes(cluster: RaisedCluster) -> dict[str, list[Path]]:
    """The data folders of the cluster, by host."""
    substrate = cluster.substrate
    homes: dict[str, list[Path]] = {}
    for host in cluster.rest:
        homes.setdefault(host, []).append(_data_folder(cluster, host))
    for host in cluster.dcs_hosts:
        homes.setdefault(host, []).append(member.data_dir(substrate, host))
    return homes


def _data_folder(cluster: RaisedCluster, host: str) -> Path:
    return cluster.substrate.data_folder(host) / "pgdata"


def withdrawn_since(evidence: Path, found: Rebuild) -> tuple[Withdrawn, ...]:
    """What was withdrawn after the point, in the order in which it was."""
    return tuple(
        one
        for one in read_access_evidence(evidence, []).withdrawn
        if one.is_acknowledged and one.end_s >= found.point_s - WITHDRAWN_SLACK_S
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneAgain:
    """What must be done again to the restored data, before anybody is let in."""

    rights: tuple[Withdrawn, ...]
    erased_in: Path | None
    """The run folder whose histories say what was erased; None: nothing is erased again."""


async def _recover(cluster: RaisedCluster, found: Rebuild, again: DoneAgain) -> Rebuild:
    """Steps 1 to 3.

    Raises:
        ClusterError: the backup is no good, its WAL has a gap, or a withdrawal failed.
    """
    host = str(found.host)
    folder = backup_folder(cluster, host)
    await make_ready(cluster, host, found.bindir)
    await cluster.substrate.start_unit(host, restored_server(folder, found.bindir, found.xid))
    try:
        async with restored_session(cluster, host) as session:
            [(label,)] = await session.fetch(LABEL)
            found = replace(found, recovered_s=time.monotonic(), backup_label=label)
            for one in again.rights:
                await _withdraw(session, one)
            if again.erased_in is not None:
                erased = await _erase_again(session, again.erased_in)
                found = replace(found, erased_again=erased)
    finally:
        with anyio.CancelScope(shield=True), suppress(ClusterError):
            stop = cluster.substrate.stop_unit
            await stop(host, RESTORED_UNIT, timeout_s=STOP_TIMEOUT_S)
    data = str(_data_folder(cluster, host))
    await edit(cluster, host, TAKE_OVER, str(folder / "restored"), data)
    return replace(found, withdrawn_again=tuple(one.probe for one in again.rights))


async def _withdraw(session: Session, one: Withdrawn) -> None:
    try:
        # From the scenario, which whoever starts a drill is answerable for.
        await session.fetch(one.sql)
    except (psycopg.Error, StorageError) as error:
        words = f"what was withdrawn could not be withdrawn again: {error}; {one.sql}"
        raise ClusterError(words) from error


async def _erase_again(session: Session, evidence: Path) -> tuple[str, ...]:
    """What the load had erased, by the histories of its processes, which are outside of the
    database, as a hospital's register of erasures must be. The ids of what was done again."""
    run = read_run(evidence, is_over=False)
    options = run.info.scenario.workload.options
    workload = kind_of(options)
    if not workload.erase_again:
        return ()
    act = resolve_name(workload.erase_again)
    operations = [one for history in run.histories for one in history.operations]
    try:
        return tuple(await act(session, options, operations))
    except (psycopg.Error, StorageError) as error:
        raise ClusterError(f"what was erased could not be erased again: {error}") from error


async def _start(cluster: RaisedCluster, found: Rebuild) -> None:
    """Step 4.

    Raises:
        ClusterError: etcd does not come up, or nobody becomes primary.
    """
    host = str(found.host)
    cluster.forget_etcd()
    for one in cluster.dcs_hosts:
        await cluster.start_services(one, only="etcd")
    await admin.wait_serves(cluster.etcd, cluster.dcs_hosts, timeout_s=ETCD_TIMEOUT_S)
    await cluster.start_services(host, only="postgres")

    async def leads() -> bool:
        return await cluster.primary() == host

    otherwise = f"the member on {host} does not lead with the restored data"
    await wait_for(leads, otherwise, timeout_s=LEAD_TIMEOUT_S)


async def _start_others(cluster: RaisedCluster, host: str) -> None:
    """Step 5."""
    async with anyio.create_task_group() as starts:
        for one in cluster.rest:
            if one != host:
                starts.start_soon(cluster.start_services, one, "postgres")


async def _timeline(cluster: RaisedCluster, host: str) -> int:
    try:
        async with superuser_session(cluster, host, application=APPLICATION) as session:
            return session.timeline
    except (psycopg.Error, StorageError) as error:
        raise ClusterError(f"{host} cannot be asked for its timeline: {error}") from error


def _words(error: Exception) -> str:
    causes: Sequence[BaseException] = (
        error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    )
    return "; ".join(" ".join(str(one).split()) for one in causes)
