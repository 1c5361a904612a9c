"""A real etcd of some members on 127.0.0.1, in a folder of its own, gone when it is closed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.postgres.local_postgres import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdMember:
    """A member that runs."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(timeout=10)


@contextmanager
def etcd_members(folder: Path, members: int) -> Iterator[list[EtcdMember]]:
    """That many members, started; whether they have a leader yet must be asked."""
    program = shutil.which("etcd")
    assert program is not None, "etcd is not installed"
    ports = [(free_port(), free_port()) for _ in range(members)]
    peers = [f"http://127.0.0.1:{peer}" for _, peer in ports]
    cluster = ",".join(f"e{n}={peer}" for n, peer in enumerate(peers))
    started: list[EtcdMember] = []
    try:
        for n, (client, _) in enumerate(ports):
            endpoint = f"http://127.0.0.1:{client}"
            arguments = [
                *("--name", f"e{n}", "--data-dir", str(folder / f"e{n}")),
                *("--listen-client-urls", endpoint, "--advertise-client-urls", endpoint),
                *("--listen-peer-urls", peers[n], "--initial-advertise-peer-urls", peers[n]),
                *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            ]
            with (folder / f"e{n}.log").open("wb") as log:
                process = subprocess.Popen(
                    [program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            started.append(EtcdMember(endpoint=endpoint, process=process))
        yield started
    finally:
        for member in started:
            member.kill()
