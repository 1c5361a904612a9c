"""Witnesses in a real lab, told step by step: ``python -m support.lab.witness_lab DIR``, sealed.

Run by ``tests/integration/chaos/drill/test_witnesses.py``. One lab for all of it, as raising one
takes longest; each step asserts, leaves the cluster whole, and its exit code is the answer.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import yaml

from chaos.drill.recorder import Recorder
from chaos.drill.witnesses import UNIT, key_names, start_witnesses
from chaos.evidence.events import EventLog
from chaos.live.board import Board
from cluster.binaries import find_binaries
from cluster.boot import raise_cluster
from cluster.patroni.config import leader_key
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.substrates.lab.lab import Lab
from cluster.topology.load import load_builtin

REPLACED_S_MAX = 14.0
"""For a dead host's lease to pass to another; 0.6 s where the machine is idle. Without witnesses it
takes 15 s or more (ttl 20, loop_wait 5)."""
FREEZE_S = 3.0
"""Ten times a witness's patience."""
CALM_S = 3.0
WHOLE_S = 60.0


class WitnessLab:
    """A raised cluster with witnesses, and what happened to it.

    Args:
        lab: has the hosts.
        cluster: whole.
        folder: the run folder.
        recorder: takes the events.
    """

    def __init__(self, lab: Lab, cluster: RaisedCluster, folder: Path, recorder: Recorder) -> None:
        self.lab = lab
        self.cluster = cluster
        self._folder = folder
        self._recorder = recorder
        self._hosts = [host.name for host in lab.topology.witness_hosts]

    async def start(self, *options: str) -> None:
        """Witnesses, until they are stopped."""
        await start_witnesses(self.cluster, self._folder, self._recorder, options=options)

    async def stop(self) -> None:
        """By SIGTERM: they end well, and leave nothing in etcd."""
        names = key_names(self.lab.topology)
        for host in self._hosts:
            assert await self.lab.stop_unit(host, UNIT, timeout_s=5.0) == 0
            site = self.lab.topology.site_of(host).name
            assert await self.cluster.etcd.value(host, names.alive(site)) is None

    def said(self) -> str:
        """The logs of all witnesses so far."""
        logs = [self._folder / "logs" / f"{host}.{UNIT}.log" for host in self._hosts]
        return "".join(log.read_text() for log in logs)

    async def leader(self) -> str | None:
        """Who holds the leader key."""
        key = leader_key(self.lab.topology.cluster.scope)
        for host in self._hosts:
            if (holder := await self.cluster.etcd.value(host, key)) is not None:
                return holder
        return None

    async def primary(self) -> str:
        """Of a cluster that is whole."""
        missing = await self.cluster.wait_whole(timeout_s=WHOLE_S)
        assert missing is None, missing
        primary = await self.cluster.primary()
        assert primary is not None
        return primary

    async def look_at_the_cluster(self) -> None:
        """``bascule doctor --cluster`` finds it fit, and everything is where it is looked for."""
        host = self._hosts[0]
        config = self._folder / "config" / f"{UNIT}-{host}.toml"
        code, said = await self._run(
            host, "doctor", "-m", "chaos", "doctor", "--cluster", str(config), "--json"
        )
        assert code == 0, said
        found = json.loads(said)
        assert found["fit"]
        seen = {one["about"] for one in found["remarks"] if one["grade"] == "good"}
        assert seen >= {"config", "sync", "witnesses", *self.cluster.rest}, said

    async def try_the_gates(self) -> None:
        """Each reaches everything; and stays shut for who does not hold the leader key."""
        primary = await self.primary()
        for host in self.cluster.rest:
            yml = (self._folder / "config" / f"patroni-{host}.yml").read_text()
            python, *words = shlex.split(yaml.safe_load(yml)["postgresql"]["pre_promote"])
            assert python == self.lab.python
            code, said = await self._run(host, "gate-check", *words, "--check")
            assert code == 0, said
            assert "2 of db-orsay, db-paris, db-saint-cloud must have let go" in said
            if host != primary:
                code, said = await self._run(host, "gate", *words)
                assert code == 1, said
                assert f"the leader key is held by {primary}" in said

    async def _run(self, host: str, name: str, *words: str) -> tuple[int, str]:
        """The exit code of a program on a host, and what it said."""
        await self.lab.start_unit(host, Process(name=name, argv=(self.lab.python, *words)))
        code = await self.lab.wait_unit(host, name)
        return code, (self._folder / "logs" / f"{host}.{name}.log").read_text()

    async def freeze_a_witness(self) -> None:
        """It slept: what it missed is nobody's silence, and nobody acts."""
        before, host = await self.primary(), self._hosts[0]
        log = self._folder / "logs" / f"{host}.{UNIT}.log"
        await self.lab.kill_process(host, UNIT, signal.SIGSTOP)
        await anyio.sleep(FREEZE_S)
        await self.lab.kill_process(host, UNIT, signal.SIGCONT)
        await until(lambda: "event=stall" in log.read_text(), "the witness says that it slept")
        await anyio.sleep(CALM_S)
        assert "outcome=done" not in self.said(), self.said()
        assert await self.leader() == before

    async def lose_the_host_in_maintenance(self) -> None:
        """In maintenance mode nobody is replaced, whatever dies."""
        before = await self.primary()
        assert await self.cluster.rest[before].patch_configuration({"pause": True})
        await self.lab.kill_host(before)
        await until(lambda: "refusal=paused" in self.said(), "a witness says that it may not act")
        await anyio.sleep(CALM_S)
        assert "outcome=done" not in self.said()
        await self._power_on(before)
        other = next(node for node in self.cluster.rest if node != before)
        assert await self.cluster.rest[other].patch_configuration({"pause": None})
        await self.primary()

    async def lose_the_host_in_a_dry_run(self) -> None:
        """They say what they would have done, and do nothing."""
        before = await self.primary()
        await self.lab.kill_host(before)
        await until(lambda: "outcome=dry-run" in self.said(), "a dry act is told")
        assert "outcome=done" not in self.said()
        assert await self.leader() == before
        await self._power_on(before)
        await self.primary()

    async def lose_the_host(self) -> None:
        """The primary's host loses its power: another leads in a moment."""
        before = await self.primary()
        struck_s = time.monotonic()
        await self.lab.kill_host(before)

        async def is_replaced() -> bool:
            return await self.leader() not in {None, before}

        await until(is_replaced, "another holds the key", timeout_s=REPLACED_S_MAX)
        print(f"replaced {time.monotonic() - struck_s:.2f} s after the fault")
        assert "outcome=done" in self.said()
        winner = await self.leader()
        log = self._folder / "logs" / f"{winner}.patroni.log"
        await until(lambda: "event=gate outcome=open" in log.read_text(), "the gate has opened")
        await self._power_on(before)
        await self.primary()

    async def _power_on(self, host: str) -> None:
        await self.lab.start_host(host)
        await self.cluster.start_services(host)


async def until(
    is_so: Callable[[], bool | Awaitable[bool]], what: str, *, timeout_s: float = 10.0
) -> None:
    """Wait for it.

    Raises:
        AssertionError: it did not come; names it.
    """
    with anyio.move_on_after(timeout_s):
        while True:
            found = is_so()
            if found if isinstance(found, bool) else await found:
                return
            await anyio.sleep(0.02)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


async def tell(folder: Path) -> None:
    """All of it, in one lab."""
    logs = folder / "logs"
    logs.mkdir()
    topology = load_builtin("three-sites")
    with EventLog(folder) as events:
        recorder = Recorder(events, Board(scenario="witness", title="", started_s=time.monotonic()))
        async with Lab(topology, logs=logs, on_exit=lambda end: None) as lab:
            cluster = await raise_cluster(
                lab, find_binaries(), config_folder=folder / "config", logs=logs, done=print
            )
            witnesses = WitnessLab(lab, cluster, folder, recorder)
            await witnesses.start("--dry-run")
            await witnesses.lose_the_host_in_a_dry_run()
            await witnesses.stop()
            await witnesses.start()
            await witnesses.look_at_the_cluster()
            await witnesses.try_the_gates()
            await witnesses.freeze_a_witness()
            await witnesses.lose_the_host_in_maintenance()
            await witnesses.lose_the_host()
            await witnesses.stop()
            await cluster.aclose()


if __name__ == "__main__":
    anyio.run(tell, Path(sys.argv[1]))
