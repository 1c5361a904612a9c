"""Backups of a real cluster, and the test of a restore, on a host that is none of the primary's.

A backup is a full copy, and incremental ones on it where asked, verified, as ``bascule backup``
takes them; and, from then on, the WAL as it is written (``pg_receivewal``), on the disk of the
host. The test of a restore names an entry of the ledger,
restores copy and WAL up to the transaction that wrote it (PostgreSQL manual, 25.3.5 and
``recovery_target_xid``) beside the cluster, on a port of the host's loopback, reads what is there,
and removes it. The cluster goes on meanwhile and notices nothing.

What was found goes into the run folder (``chaos/evidence/restores.py``); the checker ``restore``
judges it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg

from chaos.evidence.final_reads import FinalReadFile
from chaos.evidence.restores import RestoreRecord, new_test, write_restore
from chaos.load.admin import superuser, superuser_session
from chaos.scenarios.model import WorkloadSpec
from chaos.wording import counted, joined
from chaos.workloads.base import load_workload
from cluster.errors import ClusterError
from cluster.patroni.config import POSTGRES_PORT
from cluster.raised import RaisedCluster
from cluster.substrates.base import DiskEditable, Haltable, Process
from cluster.substrates.relay import relay
from replication import StorageError
from replication.wire import Address, Session, connect

APPLICATION = "bascule-backup"
REPLICATOR = "replicator"
ARCHIVE_UNIT = "wal-archive"
RESTORED_UNIT = "restored"
RESTORED_PORT = 5433
"""On the host's loopback, beside its member of the cluster."""
STATUS_INTERVAL_S = 1
"""How often the archive tells the primary what it has; 10 s by default."""
SILENCE_MS = 5000
"""After so long without an answer the archive gives a primary up. Without it pg_receivewal goes on
sending its status to a host that lost its power, until the kernel gives up: a quarter of an hour
(tcp(7), tcp_retries2)."""
TIMEOUT_S = 60.0
"""For the archive to have what it needs, and for a restored server to accept connections: seconds
in a lab."""
POLL_S = 0.05
STOP_TIMEOUT_S = 10.0

BACK_UP = """
set -e
read -r PGPASSWORD
export PGPASSWORD
"$1" -m cluster.backups take "$2" "$3" "$4" "$5"
"""
"""A verified copy of the primary, as ``bascule backup take`` takes it."""
MAKE_READY = """
set -e
rm -rf "$2/restored"
"$1" -m cluster.backups restore "$2" "$3" "$2/restored"
"""
RESTORE_COMMAND = 'cp "{wal}/%f" "%p" || cp "{wal}/%f.partial" "%p"'
"""A segment that is not full yet ends in ``.partial`` (manual, pg_receivewal)."""

BINDIR: LiteralString = "SELECT setting FROM pg_config WHERE name = 'BINDIR'"
ARCHIVED: LiteralString = (
    "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND write_lsn >= %s::pg_lsn"
)
NEWEST_ENTRY: LiteralString = "SELECT id, xmin::text FROM bascule.ledger ORDER BY seq DESC LIMIT 1"
FLUSHED: LiteralString = "SELECT pg_current_wal_flush_lsn()::text"
LABEL: LiteralString = "SELECT pg_read_file('backup_label.old')"
"""What a restored server has kept of the backup that it came from (manual, 25.3.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEntry:
    """The entry that names the point in time, seen on the primary."""

    id: str
    xid: str
    timeline: int
    """Of the primary on which it was seen."""
    named_s: float
    archived_lsn: str = "0/0"
    """What an archive must have before it is restored: its commit, and what came later."""


async def back_up(cluster: RaisedCluster, host: str, incrementals: int = 0) -> str:
    """Begin to archive the WAL on ``host``, and take a full copy there; in words.

    Args:
        cluster: is copied.
        host: where.
        incrementals: how many incremental backups are taken after it, each on the one before.

    Raises:
        ClusterError: there is no primary, or it is on ``host``; the archive does not follow; the
            copy could not be taken, or is not what its manifest says.
    """
    folder = backup_folder(cluster, host)
    async with primary_session(cluster) as session:
        primary = session.node
        if primary == host:
            raise ClusterError(
                f"{host} is the primary: a backup belongs on another host", node=host
            )
        bindir = await bindir_of(session)
        await edit(cluster, host, "mkdir -p -m 700 " + '"$1"', str(folder / "wal"))
        await cluster.substrate.start_unit(host, _archive(cluster, host, bindir))
        begin_s = time.monotonic()
        await wait_archived(session, host, "0/0")
        archive_s = time.monotonic() - begin_s
        where = f"host={cluster.substrate.address(primary)} port={POSTGRES_PORT} user={REPLICATOR}"
        words = (cluster.substrate.python, str(folder), bindir, where)
        secret = f"{cluster.credentials.replication}\n"
        for kind in ("never", *["always"] * incrementals):
            await edit(cluster, host, BACK_UP, *words, kind, stdin=secret)
    took_s = time.monotonic() - begin_s - archive_s
    more = f" and {counted(incrementals, 'incremental one')} on it" if incrementals else ""
    return f"a copy of {primary}{more}, verified, taken in {took_s:.1f} s; its WAL is archived"


async def end_archive(cluster: RaisedCluster, host: str) -> str:
    """End the archive on ``host`` and remove the backup; in words."""
    try:
        await cluster.substrate.stop_unit(host, ARCHIVE_UNIT, timeout_s=STOP_TIMEOUT_S)
        words = "the archive was ended, and the backup removed"
    except ClusterError:  # it had struck only half, or ended with its host
        words = "no WAL was archived any more; what was there of a backup is removed"
    await edit(cluster, host, 'rm -rf "$1"', str(backup_folder(cluster, host)))
    return words


async def restore_all(cluster: RaisedCluster, evidence: Path | None, later_s: float) -> str:
    """Restore every backup up to the newest entry of the ledger, one after another; in words.

    Args:
        cluster: goes on.
        evidence: the run folder; None: nothing is written down.
        later_s: how long entries go on after the one that was named, before the restore begins.

    Raises:
        ClusterError: there is no backup, the load writes no ledger, an archive lacks what was
            asked for, or a server that was restored did not come up.
    """
    hosts = backed_up_hosts(cluster)
    async with primary_session(cluster) as session:
        entry = await _name_entry(session)
        await anyio.sleep(later_s)
        [(lsn,)] = await session.fetch(FLUSHED)
        entry = replace(entry, archived_lsn=lsn)
        test = None if evidence is None else new_test(evidence)
        # Not at once: what one restore takes is to be measured, not what several take together.
        said = [await _restore_on(cluster, host, session, entry, test) for host in hosts]
    return f"restored to the entry {entry.id}: {joined(said)}"


async def _restore_on(
    cluster: RaisedCluster,
    host: str,
    primary: Session,
    entry: NamedEntry,
    test: Path | None,
) -> str:
    """Restore the backup on ``host``; in words. A restore that fails is what a test is for: it is
    written down as well, and the others go on.

    Raises:
        ClusterError: it fails, and there is no folder in which that could be written down.
    """
    begin_s = time.monotonic()
    found = RestoreRecord(
        host=host,
        entry=entry.id,
        xid=entry.xid,
        named_s=entry.named_s,
        named_timeline=entry.timeline,
        begin_s=begin_s,
    )
    try:
        await wait_archived(primary, host, entry.archived_lsn)
        found = replace(found, begin_s=time.monotonic())
        found = await _restore_aside(cluster, found, await bindir_of(primary), test)
    except ClusterError as error:
        if test is None:
            raise
        write_restore(test, replace(found, error=str(error)))
        return f"on {host} it FAILED ({error})"
    assert found.usable_s is not None  # it came up
    return f"on {host} usable after {found.usable_s - found.begin_s:.1f} s"


async def _restore_aside(
    cluster: RaisedCluster, found: RestoreRecord, bindir: str, test: Path | None
) -> RestoreRecord:
    """Restore the backup, and read it; the record, whole."""
    host = found.host
    folder = backup_folder(cluster, host)
    await make_ready(cluster, host, bindir)
    await cluster.substrate.start_unit(host, restored_server(folder, bindir, found.xid))
    try:
        async with restored_session(cluster, host) as session:
            usable_s = time.monotonic()
            [(label,)] = await session.fetch(LABEL)
            found = replace(found, usable_s=usable_s, timeline=session.timeline, backup_label=label)
            if test is not None:
                await _write_down(session, found, test)
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ClusterError):  # it may have ended by itself: its exit is on record
                stop = cluster.substrate.stop_unit
                await stop(host, RESTORED_UNIT, timeout_s=STOP_TIMEOUT_S)
            await edit(cluster, host, 'rm -rf "$1"', str(folder / "restored"))
    return found


def backed_up_hosts(cluster: RaisedCluster) -> tuple[str, ...]:
    """The hosts on which a backup is and the WAL is archived, in the order of the topology.

    Raises:
        ClusterError: there is none.
    """
    substrate = cluster.substrate
    assert isinstance(substrate, Haltable)  # the faults need it
    hosts = tuple(host for host in cluster.rest if substrate.runs_unit(host, ARCHIVE_UNIT))
    if not hosts:
        raise ClusterError("there is no backup that could be restored: let backup strike first")
    return hosts


async def make_ready(cluster: RaisedCluster, host: str, bindir: str) -> None:
    """Make ``restored`` in the backup's folder of the newest backup and all that it stands on.

    Raises:
        ClusterError: there is none, or one is not what its manifest says.
    """
    python, folder = cluster.substrate.python, str(backup_folder(cluster, host))
    await edit(cluster, host, MAKE_READY, python, folder, bindir)


def backup_folder(cluster: RaisedCluster, host: str) -> Path:
    return cluster.substrate.data_folder(host) / "backup"


def _application(host: str) -> str:
    return f"bascule-archive-{host}"


def _archive(cluster: RaisedCluster, host: str, bindir: str) -> Process:
    """Follows whoever is the primary: a server says whether it is one when it greets (PostgreSQL
    14, ``in_hot_standby``), so that no statement is needed that replication does not have."""
    substrate = cluster.substrate
    hosts = ",".join(substrate.address(node) for node in cluster.rest)
    target = (
        f"host={hosts} port={POSTGRES_PORT} user={REPLICATOR} target_session_attrs=primary "
        f"connect_timeout=3 tcp_user_timeout={SILENCE_MS} keepalives_idle=2 keepalives_interval=1 "
        f"application_name={_application(host)}"
    )
    return Process(
        name=ARCHIVE_UNIT,
        argv=(
            f"{bindir}/pg_receivewal",
            f"--directory={backup_folder(cluster, host) / 'wal'}",
            f"--dbname={target}",
            f"--status-interval={STATUS_INTERVAL_S}",
            "--no-password",
        ),
        secrets={"PGPASSWORD": cluster.credentials.replication},
    )


def restored_server(folder: Path, bindir: str, xid: str) -> Process:
    """A server of its own. While it recovers nobody is let in: settings that must not be smaller
    than the primary's then do not matter (manual, 26.4.3)."""
    data = folder / "restored"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(RESTORED_PORT),
        "unix_socket_directories": str(data),
        "hba_file": str(data / "pg_hba.conf"),
        "ident_file": str(data / "pg_ident.conf"),
        "hot_standby": "off",
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "restore_command": RESTORE_COMMAND.format(wal=folder / "wal"),
        "recovery_target_xid": xid,
        "recovery_target_inclusive": "on",
        "recovery_target_action": "promote",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Process(name=RESTORED_UNIT, argv=(f"{bindir}/postgres", "-D", str(data), *options))


@asynccontextmanager
async def primary_session(cluster: RaisedCluster) -> AsyncIterator[Session]:
    """A session of the superuser to the primary.

    Raises:
        ClusterError: there is none, or what is asked of it failed.
    """
    primary = await cluster.primary()
    if primary is None:
        raise ClusterError("there is no primary, of which a backup could be taken")
    try:
        async with superuser_session(cluster, primary, application=APPLICATION) as session:
            yield session
    except (psycopg.Error, StorageError) as error:
        raise ClusterError(f"{primary}: {error}", node=primary) from error


@asynccontextmanager
async def restored_session(cluster: RaisedCluster, host: str) -> AsyncIterator[Session]:
    """A session to the server that was restored, as soon as it lets somebody in.

    Raises:
        ClusterError: it does not in time; its log says why.
    """
    admin = superuser(cluster, application=APPLICATION)
    said: Exception | None = None
    async with relay(cluster.substrate.console, host, RESTORED_PORT) as port:
        address = Address(node=host, host="127.0.0.1", port=port)
        session: Session | None = None
        with anyio.move_on_after(TIMEOUT_S):
            while session is None and _runs(cluster, host):
                try:
                    session = await connect(address, admin)
                except (psycopg.Error, StorageError) as error:
                    said = error
                    await anyio.sleep(POLL_S)
        if session is None:
            words = f"what was restored on {host} did not come up ({said})"
            raise ClusterError(f"{words}; see logs/{host}.{RESTORED_UNIT}.log", host=host)
        try:
            yield session
        finally:
            await session.close()


def _runs(cluster: RaisedCluster, host: str) -> bool:
    substrate = cluster.substrate
    assert isinstance(substrate, Haltable)  # the fault needs it
    return substrate.runs_unit(host, RESTORED_UNIT)


async def bindir_of(session: Session) -> str:
    [(found,)] = await session.fetch(BINDIR)
    return str(found)


async def _name_entry(session: Session) -> NamedEntry:
    try:
        rows = await session.fetch(NEWEST_ENTRY)
    except psycopg.errors.UndefinedTable:
        rows = []
    if not rows:
        raise ClusterError(
            "the point in time of a restore is named by an entry of the ledger, and there is none: "
            "use the workload ledger"
        )
    [(id_, xid)] = rows
    return NamedEntry(id=id_, xid=xid, timeline=session.timeline, named_s=time.monotonic())


async def wait_archived(session: Session, host: str, lsn: str) -> None:
    """Wait until the archive on ``host`` has the WAL up to ``lsn``.

    Raises:
        ClusterError: it does not in time.
    """
    try:
        with anyio.fail_after(TIMEOUT_S):
            while not await session.fetch(ARCHIVED, (_application(host), lsn)):
                await anyio.sleep(POLL_S)
    except TimeoutError as error:
        words = f"no WAL up to {lsn} is archived on {host} (backup must strike it first)"
        raise ClusterError(words, host=host) from error


async def _write_down(session: Session, found: RestoreRecord, test: Path) -> None:
    """What the restored server holds, and how it came to be."""
    assert found.timeline is not None  # it came up
    with FinalReadFile(test, found.host) as out:
        out.begin(t_s=time.monotonic(), timeline=found.timeline, lsn=None, is_primary=True)
        query = load_workload(WorkloadSpec()).final_read
        try:
            async for kind, id_, content in session.copy_rows(query):
                out.row(kind, id_, content)
        except psycopg.Error as error:
            raise ClusterError(f"what was restored cannot be read: {error}") from error
        out.end()
    write_restore(test, found)


async def edit(
    cluster: RaisedCluster, host: str, script: str, *arguments: str, stdin: str = ""
) -> None:
    substrate = cluster.substrate
    assert isinstance(substrate, DiskEditable)  # the faults need it
    await substrate.edit_disk(host, ("sh", "-c", script, "sh", *arguments), stdin=stdin)
