"""An etcd with users in a real lab: ``python -m support.lab.etcd_auth_lab DIR``, sealed.

Run by ``tests/integration/cluster/substrates/lab/test_etcd_auth.py``. One lab for all of it. Tokens
end here in both ways in which they can end: the member that holds them is started anew, and a user
is changed. The probe asserts; its exit code is the answer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio

from chaos.drill.recorder import Recorder
from chaos.drill.witnesses import start_witnesses
from chaos.evidence.events import EventLog
from chaos.faults import dcs_wiped
from chaos.faults.base import NO_PARAMS, Stage
from chaos.faults.targets import Victim
from chaos.live.board import Board
from cluster import maintenance
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.etcd import member
from cluster.etcd.keys import DcsChange, LeaderKey, follow
from cluster.etcd.member import EtcdLogin, EtcdRest
from cluster.etcd.users import ROOT
from cluster.patroni.config import Passwords, leader_key
from cluster.raised import RaisedCluster
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

WAIT_S = 90.0
POLL_S = 0.1


class AuthLab:
    """A raised cluster whose etcd has users.

    Args:
        lab: has the hosts.
        cluster: whole.
    """

    def __init__(self, lab: Lab, cluster: RaisedCluster) -> None:
        self.lab = lab
        self.cluster = cluster
        self.key = leader_key(lab.topology.cluster.scope)
        self.seen: list[str | None] = []

    def changed(self, change: DcsChange) -> None:
        """Take down who holds the leader key, as the drill's watch says it."""
        if isinstance(change, LeaderKey):
            self.seen.append(change.holder)

    async def wait(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition; what it was, if it does not come."""
        with anyio.move_on_after(WAIT_S):
            while not await condition():
                await anyio.sleep(POLL_S)
            return
        raise AssertionError(f"after {WAIT_S:g} s not yet: {what}; leaders seen: {self.seen}")

    async def whole(self) -> None:
        """Wait until nothing is missing."""
        assert await self.cluster.wait_whole(timeout_s=WAIT_S) is None

    async def is_watched(self, holder: str) -> None:
        """Wait until the watch has seen who leads."""

        async def has_seen() -> bool:
            return self.seen[-1:] == [holder]

        await self.wait(f"the watch sees {holder} lead", has_seen)

    async def nobody_reads_without_a_user(self) -> None:
        """And the lab's own way in does, as root."""
        host = self.cluster.dcs_hosts[0]
        anonymous = self.cluster.etcd.without_login()
        assert await anonymous.value(host, self.key) is None
        await anonymous.aclose()
        await self.reads(host)

    async def reads(self, host: str) -> None:
        """Wait until the lab reads a key of the member on ``host`` as root."""

        async def has_read() -> bool:
            return await self.cluster.etcd.value(host, self.key) is not None

        await self.wait(f"root reads a key of etcd on {host}", has_read)

    async def restart_etcd(self) -> None:
        """Every member, one after another: each has forgotten all tokens then."""
        for host in self.cluster.dcs_hosts:
            await self.lab.stop_unit(host, member.UNIT, timeout_s=10.0)
            await self.cluster.start_services(host, only="etcd")

            async def serves(host: str = host) -> bool:
                found = await self.cluster.etcd.is_healthy(host)
                return found and await self.cluster.etcd.value(host, self.key) is not None

            await self.wait(f"etcd on {host} is healthy, and reads with a new token", serves)

    async def change_a_user(self) -> None:
        """A change of root's password ends root's token; with the one of before all is as it was.

        Between the two nobody here knows the password: nothing is read.
        """
        etcd, host = self.cluster.etcd, self.cluster.dcs_hosts[0]
        path, ours = "/v3/auth/user/changepw", self.cluster.credentials.etcd_root
        changed: dict[str, object] = {"name": ROOT, "password": "another"}
        assert await etcd.call(host, path, changed, timeout_s=WAIT_S) is not None
        assert await etcd.value(host, self.key) is None
        other = EtcdRest(self.lab.console, EtcdLogin(user=ROOT, password="another"))
        changed["password"] = ours
        assert await other.call(host, path, changed, timeout_s=WAIT_S) is not None
        await other.aclose()
        await self.reads(host)


def no_secret_is_left(credentials: Passwords, folder: Path) -> None:
    """Neither in a file of the run, nor on a command line."""
    secrets = (credentials.etcd_root, credentials.etcd_patroni, credentials.etcd_witness)
    files = [path for path in folder.rglob("*") if path.is_file()]
    commands = list(Path("/proc").glob("[0-9]*/cmdline"))
    for path in (*files, *commands):
        with suppress(OSError):  # the process has ended
            text = path.read_text(errors="replace")
            assert not [one for one in secrets if one in text], path
    assert len(files) > 10
    assert len(commands) > 10


async def probe(folder: Path) -> None:
    """Tokens end, and the cluster goes on: everybody logs in again."""
    logs = folder / "logs"
    logs.mkdir()
    topology = load_builtin("three-sites-etcd-auth")
    topology = replace(topology, cluster=replace(topology.cluster, witness=True))
    async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
        cluster = await raise_cluster(
            lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
        )
        one = AuthLab(lab, cluster)
        await one.whole()
        with EventLog(folder) as events:
            board = Board(scenario="etcd-auth", title="", started_s=time.monotonic())
            await start_witnesses(cluster, folder, Recorder(events, board))
        async with anyio.create_task_group() as watching:
            watching.start_soon(
                follow,
                lab.console,
                cluster.dcs_hosts,
                topology.cluster.scope,
                one.changed,
                cluster.etcd_login,
            )
            first = await maintenance.wait_primary(cluster, timeout_s=WAIT_S)
            await one.is_watched(first)
            await one.nobody_reads_without_a_user()
            await one.restart_etcd()
            await one.change_a_user()
            await one.whole()

            # The witnesses end the lease, a winner passes the gate: all of them log in for it.
            await lab.kill_host(first)

            second = await maintenance.wait_primary(cluster, timeout_s=WAIT_S, other_than=first)
            await one.is_watched(second)
            gates = [path.read_text() for path in logs.glob("*.patroni.log")]
            assert any("event=gate outcome=open" in text for text in gates)
            await lab.start_host(first)
            await cluster.start_services(first)
            await one.whole()

            victim = next(host for host in cluster.dcs_hosts)
            stage = Stage(cluster=cluster)
            struck = Victim(name=victim, hosts=(victim,))
            await dcs_wiped.wipe(stage, struck, NO_PARAMS)
            await dcs_wiped.join_anew(stage, struck, NO_PARAMS)
            await one.whole()
            no_secret_is_left(cluster.credentials, folder)
            watching.cancel_scope.cancel()
        await cluster.aclose()


if __name__ == "__main__":
    anyio.run(probe, Path(sys.argv[1]))
