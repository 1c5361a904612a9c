"""Every alert fires in a real lab, and is quiet in steady: ``python -m support.lab.alert_lab DIR``.

Run sealed by ``tests/drills/test_alerts.py``, once. It breaks a cluster in several ways, one after
another, and writes to ``alerts.json`` what fired in each; the test judges that.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from support.lab.alert_faults import POLL_S, cut_between, frozen, run_sql, without_power, write_wal
from support.lab.watched_cluster import EXPORTER, EXPORTER_ROLE, WatchedCluster
from support.monitoring.queries import filled_in

from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.etcd import member
from cluster.patroni.config import UNIT as PATRONI
from cluster.raised import RaisedCluster
from cluster.substrates.base import ProcessExit
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin
from replication.monitoring.dashboard.file import drill_expressions, expressions

STEADY_EVALUATIONS = 30
"""Ten minutes at the real pace."""
FIRE_TIMEOUT_S = 90.0
QUIET_TIMEOUT_S = 120.0
WHOLE_TIMEOUT_S = 120.0
WAL_BYTES = 64 * 1024 * 1024
"""More than the real threshold of ``BasculeReplicaLagBytes``."""
SILENCE = "3s"
"""``wal_sender_timeout`` and ``wal_receiver_timeout`` in this lab. With their default of 60 s a cut
is noticed a minute later; nothing else differs."""

Wanted = Sequence[tuple[str, str]]


class AlertLab:
    """The steps, in their order; ``steps`` has what fired in each."""

    def __init__(self, watched: WatchedCluster) -> None:
        self._watched = watched
        self._lab = watched.lab
        self._cluster = watched.cluster
        self._began_s = time.monotonic()
        self.steps: dict[str, list[dict[str, object]]] = {}
        self.answers: dict[str, int] = {}

    async def run(self) -> None:
        """All of them."""
        await self._change_settings()
        async with self._step("steady", ()):
            await self._watched.wait_evaluations(STEADY_EVALUATIONS, timeout_s=FIRE_TIMEOUT_S)
        await self._replicas()
        await self._exporter()
        await self._heartbeat()
        await self._two_primaries()
        await self._dcs()
        async with self._step("healed", ()):
            await self._watched.wait_evaluations(10, timeout_s=FIRE_TIMEOUT_S)
        for expr in set(expressions()) - set(drill_expressions()):
            self.answers[expr] = await self._watched.count_samples(
                filled_in(expr, self._lab.topology.cluster.scope), since_s=self._began_s
            )

    @asynccontextmanager
    async def _step(self, name: str, wanted: Wanted) -> AsyncIterator[None]:
        """Do what the block does, wait until the alerts have fired, write down what has."""
        begin_s = time.monotonic()
        try:
            yield
            await self._watched.wait_fired(wanted, since_s=begin_s, timeout_s=FIRE_TIMEOUT_S)
        finally:
            found = await self._watched.fired(since_s=begin_s)
            self.steps[name] = [{"name": one.name, "labels": dict(one.labels)} for one in found]
            elapsed_s = time.monotonic() - begin_s
            names = sorted({f"{one.name}({one.about})" for one in found})
            say(f"{name}: {elapsed_s:.1f} s, fired: {', '.join(names) or 'nothing'}")

    async def _heal(self, what: str) -> None:
        """The cluster is whole again, and then every alert resolves."""
        begin_s = time.monotonic()
        missing = await self._cluster.wait_whole(timeout_s=WHOLE_TIMEOUT_S)
        assert missing is None, f"after {what}: {missing}"
        whole_s = time.monotonic() - begin_s
        lasting = await self._watched.wait_quiet(timeout_s=QUIET_TIMEOUT_S)
        quiet_s = time.monotonic() - begin_s
        last = ", ".join(f"{one.name}({one.about})" for one in lasting)
        say(f"{what} healed: whole after {whole_s:.1f} s, quiet after {quiet_s:.1f} s, last {last}")

    async def _primary(self) -> str:
        primary = await self._cluster.primary()
        assert primary is not None
        return primary

    async def _change_settings(self) -> None:
        primary = await self._primary()
        changes: dict[str, object] = {
            "failsafe_mode": True,
            "postgresql": {
                "parameters": {"wal_sender_timeout": SILENCE, "wal_receiver_timeout": SILENCE}
            },
        }
        assert await self._cluster.rest[primary].patch_configuration(changes)
        with anyio.fail_after(WHOLE_TIMEOUT_S):
            for node in self._lab.topology.nodes:
                while await self._silence(node) != SILENCE:
                    await anyio.sleep(POLL_S)

    async def _silence(self, node: str) -> object:
        rows = await run_sql(self._cluster, node, "SHOW wal_receiver_timeout")
        return rows[0][0]

    async def _replicas(self) -> None:
        """One replica loses its way to the primary; then the other one's host loses its power."""
        primary = await self._primary()
        cut, dead = [node for node in self._lab.topology.nodes if node != primary]
        async with cut_between(self._lab, cut, primary):
            behind = [
                ("BasculeReplicaWithoutReceiver", cut),
                ("BasculeReplicaLagBytes", cut),
                ("BasculeReplicaLagSeconds", cut),
                ("BasculeSlotRetention", cut.replace("-", "_")),
            ]
            async with self._step("replica-cut-off", behind):
                await write_wal(self._cluster, primary, size_bytes=WAL_BYTES)
            unprotected = [("BasculeSyncStandbyMissing", ""), ("BasculeMemberDown", dead)]
            async with (
                self._step("no-standby", unprotected),
                without_power(self._lab, self._cluster, [dead]),
            ):
                await self._watched.wait_fired(
                    unprotected, since_s=time.monotonic(), timeout_s=FIRE_TIMEOUT_S
                )
        await self._heal("replicas")

    async def _exporter(self) -> None:
        silent = [("BasculeExporterSilent", "")]
        async with (
            self._step("exporter-frozen", silent),
            frozen(self._lab, self._watched.host, EXPORTER),
        ):
            await self._watched.wait_fired(
                silent, since_s=time.monotonic(), timeout_s=FIRE_TIMEOUT_S
            )
        await self._heal("exporter")

    async def _heartbeat(self) -> None:
        """The exporter loses the right to write its heartbeat."""
        primary = await self._primary()
        stale = [("BasculeHeartbeatStale", "")]
        right = "INSERT, UPDATE ON bascule.heartbeat"
        async with self._step("heartbeat-refused", stale):
            await run_sql(self._cluster, primary, f"REVOKE {right} FROM {EXPORTER_ROLE}")
        await run_sql(self._cluster, primary, f"GRANT {right} TO {EXPORTER_ROLE}")
        await self._heal("heartbeat")

    async def _two_primaries(self) -> None:
        """Patroni of the primary stands still: its lock runs out, its PostgreSQL goes on."""
        primary = await self._primary()
        split = [
            ("BasculeMemberDown", primary),
            ("BasculeNoPrimary", ""),
            ("BasculeTwoPrimaries", ""),
            ("BasculeTimelineChanged", ""),
        ]
        async with (
            self._step("patroni-frozen", split),
            frozen(self._lab, primary, PATRONI),
        ):
            await self._watched.wait_fired(
                split, since_s=time.monotonic(), timeout_s=FIRE_TIMEOUT_S
            )
        await self._heal("two primaries")

    async def _dcs(self) -> None:
        """Two of three etcd hosts lose their power; the primary goes on in failsafe mode."""
        hosts = [host.name for host in self._lab.topology.hosts_with("etcd")][:2]
        urls = [f"http://{self._lab.address(host)}:{member.CLIENT_PORT}" for host in hosts]
        lost = [
            ("BasculeDcsWithoutQuorum", ""),
            ("BasculeFailsafeActive", ""),
            *(("BasculeDcsMemberDown", url) for url in urls),
        ]
        async with self._step("dcs-lost", lost), without_power(self._lab, self._cluster, hosts):
            await self._watched.wait_fired(lost, since_s=time.monotonic(), timeout_s=FIRE_TIMEOUT_S)
        await self._heal("DCS")


def say(words: str) -> None:
    """To standard output, where pytest shows it when something went wrong."""
    print(words, flush=True)


async def main(folder: Path) -> None:
    """Raise the lab, run the steps, leave ``alerts.json``."""
    logs = folder / "logs"
    logs.mkdir()
    topology = load_builtin("three-sites").with_settings(
        loop_wait_s=2, retry_timeout_s=3, witness=False
    )

    died: list[ProcessExit] = []

    def tell(end: ProcessExit) -> None:
        if not end.expected:
            say(f"{end.unit} on {end.host} ended with {end.status}")
            died.append(end)

    async with Lab(topology, logs=logs, on_exit=tell) as lab:
        cluster: RaisedCluster = await raise_cluster(
            lab,
            find_binaries(),
            config_folder=folder / "config",
            logs=logs,
            done=lambda step: None,
        )
        host = topology.hosts_with("client")[0].name
        watched = WatchedCluster(lab, cluster, host, folder)
        try:
            await watched.start()
            alerts = AlertLab(watched)
            try:
                await alerts.run()
            finally:
                found = {"steps": alerts.steps, "answers": alerts.answers}
                (folder / "alerts.json").write_text(json.dumps(found, indent=2))
            assert not died, died
        finally:
            await watched.aclose()
            await cluster.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
