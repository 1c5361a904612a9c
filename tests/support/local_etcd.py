"""A real etcd of one member on 127.0.0.1."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.local_postgres import free_port

START_DEADLINE_S = 30.0


class LocalEtcd:
    """Started, killed, started again; asked over its JSON gateway."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("etcd")
        assert program is not None, "etcd is not installed: apt-get install etcd-server"
        client, peer = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{client}"
        self._command = [
            *(program, "--name", "solo", "--data-dir", str(folder / "etcd")),
            *("--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", f"solo=http://127.0.0.1:{peer}"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it is healthy."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until_s = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                self.put("/healthy", "yes")
            except OSError:
                assert time.monotonic() < until_s, "etcd does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def put(self, key: str, value: str) -> None:
        """Set a key."""
        self._call("/v3/kv/put", {"key": _b64(key), "value": _b64(value)})

    def delete(self, key: str) -> None:
        """Remove a key."""
        self._call("/v3/kv/deleterange", {"key": _b64(key)})

    def _call(self, path: str, body: dict[str, str]) -> None:
        request = urllib.request.Request(self.endpoint + path, data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextmanager
def local_etcd(folder: Path) -> Iterator[LocalEtcd]:
    """An etcd, started; killed at the end."""
    etcd = LocalEtcd(folder)
    try:
        etcd.start()
        yield etcd
    finally:
        etcd.kill()
